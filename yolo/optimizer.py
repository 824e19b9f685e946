"""Optimizers by name, and the one that Keras lacks: SGD whose momentum is Darknet's."""

import keras

from yolo.config import TrainConfig
from yolo.schedule import Rate

OPTIMIZERS = ('sgd', 'adam')


@keras.saving.register_keras_serializable('yolo')
class MomentumSGD(keras.optimizers.SGD):
    """SGD with the rate outside of the momentum: u = momentum u + gradient; weight -= rate u.

    Keras keeps the rate inside of u, which differs from Darknet whenever the rate changes: all through the burn-in.
    (Darknet src/convolutional_layer.c, update_convolutional_layer.)
    """

    def update_step(self, gradient, variable, learning_rate):
        rate = keras.ops.cast(learning_rate, variable.dtype)
        velocity = self.momentums[self._get_variable_index(variable)]
        self.assign(velocity, self.momentum * velocity + keras.ops.cast(gradient, variable.dtype))
        self.assign_sub(variable, rate * velocity)


def make_rate(config: TrainConfig) -> Rate:
    """The learning rate by step."""
    cosine_steps = config.num_steps if config.lr_schedule == 'cosine' else 0
    return Rate(config.learning_rate, config.burn_in, config.decay_steps, cosine_steps)


def make_optimizer(config: TrainConfig) -> keras.optimizers.Optimizer:
    """The optimizer of a run; ValueError for an unknown name. Weight decay is the training step's, not its."""
    if config.optimizer == 'sgd':
        return MomentumSGD(make_rate(config), momentum=config.momentum)
    if config.optimizer == 'adam':
        return keras.optimizers.Adam(make_rate(config))
    raise ValueError(f'unknown optimizer {config.optimizer!r}; there are {", ".join(OPTIMIZERS)}')
