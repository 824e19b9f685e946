"""Small networks whose weights are random and batch norms far from the identity, for tests of what computes them."""

from unittest import mock

import cv2
import numpy as np

from yolo.models import layers
from yolo.models.architectures import build_spec
from yolo.models.build import DarknetModel
from yolo.models.spec import Network

SIZE = (64, 96)  # height, width of their images
ANCHORS = ((1.0, 2.0), (3.0, 3.0))


def randomized(network: str | Network, seed: int = 0) -> DarknetModel:
    """A network by its description, or a narrow one of 3 classes by its name.

    Its statistics are those of `images`, so that its raw output, of the usual size, depends on the image.
    """
    rng = np.random.default_rng(seed)
    model = DarknetModel(build_spec(network, 3, ANCHORS, 0.1) if isinstance(network, str) else network, seen=77)
    for _, layer, norm in model.convolutions():
        layer.kernel.assign(rng.normal(0, 1, layer.kernel.shape))
        if norm is not None:
            norm.gamma.assign(rng.uniform(0.5, 1.5, norm.gamma.shape))
            norm.beta.assign(rng.normal(1, 0.5, norm.beta.shape))
        else:
            layer.bias.assign(rng.normal(0, 1, layer.bias.shape))
    batch = images(SIZE if isinstance(network, str) else network.image_size, 16, seed)
    with mock.patch.object(layers, 'MOMENTUM', 0.0):  # the moving statistics become those of this batch
        model(batch, training=True)
    last = model.convolutions()[-1][1]
    size = np.std(model(batch))
    last.kernel.assign(last.kernel / size)
    last.bias.assign(last.bias / size)
    return model


def images(size: tuple[int, int], number: int, seed: int = 1) -> np.ndarray:
    """Images (number, height, width, 3) uint8 of coloured clouds, each its own."""
    clouds = np.random.default_rng(seed).integers(0, 256, (number, 6, 6, 3), dtype=np.uint8)
    return np.stack([cv2.resize(cloud, size[::-1], interpolation=cv2.INTER_CUBIC) for cloud in clouds])
