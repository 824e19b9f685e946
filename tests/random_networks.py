"""Small networks whose weights are random and batch norms far from the identity, for tests of what computes them."""

import numpy as np

from yolo.models.architectures import build_spec
from yolo.models.build import DarknetModel
from yolo.models.spec import Network

SIZE = (64, 96)  # height, width of their images
ANCHORS = ((1.0, 2.0), (3.0, 3.0))


def randomized(network: str | Network, seed: int = 0) -> DarknetModel:
    """A network by its description, or a narrow one of 3 classes by its name; its raw output is of the usual size."""
    rng = np.random.default_rng(seed)
    model = DarknetModel(build_spec(network, 3, ANCHORS, 0.1) if isinstance(network, str) else network, seen=77)
    for _, layer, norm in model.convolutions():
        layer.kernel.assign(rng.normal(0, 1 / np.sqrt(np.prod(layer.kernel.shape[:3])), layer.kernel.shape))
        if norm is not None:
            size = norm.gamma.shape
            norm.gamma.assign(rng.uniform(0.5, 2, size))
            norm.beta.assign(rng.normal(0, 1, size))
            norm.mean.assign(rng.normal(0, 1, size))
            norm.variance.assign(rng.uniform(0.1, 4, size))
        else:
            layer.bias.assign(rng.normal(0, 1, layer.bias.shape))
    last = model.convolutions()[-1][1]
    size = np.std(model(images(SIZE, 1)))
    last.kernel.assign(last.kernel / size)
    last.bias.assign(last.bias / size)
    return model


def images(size: tuple[int, int], number: int, seed: int = 1) -> np.ndarray:
    """Images (number, height, width, 3) uint8 of noise."""
    return np.random.default_rng(seed).integers(0, 256, (number, *size, 3), dtype=np.uint8)
