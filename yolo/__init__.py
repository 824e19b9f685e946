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

from yolo.average_precision import voc_average_precision
from yolo.detection import decode, detect
from yolo.losses import notebook_loss, region_loss
from yolo.network import build_model
from yolo.targets import encode_targets

__version__ = '0.1.0'

__all__ = [
    'build_model',
    'decode',
    'detect',
    'encode_targets',
    'notebook_loss',
    'region_loss',
    'voc_average_precision',
]
