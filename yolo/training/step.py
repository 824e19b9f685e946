"""Steps of training as one graph: next batch, pixels, network, loss, gradients, update, averaged weights."""

import time
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from yolo.data import pipeline
from yolo.models.layers import MaxPool2D
from yolo.training import losses
from yolo.training.config import TrainConfig
from yolo.training.state import State

# What a step tells, each a sum over the batch: the loss and its parts, what `losses.statistics` counts, and more.
TERMS = ('loss', 'box', 'objectness', 'class')
NAMES = (*TERMS, *losses.STATISTICS, 'gradient_norm', 'seconds_waited')


def make_steps(
    state: State, config: TrainConfig, strategy: tf.distribute.Strategy, size: tuple[int, int]
) -> Callable[[Iterator, tf.Tensor, tf.Tensor], tf.Tensor]:
    """A graph function that takes `count` steps, from number `step` on, with images of `size`.

    It is given an iterator over (distributed) batches, step and count (int64), and returns (count, len(NAMES)) float32.
    The loss is the sum over all replicas of each one's share: for `region` the sum over its images divided by the
    global batch, for `notebook` its sums divided by global counts. The replicas' gradients are summed, so weight decay
    is divided by their number: any number of replicas takes the same step.
    """
    weights, optimize = state.model.trainable_variables, state.optimizer
    kernels = {layer.kernel.path for layer in state.model.layers if isinstance(layer, keras.layers.Conv2D)}
    scaled = isinstance(optimize, keras.optimizers.LossScaleOptimizer)
    decay = config.weight_decay / strategy.num_replicas_in_sync
    for layer in state.model.layers:
        if isinstance(layer, MaxPool2D):
            layer.pairwise = config.jit_compile

    def gradients(batch: dict[str, tf.Tensor], seen: tf.Tensor) -> tuple[dict, list]:
        images = pipeline.augment_images(batch, size)
        # What the records say of responsible places is right for their size alone.
        places = batch['places'] if 'places' in batch and tuple(size) == tuple(batch['image'].shape[1:3]) else None
        factor = optimize.dynamic_scale if scaled else 1.0
        with tf.GradientTape() as tape:
            raw = state.model(images, training=True)
            terms = losses.TERMS[config.loss](raw, batch['boxes'], batch['labels'], config.anchors, seen, places)
            if config.loss == 'region':
                terms = {name: term / config.batch_size for name, term in terms.items()}
            terms['loss'] = tf.add_n(list(terms.values()))
            target = terms['loss'] * factor
        terms |= losses.statistics(raw, batch['boxes'], batch['labels'], config.anchors, places)
        slopes = [
            g + decay * factor * w if w.path in kernels else g
            for g, w in zip(tape.gradient(target, weights), weights, strict=True)
        ]
        return terms, slopes

    def update(slopes: list, step: tf.Tensor) -> None:
        if scaled:
            slopes = _not_finite_anywhere(slopes)
        optimize.apply(slopes, weights)
        if state.averaged is not None:
            _average(state, config.ema, step)

    def replica_step(batch: dict[str, tf.Tensor], step: tf.Tensor) -> dict[str, tf.Tensor]:
        terms, slopes = gradients(batch, step * config.batch_size)
        update(slopes, step)
        return terms

    if config.jit_compile:
        replica_step = tf.function(replica_step, jit_compile=True)

    @tf.function
    def steps(iterator, step: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        told = tf.TensorArray(tf.float32, tf.cast(count, tf.int32))
        for i in tf.range(count):
            before = _now()
            with tf.control_dependencies([before]):
                batch = next(iterator)
            with tf.control_dependencies(tf.nest.flatten(batch, expand_composites=True)):
                waited = _now() - before
            terms = strategy.run(replica_step, args=(batch, step + i))
            terms = {name: strategy.reduce('SUM', term, axis=None) for name, term in terms.items()}
            terms |= {'gradient_norm': _gradient_norm(optimize), 'seconds_waited': tf.cast(waited, tf.float32)}
            told = told.write(tf.cast(i, tf.int32), tf.stack([terms[name] for name in NAMES]))
        return told.stack()

    return steps


def _now() -> tf.Tensor:
    """The time in seconds (tf.timestamp is refused where determinism was asked for)."""
    return tf.ensure_shape(tf.numpy_function(time.perf_counter, [], tf.float64), ())


def _gradient_norm(optimize: keras.optimizers.Optimizer) -> tf.Tensor:
    """The norm of the last step's gradient, summed over replicas, as `optimizer.NormMixin` noted it."""
    return tf.convert_to_tensor(getattr(optimize, 'inner_optimizer', optimize).gradient_norm)


def _not_finite_anywhere(slopes: list[tf.Tensor]) -> list[tf.Tensor]:
    """Gradients that are not finite on this replica if they are not on any: Keras looks at the first replica alone."""
    finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(slope)) for slope in slopes])
    bad = tf.cast(~finite, tf.float32)
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync > 1:
        bad = context.all_reduce(tf.distribute.ReduceOp.SUM, bad)
    return [tf.where(bad > 0, float('nan'), slopes[0]), *slopes[1:]]


def _average(state: State, ema: float, step: tf.Tensor) -> None:
    """Moves the averaged weights, batch norm's moving statistics among them, towards the trained ones.

    As tf.train.ExponentialMovingAverage with num_updates: shorter memory in the beginning.
    """
    done = tf.cast(step, tf.float32)
    keep = tf.minimum(ema, (1 + done) / (10 + done))

    def move(strategy: tf.distribute.Strategy, keep) -> None:
        for average, weight in zip(state.published.weights, state.model.weights, strict=True):
            strategy.extended.update(
                average.value, lambda a, w, k: a.assign(k * a + (1 - k) * w), args=(weight.value, keep), group=False
            )

    tf.distribute.get_replica_context().merge_call(move, args=(keep,))
