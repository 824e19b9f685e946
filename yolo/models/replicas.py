"""Sums over the replicas of tf.distribute, for constants: no gradient may flow through them."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


def num_replicas() -> int:
    """How many replicas compute this together; 1 outside of a replica of tf.distribute."""
    context = tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def on_all_replicas(function: Callable[..., Any], values: Sequence[Any]) -> Any:
    """Calls a function of the strategy and values of all replicas, once for all; it gives each replica its part.

    In a step that XLA compiles for GPUs there is no such place, and TensorFlow has each replica call it.
    """
    # The same call as in Keras' optimizers.
    merge_call = tf.__internal__.distribute.interim.maybe_merge_call
    return merge_call(function, tf.distribute.get_strategy(), *values)


def sum_over_replicas(values: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """The sums of values of every replica, the same in each of them; the values themselves if there is only one.

    Not `ReplicaContext.all_reduce`: to be differentiable, that one walks over the whole graph of all replicas at every
    call, and a graph with one for each layer takes minutes to build. What needs a gradient has to write it out.
    """
    if num_replicas() == 1:
        return list(values)

    def add(strategy: tf.distribute.Strategy, *values):
        return strategy.extended.batch_reduce_to(tf.distribute.ReduceOp.SUM, [(value, value) for value in values])

    return list(on_all_replicas(add, values))
