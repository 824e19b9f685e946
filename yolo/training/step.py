"""Training steps as one graph: batch, gradients of its parts, update.

A step computes the gradient of a batch in `config.subdivisions` parts, one after another, and then changes the weights.
What replicas compute on their own is a function of tensors (`gradients`); where replicas exchange something, `update`
and synchronised batch norm, the strategy does it.
"""

import time
from collections.abc import Callable, Iterator
from concurrent import futures

import tensorflow as tf

from yolo.models.layers import BatchNorm, MaxPool2D
from yolo.training.accumulators import Accumulators
from yolo.training.config import LOCAL, SYNCHRONIZED, TrainConfig
from yolo.training.gradients import Batch, Gradients, Values, Weights, make_gradients, part_of, weights_of
from yolo.training.state import State
from yolo.training.update import loss_scale, make_update


def make_steps(
    state: State,
    config: TrainConfig,
    strategy: tf.distribute.Strategy,
    size: tuple[int, int],
    accumulators: Accumulators | None = None,
) -> Callable[[Iterator, int, int], tuple[tf.Tensor, float]]:
    """A function that takes training steps with images of `size` (height, width), each call in one graph.

    It is called with an iterator over (distributed) batches, the number of the first step and the number of steps, and
    returns the metrics of every step, (count, len(METRICS)) float32, and how many seconds it waited for the first batch
    (the graph takes the later ones). accumulators: with more than one subdivision, those of the trained weights.

    The losses of the replicas are their shares (`make_gradients` says of what), which are summed. The gradients are
    summed as well, so each replica adds its share of the weight decay: with synchronised batch norm, 1 and 8 replicas
    take the same step.
    """
    for layer in state.model.layers:
        if isinstance(layer, MaxPool2D):
            layer.pairwise = config.jit_compile  # faster under XLA
        if isinstance(layer, BatchNorm):
            layer.synchronized = config.batch_norm == SYNCHRONIZED
    one_step, steps = _graphs(_make_step(state, config, strategy, size, accumulators))

    def call(iterator: Iterator, step: int, count: int) -> tuple[tf.Tensor, float]:
        since = time.perf_counter()
        batch = next(iterator)
        seconds_waited = time.perf_counter() - since
        number = tf.constant(step, tf.int64)
        if count == config.steps_per_loop == 1:
            return one_step(batch, number), seconds_waited
        return steps(batch, number, tf.constant(count, tf.int64), iterator), seconds_waited

    return call


def _graphs(take_step: Callable[[Batch, tf.Tensor], tf.Tensor]) -> tuple[Callable, Callable]:
    """One step as a graph, and any number of them."""

    @tf.function
    def one_step(batch: Batch, step: tf.Tensor) -> tf.Tensor:
        return take_step(batch, step)[None]

    @tf.function
    def steps(batch: Batch, step: tf.Tensor, count: tf.Tensor, iterator) -> tf.Tensor:
        metrics = tf.TensorArray(tf.float32, tf.cast(count, tf.int32))
        for i in tf.range(count):
            metrics = metrics.write(tf.cast(i, tf.int32), take_step(batch, step + i))
            if i + 1 < count:
                batch = next(iterator)
        return metrics.stack()

    return _trace_once(one_step), _trace_once(steps)


def make_accumulators(state: State, config: TrainConfig, strategy: tf.distribute.Strategy) -> Accumulators | None:
    """What a step of several subdivisions adds its parts up in, for the weights that are trained now."""
    if config.subdivisions == 1:
        return None
    with strategy.scope():
        return Accumulators(weights_of(state.model))


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


