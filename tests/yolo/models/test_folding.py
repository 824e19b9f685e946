"""Batch norm folded into convolutions: the same numbers, on a network with random statistics and on Darknet's."""

import numpy as np
import pytest
from random_networks import randomized

from yolo.models.folding import build_folded, fold
from yolo.models.spec import Convolution


@pytest.mark.parametrize('name', ['yolov2', 'yolov2-tiny'])
def test_the_folded_network_computes_the_same(name):
    model = randomized(name)
    images = np.random.default_rng(1).uniform(0, 1, (2, 64, 96, 3)).astype(np.float32)
    folded = fold(model)
    assert not any(section.norm for section in folded.network.sections if isinstance(section, Convolution))
    assert folded.seen == 77
    expected, raw = model(images).numpy(), build_folded(folded)(images).numpy()
    assert np.abs(raw - expected).max() <= 1e-5 * np.abs(expected).max()
    assert np.std(expected) > 0.1


def test_weights_that_are_not_finite_are_refused():
    model = randomized('yolov2-tiny')
    model.convolutions()[0][2].beta.assign(np.full(model.convolutions()[0][2].beta.shape, np.nan))
    with pytest.raises(FloatingPointError, match='beta'):
        fold(model)
