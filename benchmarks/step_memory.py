"""The most memory of a process that trains, and what `train.py` would estimate for it.

  python benchmarks/step_memory.py --model=yolov2 --size=608 --batch_size=64 --subdivisions=8
  python benchmarks/step_memory.py --table

Takes two steps on a constant batch of noise, with everything that `train.py` has in its process. --table: how many
images at once (of a subdivision, on one GPU) fit into 8, 16, 24 and 80 GB, by the estimate.
"""

import dataclasses
import functools

import keras_step
import peak_memory
import tensorflow as tf
from absl import app, flags

from yolo import memory as machine_memory
from yolo.memory import keep_freed_memory
from yolo.models.memory import most_that_fit
from yolo.training import distribution, memory, state, step

FLAGS = flags.FLAGS
flags.DEFINE_integer('subdivisions', 1, 'Parts of the batch.')
flags.DEFINE_bool('jit_compile', True, 'Compile the step with XLA.')
flags.DEFINE_bool('table', False, 'Print what fits, by the estimate, and measure nothing.')

GB = (8, 16, 24, 80)


def config_of(size: int, **changes):
    """A run at one image size."""
    changes = {'batch_size': FLAGS.batch_size, 'jit_compile': FLAGS.jit_compile, **changes}
    return keras_step.config_of(size, sizes=((size, size),), precision=FLAGS.precision, **changes)


def measure() -> None:
    """Takes two steps and prints the most memory."""
    keep_freed_memory()
    config = config_of(FLAGS.size, subdivisions=FLAGS.subdivisions)
    strategy = distribution.make_strategy()
    run_state = state.make_state(config, strategy)
    accumulators = step.make_accumulators(run_state, config, strategy)
    steps = step.make_steps(run_state, config, strategy, (FLAGS.size, FLAGS.size), accumulators)
    same = tf.data.Dataset.from_tensors(keras_step.batch()).repeat()
    batches = iter(strategy.distribute_datasets_from_function(lambda _: same))
    for number in range(2):
        loss = float(steps(batches, number, 1)[0][0, 0])
    estimated = memory.on_each_device(config, strategy)
    print(
        f'{FLAGS.model}, {FLAGS.batch_size} images of {FLAGS.size}, {FLAGS.subdivisions} subdivisions: '
        f'{peak_memory.peak() / 1e9:.2f} GB, estimated {estimated.likely / 1e9:.2f} GB (loss {loss:.2f})'
    )


def table() -> None:
    """Prints what fits."""
    for size in (416, 608):
        for gigabytes in GB:
            fits = {}
            for precision in ('float32', 'mixed_bfloat16'):
                config = dataclasses.replace(config_of(size, subdivisions=1), precision=precision)
                estimate = functools.partial(memory.estimate, config, on_cpu=False)
                fits[precision] = most_that_fit(estimate, gigabytes * machine_memory.GIB)
            print(f'{FLAGS.model}, {size} x {size}, {gigabytes} GB: {fits}')


def main(_) -> None:
    """Measures or prints the table."""
    if FLAGS.table:
        table()
    else:
        measure()


if __name__ == '__main__':
    app.run(main)
