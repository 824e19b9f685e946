"""Sums over the parts of a batch, for steps that compute the gradient part by part."""

import math

import tensorflow as tf

from yolo.training.gradients import SUMS, Gradients, Weights


class Accumulators:
    """Gradients and SUMS added up over the parts so far, and batch norm's moving statistics after them.

    Every replica has its own. Make them under the strategy's scope.
    """

    def __init__(self, variables: Weights):
        def accumulator(shape) -> tf.Variable:
            return tf.Variable(
                tf.zeros(shape),
                trainable=False,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.SUM,
            )

        self._gradients = [accumulator(weight.shape) for weight in variables.trained]
        self._moving = accumulator((sum(math.prod(each.shape) for each in variables.moving),))
        self._sums = accumulator((len(SUMS),))

    def begin(self, variables: Weights) -> None:
        """Before the first part; variables: those of the model."""
        for each in (*self._gradients, self._sums):
            each.assign(tf.zeros(each.shape))
        self._moving.assign(variables.read_moving())

    def add(self, part: Gradients) -> None:
        """Adds a part."""
        for accumulator, gradient in zip(self._gradients, part.gradients, strict=True):
            accumulator.assign_add(gradient)
        self._moving.assign(part.moving)
        self._sums.assign_add(part.sums)

    @property
    def moving(self) -> tf.Tensor:
        """The moving statistics after the parts so far."""
        return tf.convert_to_tensor(self._moving)

    def read(self) -> Gradients:
        """All of it."""
        return Gradients(
            [tf.convert_to_tensor(each) for each in self._gradients], self.moving, tf.convert_to_tensor(self._sums)
        )
