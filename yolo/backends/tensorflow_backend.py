"""The folded network in TensorFlow."""

import numpy as np
import tensorflow as tf

from yolo.detection.detector import Backend
from yolo.models.folding import FoldedNetwork, build_folded


def load(folded: FoldedNetwork) -> Backend:
    """The backend of a folded network: images of any size that it takes -> raw (B, GH, GW, A, 5 + C)."""
    model = build_folded(folded)

    @tf.function(reduce_retracing=True)
    def forward(images: tf.Tensor) -> tf.Tensor:
        return model(tf.cast(images, tf.float32) / 255, training=False)

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        return {'raw': forward(tf.constant(images)).numpy()}

    return Backend(run, 'tensorflow')
