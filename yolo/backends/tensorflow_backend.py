"""The folded network in TensorFlow."""

import numpy as np
import tensorflow as tf

from yolo.detection import replicas
from yolo.detection.detector import Backend
from yolo.models.folding import FoldedNetwork, build_folded


def load(folded: FoldedNetwork, jit_compile: bool = False, strategy: tf.distribute.Strategy | None = None) -> Backend:
    """The backend of a folded network: images of any size that it takes -> raw (B, GH, GW, A, 5 + C).

    It is traced once for all numbers and sizes of images; with jit_compile, XLA compiles it for each. strategy: whose
    devices of this process share every batch; the first device of the process without it.
    """
    if strategy is not None:
        return _spread(folded, strategy)
    model = build_folded(folded)

    @tf.function(jit_compile=jit_compile)
    def trace(images: tf.Tensor) -> tf.Tensor:
        return model(images, training=False)

    forward = trace.get_concrete_function(tf.TensorSpec((None, None, None, folded.network.channels), tf.uint8))

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        return {'raw': forward(tf.constant(images)).numpy()}

    return Backend(run, 'tensorflow')


def _spread(folded: FoldedNetwork, strategy: tf.distribute.Strategy) -> Backend:
    """The same over the devices of a strategy; traced for each number and size of images."""
    with strategy.scope():
        model = build_folded(folded)
    compute = replicas.spread(lambda images: {'raw': model(images, training=False)}, strategy)
    return Backend(lambda images: compute(tf.constant(images)), 'tensorflow')
