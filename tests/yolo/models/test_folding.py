"""Batch norm folded into convolutions: the same numbers, on a network with random statistics and on Darknet's."""

import numpy as np
import pytest

from yolo.models.architectures import build_spec
from yolo.models.build import DarknetModel
from yolo.models.folding import build_folded, fold
from yolo.models.spec import Convolution


def randomized(name: str) -> DarknetModel:
    """A small network whose batch norms are far from the identity."""
    rng = np.random.default_rng(0)
    model = DarknetModel(build_spec(name, 3, [[1, 2], [3, 3]], 0.1), seen=77)
    for _, layer, norm in model.convolutions():
        if norm is not None:
            size = norm.gamma.shape
            norm.gamma.assign(rng.uniform(0.5, 2, size))
            norm.beta.assign(rng.normal(0, 1, size))
            norm.mean.assign(rng.normal(0, 1, size))
            norm.variance.assign(rng.uniform(0.01, 4, size))
        else:
            layer.bias.assign(rng.normal(0, 1, layer.bias.shape))
    return model


@pytest.mark.parametrize('name', ['yolov2', 'yolov2-tiny'])
def test_the_folded_network_computes_the_same(name):
    model = randomized(name)
    images = np.random.default_rng(1).uniform(0, 1, (2, 64, 96, 3)).astype(np.float32)
    folded = fold(model)
    assert not any(section.norm for section in folded.network.sections if isinstance(section, Convolution))
    assert folded.seen == 77
    expected, raw = model(images).numpy(), build_folded(folded)(images).numpy()
    assert np.abs(raw - expected).max() <= 1e-5 * np.abs(expected).max()
    assert np.abs(expected).std() > 0.1


def test_weights_that_are_not_finite_are_refused():
    model = randomized('yolov2-tiny')
    model.convolutions()[0][2].beta.assign(np.full(model.convolutions()[0][2].beta.shape, np.nan))
    with pytest.raises(FloatingPointError, match='beta'):
        fold(model)
