"""Optimizers by name. SGD is our own because the momentum of Keras' differs from Darknet's."""

import keras
import tensorflow as tf

from yolo.models.replicas import sum_over_replicas
from yolo.training.config import TrainConfig
from yolo.training.schedule import Rate


class NormMixin(keras.optimizers.Optimizer):
    """Measures the norm of the gradient after Keras has summed it over all replicas."""

    def build(self, variables):
        super().build(variables)
        self.gradient_norm = tf.Variable(
            0.0,
            trainable=False,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    def _all_reduce_sum_gradients(self, pairs):
        own, variables = zip(*pairs, strict=True)
        gradients = sum_over_replicas(own)
        self.gradient_norm.assign(tf.linalg.global_norm(gradients))
        return list(zip(gradients, variables, strict=True))


class Adam(NormMixin, keras.optimizers.Adam):
    """Keras' Adam."""


@keras.saving.register_keras_serializable('yolo')
class MomentumSGD(NormMixin, keras.optimizers.SGD):
    """SGD with the rate outside of the momentum: velocity = momentum velocity + gradient; weight -= rate velocity.

    Keras has the rate inside of the velocity, which differs when the rate changes: at every step of the burn-in.
    (Darknet src/convolutional_layer.c, update_convolutional_layer.)
    """

    def update_step(self, gradient, variable, learning_rate):
        rate, gradient = (keras.ops.cast(value, variable.dtype) for value in (learning_rate, gradient))
        if not self.momentum:  # Keras' build has made no velocities then
            self.assign_sub(variable, rate * gradient)
            return
        velocity = self.momentums[self._get_variable_index(variable)]
        self.assign(velocity, self.momentum * velocity + gradient)
        self.assign_sub(variable, rate * velocity)


def make_rate(config: TrainConfig, factor: tf.Variable | None = None) -> Rate:
    """The learning rate by step, multiplied by the variable `factor` if there is one."""
    cosine_steps = config.num_steps if config.lr_schedule == 'cosine' else 0
    return Rate(config.learning_rate, config.burn_in, config.decay_steps, cosine_steps, factor)


def make_optimizer(config: TrainConfig, rate_factor: tf.Variable | None = None) -> keras.optimizers.Optimizer:
    """The optimizer of a run. The training step adds the weight decay."""
    rate = make_rate(config, rate_factor)
    optimizer = MomentumSGD(rate, momentum=float(config.momentum)) if config.optimizer == 'sgd' else Adam(rate)
    return keras.optimizers.LossScaleOptimizer(optimizer) if config.precision == 'mixed_float16' else optimizer
