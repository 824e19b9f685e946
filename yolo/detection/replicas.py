"""A batch over the devices of this process: each computes an equal part, as a tf.distribute strategy has them."""

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf


def spread(
    function: Callable[[tf.Tensor], Mapping[str, tf.Tensor]], strategy: tf.distribute.Strategy
) -> Callable[[tf.Tensor], dict[str, np.ndarray]]:
    """A function: a batch (B, ...) -> what `function` gives for it, by name (B, ...), computed by all devices.

    function: is traced, once for each shape; each device calls it with its part. Images that are missing in the last
    part are zeros, whose results are left out. Devices of other processes take no part, and the function must not
    reduce over the replicas: then no process waits for another.
    """
    count = len(strategy.extended.worker_devices)  # of this process

    @tf.function
    def on_each(parts):
        return strategy.run(function, args=(parts,))

    def compute(batch: tf.Tensor) -> dict[str, np.ndarray]:
        size, number = -(-len(batch) // count), len(batch)
        batch = tf.pad(batch, [[0, size * count - number]] + [[0, 0]] * (len(batch.shape) - 1))

        def part(context: tf.distribute.experimental.ValueContext) -> tf.Tensor:
            index = context.replica_id_in_sync_group % count
            return batch[index * size : (index + 1) * size]

        outputs = on_each(strategy.experimental_distribute_values_from_function(part))
        return {name: _joined(strategy.experimental_local_results(parts))[:number] for name, parts in outputs.items()}

    return compute


def _joined(parts: tuple[tf.Tensor, ...]) -> np.ndarray:
    return parts[0].numpy() if len(parts) == 1 else np.concatenate([part.numpy() for part in parts])
