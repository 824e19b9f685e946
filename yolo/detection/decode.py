"""The network's raw output -> boxes, objectness and class probabilities of every cell and anchor."""

import tensorflow as tf

from yolo.geometry import boxes as box_ops


def decode(raw, anchors) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Boxes, objectness and class probabilities that the raw output predicts at every cell and anchor.

    raw (B, GH, GW, A, 5 + C); anchors (A, 2) w, h in grid cells. Returns boxes (B, GH, GW, A, 4) xmin, ymin, xmax,
    ymax relative 0..1 (not clipped to the image), objectness (B, GH, GW, A) and class probabilities
    (B, GH, GW, A, C). (YOLOv2 paper, section 2; Darknet src/region_layer.c, get_region_box.)
    """
    raw = tf.cast(raw, tf.float32)
    rows, columns = tf.shape(raw)[1], tf.shape(raw)[2]
    grid = tf.cast(tf.stack([columns, rows, columns, rows]), tf.float32)
    boxes = box_ops.predicted(raw, tf.cast(anchors, tf.float32)) / grid
    return boxes, tf.sigmoid(raw[..., 4]), tf.nn.softmax(raw[..., 5:])
