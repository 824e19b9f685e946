"""Training steps as one graph: next batch, pixels, network, loss, gradients, update, averaged weights."""

import time
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from yolo.data import pipeline
from yolo.models.layers import BatchNorm, MaxPool2D
from yolo.training import losses
from yolo.training.config import TrainConfig
from yolo.training.state import State

# The metrics of a step, in the order in which it returns them: the loss and its parts (averaged over the batch), the
# sums of `losses.statistics`, and four more. `skipped` is 1 for a step that changed nothing but the scale of the loss,
# and `loss_scale` the one that it had; both are 0 without such a scale.
TERMS = ('loss', 'box', 'objectness', 'class')
SCALING = ('skipped', 'loss_scale')
METRICS = (*TERMS, *losses.STATISTICS, 'gradient_norm', 'seconds_waited', *SCALING)


def make_steps(
    state: State, config: TrainConfig, strategy: tf.distribute.Strategy, size: tuple[int, int]
) -> Callable[[Iterator, tf.Tensor, tf.Tensor], tf.Tensor]:
    """A graph function that takes several training steps with images of `size` (height, width).

    It is called with an iterator over (distributed) batches, the number of the first step and the number of steps (both
    int64), and returns the metrics of every step, (count, len(METRICS)) float32.

    The loss is summed over the replicas. `region`: each replica's sum over its images, divided by the global batch
    size; `notebook`: each replica's sums, divided by global counts. The gradients are summed as well, so each replica
    adds its share of the weight decay: 1 and 8 replicas take the same step.
    """
    for layer in state.model.layers:
        if isinstance(layer, MaxPool2D):
            layer.pairwise = config.jit_compile  # faster under XLA
    replica_step = _make_replica_step(state, config, size, config.weight_decay / strategy.num_replicas_in_sync)

    @tf.function
    def steps(iterator, step: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        metrics = tf.TensorArray(tf.float32, tf.cast(count, tf.int32))
        for i in tf.range(count):
            batch, seconds_waited = _next_batch(iterator)
            terms = strategy.run(replica_step, args=(batch, step + i))
            terms = {name: strategy.reduce('SUM', term, axis=None) for name, term in terms.items()}
            terms = dict.fromkeys(SCALING, 0.0) | terms
            terms |= {'gradient_norm': _gradient_norm(state.optimizer), 'seconds_waited': seconds_waited}
            metrics = metrics.write(tf.cast(i, tf.int32), tf.stack([terms[name] for name in METRICS]))
        return metrics.stack()

    return _trace_once(steps)


def _trace_once(function) -> Callable:
    """A graph function that is traced at its first call, and never again: other shapes are an error.

    TensorFlow takes a graph for each image size for a function that is traced again and again, and warns; it does not
    count graphs that are asked for.
    """
    graphs: list[Callable] = []

    def call(*args):
        if not graphs:
            graphs.append(function.get_concrete_function(*args))
        return graphs[0](*args)

    return call


def _make_replica_step(state: State, config: TrainConfig, size: tuple[int, int], weight_decay: float) -> Callable:
    """A step on one replica: its shard of the batch, and the step's number -> its share of the loss and statistics."""
    weights, optimizer = state.model.trainable_variables, state.optimizer

    def replica_step(batch: dict[str, tf.Tensor], step: tf.Tensor) -> dict[str, tf.Tensor]:
        images = pipeline.augment_images(batch, size)  # (B, H, W, 3) float32
        places = _stored_places(batch, size)
        loss_scale = optimizer.dynamic_scale if _scales_loss(optimizer) else 1.0
        restore = _moving_statistics(state.model) if _scales_loss(optimizer) else None
        with tf.GradientTape() as tape:
            raw = state.model(images, training=True)  # (B, GH, GW, A, 5 + C)
            terms = _loss_terms(config, raw, batch, places, seen=step * config.batch_size)
            scaled_loss = terms['loss'] * loss_scale
        statistics = losses.statistics(raw, batch['boxes'], batch['labels'], config.anchors, places)
        gradients = tape.gradient(scaled_loss, weights)
        gradients = _add_weight_decay(gradients, state.model, weight_decay * loss_scale)
        skipped, scaling = None, {}
        if restore is not None:
            skipped = _is_skipped(gradients, terms)
            gradients = [tf.where(skipped, float('nan'), gradients[0]), *gradients[1:]]  # what Keras looks at
            scaling = _scaling_metrics(skipped, loss_scale)
            restore(skipped)
        optimizer.apply(gradients, weights)
        if state.averaged is not None:
            _update_average(state, config.ema, step, skipped)
        return {**terms, **statistics, **scaling}

    return tf.function(replica_step, jit_compile=True) if config.jit_compile else replica_step


def _next_batch(iterator) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """The next batch, and the seconds (float32) that the step waited for it."""
    start = _now()
    with tf.control_dependencies([start]):
        batch = next(iterator)
    with tf.control_dependencies(tf.nest.flatten(batch, expand_composites=True)):
        seconds = _now() - start
    return batch, tf.cast(seconds, tf.float32)


def _now() -> tf.Tensor:
    """The time in seconds (tf.timestamp is not allowed when determinism is on)."""
    return tf.ensure_shape(tf.numpy_function(time.perf_counter, [], tf.float64), ())


def _stored_places(batch: dict[str, tf.Tensor], size: tuple[int, int]) -> tf.Tensor | None:
    """The responsible cells and anchors that the records hold; None at another size, where they are not valid."""
    if 'places' in batch and tuple(size) == tuple(batch['image'].shape[1:3]):
        return batch['places']
    return None


def _loss_terms(config: TrainConfig, raw: tf.Tensor, batch: dict, places, seen: tf.Tensor) -> dict[str, tf.Tensor]:
    """The parts of the loss and `loss`, their sum: scalars, this replica's share."""
    terms = losses.TERMS[config.loss](raw, batch['boxes'], batch['labels'], config.anchors, seen, places)
    if config.loss == 'region':
        terms = {name: term / config.batch_size for name, term in terms.items()}
    return {**terms, 'loss': tf.add_n(list(terms.values()))}


def _add_weight_decay(gradients: list[tf.Tensor], model: keras.Model, weight_decay) -> list[tf.Tensor]:
    """Adds the gradient of L2 to that of the convolution kernels; biases and batch norms have no weight decay."""
    kernels = {layer.kernel.path for layer in model.layers if isinstance(layer, keras.layers.Conv2D)}
    return [
        gradient + weight_decay * weight if weight.path in kernels else gradient
        for gradient, weight in zip(gradients, model.trainable_variables, strict=True)
    ]


def _scales_loss(optimizer: keras.optimizers.Optimizer) -> bool:
    """Whether the loss is multiplied by a scale so that float16 gradients do not underflow."""
    return isinstance(optimizer, keras.optimizers.LossScaleOptimizer)


def _gradient_norm(optimizer: keras.optimizers.Optimizer) -> tf.Tensor:
    """The norm of the last step's gradient, summed over replicas, as `optimizer.NormMixin` measured it."""
    return tf.convert_to_tensor(getattr(optimizer, 'inner_optimizer', optimizer).gradient_norm)


def _is_skipped(gradients: list[tf.Tensor], terms: dict[str, tf.Tensor]) -> tf.Tensor:
    """Whether a gradient or a part of the loss is not finite in any replica, so that all of them skip the step.

    Keras' LossScaleOptimizer looks at the gradients of the first replica alone.
    """
    values = [*gradients, *terms.values()]
    is_finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(value)) for value in values])
    num_bad = tf.cast(~is_finite, tf.float32)
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync > 1:
        num_bad = context.all_reduce(tf.distribute.ReduceOp.SUM, num_bad)
    return num_bad > 0


def _scaling_metrics(skipped: tf.Tensor, loss_scale) -> dict[str, tf.Tensor]:
    """This replica's share of the metrics SCALING."""
    replicas = tf.distribute.get_replica_context().num_replicas_in_sync
    values = tf.cast(skipped, tf.float32), tf.convert_to_tensor(loss_scale)
    return {name: value / replicas for name, value in zip(SCALING, values, strict=True)}


def _moving_statistics(model: keras.Model) -> Callable[[tf.Tensor], None]:
    """A function that gives batch norm the moving statistics of now, where a step that changed them is skipped.

    In float16 activations overflow, and their mean and variance would stay so for good.
    """
    layers = [layer for layer in model.layers if isinstance(layer, BatchNorm) and layer.trainable]
    weights = [weight for layer in layers for weight in (layer.mean, layer.variance)]
    before = [tf.identity(weight) for weight in weights]

    def restore(skipped: tf.Tensor) -> None:
        for weight, value in zip(weights, before, strict=True):
            weight.assign(tf.where(skipped, value, tf.convert_to_tensor(weight)))

    return restore


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

    tf.distribute.get_replica_context().merge_call(move, args=(keep,))
