"""Errors that end a run: in plain words, and with everything closed that was open."""

import contextlib
import textwrap
from collections.abc import Callable, Iterator

import tensorflow as tf

from yolo.data import pipeline
from yolo.training import compiled, memory
from yolo.training.config import TrainConfig
from yolo.training.distribution import is_of_others, num_workers


@contextlib.contextmanager
def clear_errors(config: TrainConfig, strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Raises OSError in plain words for TensorFlow's errors about TensorBoard's file and lost processes.

    ValueError for those about damaged records and about too little memory.
    """
    try:
        with pipeline.naming_damage(config.data_dir, config.train_split):
            yield
    except tf.errors.OpError as error:
        if 'events file' in error.message:  # TensorFlow's own message has several lines
            raise OSError(
                f"TensorBoard's file cannot be written to {config.model_dir}/tensorboard: the disk may be full; "
                'the same command goes on from the last checkpoint'
            ) from error
        if compiled.is_of_programs(error.message):
            raise _about_programs(error) from error
        if isinstance(error, tf.errors.ResourceExhaustedError):
            raise ValueError(_too_little_memory(config, strategy, error)) from error
        if num_workers(strategy) == 1 or not is_of_others(error):
            raise
        raise lost(error, '; they go on from the last checkpoint') from error


@contextlib.contextmanager
def naming_lost(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Raises ConnectionError in plain words for TensorFlow's errors about lost processes."""
    try:
        yield
    except tf.errors.OpError as error:
        if num_workers(strategy) == 1 or not is_of_others(error):
            raise
        raise lost(error) from error


def lost(error: tf.errors.OpError, and_then: str = '') -> ConnectionError:
    """The error of a process that lost the others, in plain words."""
    cause = error.message.rpartition('aborted by: ')[2]  # the part before it is a place in the graph
    return ConnectionError(
        'this process lost the others: one of them has ended, or cannot be reached. Start all again with the same '
        f'commands{and_then}. ({textwrap.shorten(cause, 300)})'
    )


def _about_programs(error: tf.errors.OpError) -> Exception:
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return OSError(
            'a compiled program cannot be written to --compiled_dir: the disk may be full; use another folder'
        )
    return ValueError(
        'a compiled program in --compiled_dir cannot be read: remove what is in that folder, or use another'
    )


def _too_little_memory(config: TrainConfig, strategy: tf.distribute.Strategy, error: tf.errors.OpError) -> str:
    height, width = memory.largest_size(config)
    of_device = config.batch_size // strategy.num_replicas_in_sync
    images = of_device // config.subdivisions
    more = [parts for parts in range(config.subdivisions + 1, of_device + 1) if of_device % parts == 0]
    ways_out = [
        *([f'--subdivisions={" or ".join(map(str, more[:2]))}'] if more else []),
        'smaller --sizes',
        *(['--precision=mixed_bfloat16'] if config.precision == 'float32' else []),
        'a smaller network (--model, --width)',
    ]
    return (
        f'a device has too little memory for {images} images of {width} x {height} pixels at once '
        f'(--batch_size={config.batch_size}, --subdivisions={config.subdivisions}); use {", ".join(ways_out)}, in '
        f'another --model_dir if there is a checkpoint already. '
        f'({textwrap.shorten(error.message, 200)})'
    )


@contextlib.contextmanager
def closing(*closers: Callable[[], object]) -> Iterator[None]:
    """Calls every one of `closers` when it is left, in this order, also after an error and when one of them fails.

    After an error it raises that one, whatever the closers raise: on a full disk the first says more.
    """
    try:
        yield
    except BaseException:
        with contextlib.suppress(tf.errors.OpError, OSError):
            _call_all(closers)
        raise
    _call_all(closers)


def _call_all(functions: tuple[Callable[[], object], ...]) -> None:
    with contextlib.ExitStack() as stack:
        for function in reversed(functions):
            stack.callback(function)
