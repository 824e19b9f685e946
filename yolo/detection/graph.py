"""The graph from pixels to detections, for evaluation on the devices during training."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from yolo.detection import nms, replicas
from yolo.detection.host import Thresholds


def make_predict(
    model: keras.Model, anchors, thresholds: Thresholds, strategy: tf.distribute.Strategy | None = None
) -> Callable[[tf.Tensor], dict[str, np.ndarray]]:
    """A function: images (B, H, W, C) uint8 -> what `yolo.detect` returns, as NumPy arrays.

    anchors (A, 2) w, h in grid cells; strategy: under which the model was made, whose devices of this process share
    every batch; one device without it.
    """

    def predict(images: tf.Tensor) -> dict[str, tf.Tensor]:
        raw = model(tf.cast(images, tf.float32) / 255, training=False)
        return nms.detect(
            raw,
            anchors,
            thresholds.score,
            thresholds.suppression_iou,
            thresholds.max_detections,
            thresholds.nms_scope,
            thresholds.nms,
        )

    if strategy is not None:
        return replicas.spread(predict, strategy)
    graph = tf.function(predict)
    return lambda images: {name: value.numpy() for name, value in graph(images).items()}
