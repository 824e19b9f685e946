"""What a step does with the gradient of its batch: sums over the replicas, skipped steps, weights, averaged weights."""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from yolo.models.replicas import num_replicas, on_all_replicas, sum_over_replicas
from yolo.training.config import LOCAL, TrainConfig
from yolo.training.gradients import SUMS, TERMS, Gradients, Weights, add_weight_decay
from yolo.training.state import State

# The metrics of a step, in the order in which it returns them: SUMS (the loss and its parts are averages over the
# batch) and three more. `skipped` is 1 for a step that changed nothing but the scale of the loss, and `loss_scale` the
# one that it had; both are 0 without such a scale.
METRICS = (*SUMS, 'gradient_norm', 'skipped', 'loss_scale')


def loss_scale(optimizer: keras.optimizers.Optimizer) -> tf.Tensor | float:
    """By what the loss is multiplied so that float16 gradients do not underflow; 1.0 without need."""
    return tf.convert_to_tensor(optimizer.dynamic_scale) if _scales_loss(optimizer) else 1.0


def _scales_loss(optimizer: keras.optimizers.Optimizer) -> bool:
    """Whether the loss is multiplied by a scale."""
    return isinstance(optimizer, keras.optimizers.LossScaleOptimizer)


def make_update(state: State, config: TrainConfig, variables: Weights) -> Callable[[Gradients, tf.Tensor], tf.Tensor]:
    """A function of one replica: the gradients of its share of a batch, the step's number -> METRICS (of all replicas).

    It changes the weights. Metrics and moving statistics, as far as replicas have their own, are summed in one
    reduction. Each replica adds its share of the weight decay.
    """
    optimizer, is_local = state.optimizer, config.batch_norm == LOCAL

    def update(of_batch: Gradients, step: tf.Tensor) -> tf.Tensor:
        replicas, scale = num_replicas(), loss_scale(optimizer)
        gradients = add_weight_decay(of_batch.gradients, variables.trained, config.weight_decay / replicas * scale)
        own = [of_batch.sums, *([of_batch.moving / replicas] if is_local else [])]
        if _scales_loss(optimizer):
            own.append(_is_bad([*gradients, of_batch.sums[: len(TERMS)]])[None])
        total = _sum_in_one(own)
        sums, moving = total[0], total[1] if is_local else of_batch.moving
        skipped = None
        if _scales_loss(optimizer):
            skipped = total[-1][0] > 0
            gradients = [tf.where(skipped, float('nan'), gradients[0]), *gradients[1:]]  # what Keras looks at
            # In float16 activations overflow, and so would their mean.
            moving = tf.where(skipped, variables.read_moving(), moving)
        optimizer.apply(gradients, variables.trained)
        _assign(variables.moving, variables.split(moving))
        if state.averaged is not None:
            _update_average(state, config.ema, step, skipped)
        scaling = [0.0, 0.0] if skipped is None else [tf.cast(skipped, tf.float32), scale]
        return tf.concat([sums, [_gradient_norm(optimizer), *scaling]], 0)

    return update


def _sum_in_one(vectors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """The sums of vectors over the replicas, in one reduction."""
    [total] = sum_over_replicas([tf.concat(vectors, 0)])
    return tf.split(total, [vector.shape[0] for vector in vectors])


def _is_bad(values: Sequence[tf.Tensor]) -> tf.Tensor:
    """1.0 if anything is not finite. Keras' LossScaleOptimizer looks at the gradients of the first replica alone."""
    is_finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(value)) for value in values])
    return tf.cast(~is_finite, tf.float32)


def _gradient_norm(optimizer: keras.optimizers.Optimizer) -> tf.Tensor:
    """The norm of the last step's gradient, summed over replicas, as `optimizer.NormMixin` measured it."""
    return tf.convert_to_tensor(getattr(optimizer, 'inner_optimizer', optimizer).gradient_norm)


def _assign(variables: Sequence[keras.Variable], values: Sequence[tf.Tensor]) -> None:
    """Gives variables values that are the same in every replica."""

    def assign(strategy: tf.distribute.Strategy, *values) -> None:
        for variable, value in zip(variables, values, strict=True):
            strategy.extended.update(variable.value, lambda v, x: v.assign(x), args=(value,), group=False)

    on_all_replicas(assign, values)


def _update_average(state: State, ema: float, step: tf.Tensor, skipped: tf.Tensor | None) -> None:
    """Moves the averaged weights, batch norm's moving statistics among them, towards the trained ones.

    Not where the step is skipped; None: steps never are. As tf.train.ExponentialMovingAverage with num_updates: the
    memory is shorter in the beginning.
    """
    done = tf.cast(step, tf.float32)
    keep = tf.minimum(ema, (1 + done) / (10 + done))
    if skipped is not None:
        keep = tf.where(skipped, 1.0, keep)

    def move(strategy: tf.distribute.Strategy, keep) -> None:
        for average, weight in zip(state.export_model.weights, state.model.weights, strict=True):
            strategy.extended.update(
                average.value, lambda a, w, k: a.assign(k * a + (1 - k) * w), args=(weight.value, keep), group=False
            )

    on_all_replicas(move, [keep])
