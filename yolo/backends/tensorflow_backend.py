"""The folded network in TensorFlow."""

import numpy as np
import tensorflow as tf

from yolo.detection.detector import Backend
from yolo.models.folding import FoldedNetwork, build_folded


def load(folded: FoldedNetwork, jit_compile: bool = False) -> Backend:
    """The backend of a folded network: images of any size that it takes -> raw (B, GH, GW, A, 5 + C).

    It is traced once for all numbers and sizes of images; with jit_compile, XLA compiles it for each.
    """
    model = build_folded(folded)

    @tf.function(jit_compile=jit_compile)
    def trace(images: tf.Tensor) -> tf.Tensor:
        return model(images, training=False)

    forward = trace.get_concrete_function(tf.TensorSpec((None, None, None, 3), tf.uint8))

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        return {'raw': forward(tf.constant(images)).numpy()}

    return Backend(run, 'tensorflow')
