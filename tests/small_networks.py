"""Small networks with random batch norms, and their exports: what tests of TFLite files share."""

import numpy as np

from yolo.detection import exported
from yolo.export import draft, tflite
from yolo.models.architectures import build_spec
from yolo.models.build import DarknetModel
from yolo.models.folding import FoldedNetwork, fold
from yolo.models.model_folder import ModelInfo

ANCHORS, CLASSES, SIZE = ((1.0, 2.0), (3.0, 3.0)), ('a', 'b', 'c'), (64, 96)


def random_model(name: str, width: float = 0.1) -> DarknetModel:
    """A narrow network whose batch norms are far from the identity, and whose raw output is of the usual size."""
    rng = np.random.default_rng(0)
    model = DarknetModel(build_spec(name, len(CLASSES), ANCHORS, width), seen=77)
    for _, layer, norm in model.convolutions():
        layer.kernel.assign(rng.normal(0, 1 / np.sqrt(np.prod(layer.kernel.shape[:3])), layer.kernel.shape))
        if norm is not None:
            size = norm.gamma.shape
            norm.gamma.assign(rng.uniform(0.5, 1.5, size))
            norm.beta.assign(rng.normal(0, 0.5, size))
            norm.mean.assign(rng.normal(0, 0.2, size))
            norm.variance.assign(rng.uniform(0.05, 0.5, size))
    last = model.convolutions()[-1][1]
    last.kernel.assign(2 * last.kernel / np.std(model(random_images(4))))
    last.bias.assign(rng.normal(0, 1, last.bias.shape))
    return model


def draft_of(folded: FoldedNetwork, kind: str, output: str, batch_size: int = 1, size=SIZE) -> exported.Exported:
    """The description of an export before it is built."""
    return draft.make(folded, ModelInfo(CLASSES, 'stretch'), kind, draft.Options(output, size, batch_size))


def export(model: DarknetModel, kind: str, output: str, batch_size: int = 1, calibration=None):
    """The bytes of a TFLite file and its description."""
    folded = draft.at_size(fold(model), SIZE)
    return tflite.build(folded, draft_of(folded, kind, output, batch_size), calibration)


def random_images(number: int, seed: int = 1) -> np.ndarray:
    """Images (number, *SIZE, 3) uint8 that look a little like photos: large patches, gradients and noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (number, SIZE[0] // 16, SIZE[1] // 16, 3)).repeat(16, 1).repeat(16, 2)
    return np.clip(coarse + rng.normal(0, 20, coarse.shape), 0, 255).astype(np.uint8)
