"""YOLOv2 in TensorFlow: the library behind train.py and eval.py.

| what | shape | unit and order |
| --- | --- | --- |
| image batch | (B, H, W, 3) float32 or uint8 | RGB, 0..1 or 0..255 |
| boxes in a record | (N, 4) float32 | xmin, ymin, xmax, ymax, relative 0..1 |
| VOC boxes | (N, 4) | pixels, 1-based, inclusive |
| anchors | (A, 2) float32 | w, h in grid cells |
| raw | (B, GH, GW, A, 5 + C) | t_x, t_y, t_w, t_h, t_o, class logits |
| detections | (B, D, ...) + count | boxes as in a record, score = objectness x class, class index |
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from yolo.detection.decode import decode
    from yolo.detection.keras_backend import load_detector
    from yolo.detection.nms import detect
    from yolo.evaluation.voc_ap import voc_average_precision
    from yolo.geometry.targets import encode_targets
    from yolo.models.build import build_model
    from yolo.models.darknet import load_darknet, save_darknet
    from yolo.training.losses import notebook_loss, region_loss

__version__ = '0.1.0'

__all__ = [
    'build_model',
    'decode',
    'detect',
    'encode_targets',
    'load_darknet',
    'load_detector',
    'notebook_loss',
    'region_loss',
    'save_darknet',
    'voc_average_precision',
]

_MODULES = {
    'build_model': 'models.build',
    'decode': 'detection.decode',
    'detect': 'detection.nms',
    'encode_targets': 'geometry.targets',
    'load_darknet': 'models.darknet',
    'load_detector': 'detection.keras_backend',
    'notebook_loss': 'training.losses',
    'region_loss': 'training.losses',
    'save_darknet': 'models.darknet',
    'voc_average_precision': 'evaluation.voc_ap',
}


def __getattr__(name: str):
    """Imports what is exported at its first use: the offline stage takes modules from here without TensorFlow."""
    if name not in _MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module(f'{__name__}.{_MODULES[name]}'), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
