"""The graph from pixels to detections, for evaluation on the device during training."""

import keras
import tensorflow as tf

from yolo.detection import nms
from yolo.detection.host import Thresholds


def make_predict(model: keras.Model, anchors, thresholds: Thresholds, size: tuple[int, int] | None = None):
    """A graph function: images (B, H, W, 3) uint8 RGB -> what `yolo.detect` returns.

    anchors (A, 2) w, h in grid cells; size: height, width in pixels to resize the images to, None for as they are.
    """

    @tf.function
    def predict(images: tf.Tensor) -> dict[str, tf.Tensor]:
        images = tf.cast(images, tf.float32) / 255
        if size is not None and tuple(images.shape[1:3]) != size:
            images = tf.image.resize(images, size)  # bilinear, as preprocessing does it
        raw = model(images, training=False)
        return nms.detect(
            raw,
            anchors,
            thresholds.score,
            thresholds.suppression_iou,
            thresholds.max_detections,
            thresholds.nms_scope,
        )

    return predict