def _make_step(
    state: State,
    config: TrainConfig,
    strategy: tf.distribute.Strategy,
    size: tuple[int, int],
    accumulators: Accumulators | None,
) -> Callable[[Batch, tf.Tensor], tf.Tensor]:
    """A function: a distributed batch and the number of the step -> METRICS; it takes the step."""
    variables, replicas = weights_of(state.model), strategy.num_replicas_in_sync
    is_local = config.batch_norm == LOCAL
    gradients = make_gradients(state.model, config, size, config.subdivisions * (replicas if is_local else 1))
    if replicas > 1 and is_local:
        gradients = _traced_for_all_replicas(gradients, config.jit_compile)
    update = make_update(state, config, variables)
    jit_compile = config.jit_compile and replicas == 1

    def take_step(batch: Batch, step: tf.Tensor) -> tf.Tensor:
        seen = step * config.batch_size
        return update(gradients(variables.read(), batch, seen, loss_scale(state.optimizer)), step)

    if accumulators is not None:
        take_part = _make_part(state, config, variables, gradients, accumulators)
        return _step_in_parts(config, strategy, variables, accumulators, take_part, update, jit_compile)
    take_step = tf.function(take_step, jit_compile=True) if jit_compile else take_step
    return lambda *args: _of_any_replica(strategy, strategy.run(take_step, args=args))


def _make_part(
    state: State,
    config: TrainConfig,
    variables: Weights,
    gradients: Callable[..., Gradients],
    accumulators: Accumulators,
) -> Callable[[Batch, tf.Tensor, tf.Tensor], None]:
    """A function of one replica: its batch, the number of the step and of the part; it adds up that part."""
    parts = config.subdivisions

    def take_part(batch: Batch, step: tf.Tensor, number: tf.Tensor) -> None:
        values = variables.read()._replace(moving=accumulators.moving)
        part = part_of(batch, number, parts, neighbours=config.batch_norm == LOCAL)
        seen = step * config.batch_size + number * (config.batch_size // parts)
        accumulators.add(gradients(values, part, seen, loss_scale(state.optimizer)))

    return take_part


def _step_in_parts(
    config: TrainConfig,
    strategy: tf.distribute.Strategy,
    variables: Weights,
    accumulators: Accumulators,
    take_part: Callable[[Batch, tf.Tensor, tf.Tensor], None],
    update: Callable[[Gradients, tf.Tensor], tf.Tensor],
    jit_compile: bool,
) -> Callable[[Batch, tf.Tensor], tf.Tensor]:
    """As `_make_step`, part by part: in a loop, so that one part at a time needs memory."""

    def finish(step: tf.Tensor) -> tf.Tensor:
        return update(accumulators.read(), step)

    if jit_compile:
        take_part, finish = tf.function(take_part, jit_compile=True), tf.function(finish, jit_compile=True)

    def take_step(batch: Batch, step: tf.Tensor) -> tf.Tensor:
        strategy.run(accumulators.begin, args=(variables,))
        for number in tf.range(tf.constant(config.subdivisions, tf.int64)):
            strategy.run(take_part, args=(batch, step, number))
        return _of_any_replica(strategy, strategy.run(finish, args=(step,)))

    return take_step


def _of_any_replica(strategy: tf.distribute.Strategy, value) -> tf.Tensor:
    """A value that is the same in every replica."""
    return strategy.experimental_local_results(value)[0]


def _traced_for_all_replicas(function: Callable[..., Gradients], jit_compile: bool) -> Callable[..., Gradients]:
    """The function as a graph that is traced once, whichever replica calls it first; it may capture no variable."""
    traced: list[Callable] = []

    @tf.autograph.experimental.do_not_convert
    def call(values: Values, *args) -> Gradients:
        args = tf.nest.map_structure(tf.convert_to_tensor, (values, *args))
        if not traced:
            specs = tf.nest.map_structure(tf.TensorSpec.from_tensor, args)
            graph = tf.function(function, jit_compile=jit_compile)
            # In a thread of its own there is no replica, no device and no tape around it.
            with futures.ThreadPoolExecutor(1) as pool:
                traced.append(pool.submit(graph.get_concrete_function, *specs).result())
        return traced[0](*args)

    return call
