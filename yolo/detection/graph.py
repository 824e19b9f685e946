"""The graph from pixels to detections, for evaluation on the device during training."""

import keras
import tensorflow as tf

from yolo.detection import nms
from yolo.detection.host import Thresholds


def make_predict(model: keras.Model, anchors, thresholds: Thresholds):
    """A graph function: images (B, H, W, 3) uint8 RGB -> what `yolo.detect` returns.

    anchors (A, 2) w, h in grid cells.
    """

    @tf.function
    def predict(images: tf.Tensor) -> dict[str, tf.Tensor]:
        raw = model(tf.cast(images, tf.float32) / 255, training=False)
        return nms.detect(
            raw,
            anchors,
            thresholds.score,
            thresholds.suppression_iou,
            thresholds.max_detections,
            thresholds.nms_scope,
        )

    return predict
