"""Exports of random networks as TFLite files: what their tests share."""

from random_networks import SIZE

from yolo.detection import exported
from yolo.export import draft, tflite
from yolo.models.build import DarknetModel
from yolo.models.folding import FoldedNetwork, fold
from yolo.models.model_folder import ModelInfo

CLASSES = ('a', 'b', 'c')


def draft_of(folded: FoldedNetwork, kind: str, output: str, batch_size: int = 1, size=SIZE) -> exported.Exported:
    """The description of an export before it is built."""
    return draft.make(folded, ModelInfo(CLASSES, 'stretch'), kind, draft.Options(output, size, batch_size))


def export(model: DarknetModel, kind: str, output: str, batch_size: int = 1, calibration=None):
    """The bytes of a TFLite file and its description."""
    folded = draft.at_size(fold(model), SIZE)
    return tflite.build(folded, draft_of(folded, kind, output, batch_size), calibration)
