"""YOLOv2 in TensorFlow: the library behind train.py and eval.py.

A trained detector, from the folder of a run to the boxes in photos:

    import yolo

    detector = yolo.load_detector('runs/voc', score_threshold=0.3)
    result = detector('photo.jpg')  # or an array (H, W, 3) uint8 RGB, or a list of photos of any sizes
    for label, score, (xmin, ymin, xmax, ymax) in zip(result.labels, result.scores, result.boxes):
        print(f'{label} {score:.2f}: {xmin:.0f}, {ymin:.0f} to {xmax:.0f}, {ymax:.0f} pixels')
    print(detector.classes, detector.anchors.shape, detector.image_size)

The steps on their own, on a batch of images of one size:

    import numpy as np

    anchors = np.array([[1.3, 1.7], [3.2, 4.0], [5.1, 8.1], [9.5, 4.8], [11.2, 10.0]])  # w, h in grid cells
    model = yolo.build_model('yolov2-tiny', num_classes=20, anchors=anchors)
    images = np.zeros((2, 416, 416, 3), np.uint8)
    raw = model(images)  # (2, 13, 13, 5, 25)
    boxes, objectness, probabilities = yolo.decode(raw, anchors)
    detections = yolo.detect(raw, anchors, score_threshold=0.3)
    truth, labels = np.array([[[0.2, 0.3, 0.6, 0.9]]] * 2, np.float32), np.array([[14]] * 2)
    responsible = yolo.encode_targets(truth, labels, anchors, grid=(13, 13))  # row, column, anchor of each object
    loss = yolo.region_loss(raw, truth, labels, anchors, seen=20_000)

Models in files:

    import keras
    import yolo.models  # registers the model with Keras

    model.save('detector.keras')
    model = keras.models.load_model('detector.keras')
    yolo.save_darknet(model, 'detector.cfg', 'detector.weights')
    model = yolo.load_darknet('detector.cfg', 'detector.weights')
    anchors = model.network.region.anchors

| what | shape | unit and order |
| --- | --- | --- |
| image batch | (B, H, W, 3 or 1) float32 or uint8 | RGB or grey, 0..1 or 0..255 |
| boxes in a record | (N, 4) float32 | xmin, ymin, xmax, ymax, relative 0..1 |
| boxes of a detector | (N, 4) float64 | xmin, ymin, xmax, ymax in pixels of the photo, from its top left corner 0, 0 |
| VOC boxes | (N, 4) | pixels, 1-based, inclusive |
| anchors | (A, 2) float32 | w, h in grid cells |
| raw | (B, GH, GW, A, 5 + C) | t_x, t_y, t_w, t_h, t_o, class logits |
| detections | (B, D, ...) + count | boxes as in a record, score = objectness x class, class index |
"""

import importlib
from typing import TYPE_CHECKING

from yolo.version import VERSION

if TYPE_CHECKING:
    from yolo.backends.loading import load_detector
    from yolo.detection.decode import decode
    from yolo.detection.nms import detect
    from yolo.evaluation.voc_ap import voc_average_precision
    from yolo.geometry.targets import encode_targets
    from yolo.models.build import build_model
    from yolo.models.darknet import load_darknet, save_darknet
    from yolo.training.ciou_loss import ciou_loss
    from yolo.training.losses import notebook_loss, region_loss

__version__ = VERSION

__all__ = [
    'build_model',
    'ciou_loss',
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
    'ciou_loss': 'training.ciou_loss',
    'decode': 'detection.decode',
    'detect': 'detection.nms',
    'encode_targets': 'geometry.targets',
    'load_darknet': 'models.darknet',
    'load_detector': 'backends.loading',
    'notebook_loss': 'training.losses',
    'region_loss': 'training.losses',
    'save_darknet': 'models.darknet',
    'voc_average_precision': 'evaluation.voc_ap',
}


def __getattr__(name: str):
    """Imports what is exported when it is first used, so that importing a part of the package loads no TensorFlow."""
    if name not in _MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module(f'{__name__}.{_MODULES[name]}'), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
