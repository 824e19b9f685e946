"""What changes from step to step: the learning rate, as a Keras schedule, and the size of the images."""

import math

import keras
import numpy as np
import tensorflow as tf

BURN_IN_POWER = 4  # Darknet's
NOTEBOOK_EPOCHS = (75, 105)
SIZE_STEPS = 10  # steps between changes of the size


@keras.saving.register_keras_serializable('yolo')
class Rate(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate of a step: base x burn-in x decay.

    As in Darknet (src/network.c, get_current_rate), `batches` counts the batches so far, this one included. For the
    first `burn_in` of them the rate is multiplied by (batches / burn_in)^4; from each of `decay_steps` on by 0.1; with
    `cosine_steps`, by half a cosine that falls from 1 to 0 over that many steps; always by the variable `factor`, if
    given.
    """

    def __init__(
        self,
        base: float,
        burn_in: int = 0,
        decay_steps: tuple[int, ...] = (),
        cosine_steps: int = 0,
        factor: tf.Variable | None = None,
    ):
        self.base, self.burn_in, self.decay_steps = base, burn_in, tuple(decay_steps)
        self.cosine_steps, self.factor = cosine_steps, factor

    def __call__(self, step):
        batches = tf.cast(step, tf.float32) + 1
        rate = tf.constant(self.base, tf.float32)
        if self.burn_in:
            rate *= tf.minimum(batches / self.burn_in, 1.0) ** BURN_IN_POWER
        for decay_step in self.decay_steps:
            rate *= tf.where(batches >= decay_step, 0.1, 1.0)
        if self.cosine_steps:
            rate *= (1 + tf.cos(math.pi * tf.minimum(batches / self.cosine_steps, 1.0))) / 2
        return rate if self.factor is None else rate * self.factor

    def get_config(self):
        return {
            'base': self.base,
            'burn_in': self.burn_in,
            'decay_steps': self.decay_steps,
            'cosine_steps': self.cosine_steps,
        }


def steps_of_epochs(epochs: float, num_images: int, batch_size: int) -> int:
    """In how many steps a run passes so many times over its images: at least one."""
    return max(1, math.ceil(epochs * num_images / batch_size))


def notebook_decay_steps(num_images: int, batch_size: int) -> tuple[int, ...]:
    """The steps at which the notebook's schedule multiplies the rate by 0.1: epochs 75 and 105."""
    return tuple(math.ceil(epoch * num_images / batch_size) for epoch in NOTEBOOK_EPOCHS)


def size_at(sizes: tuple[tuple[int, int], ...], seed: int, step: int) -> tuple[int, int]:
    """The size (height, width) of a step's images: one of `sizes`, drawn every 10 steps from seed and step alone.

    (Darknet examples/detector.c, train_detector. Darknet trains its last 200 batches at the largest size; we do not.)
    """
    if len(sizes) == 1:
        return sizes[0]
    return sizes[np.random.default_rng([seed, step // SIZE_STEPS]).integers(len(sizes))]
