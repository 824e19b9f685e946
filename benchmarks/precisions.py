"""The training step in float32 and in mixed precision, with and without XLA, in turn, in one run on the first device.

  python benchmarks/precisions.py --model=yolov2 --size=416 --batch_size=8

All take the same constant batch of noise. Prints the device, the loss of the first step of each, the seconds of a step
(medians over the rounds), images/s, and the ratio of its speed to that of float32 with XLA.
"""

import statistics

import in_turn
import keras_step
import tensorflow as tf
from absl import app, flags

from yolo import memory
from yolo.training import distribution

FLAGS = flags.FLAGS
flags.DEFINE_list('precisions', ['float32', 'mixed_bfloat16', 'mixed_float16'], 'What to compute in.')


def main(_) -> None:
    """Measures in turn and prints."""
    memory.keep_freed_memory()  # as train.py does
    data = keras_step.batch()
    print(f'{distribution.describe(distribution.make_strategy())}, TensorFlow {tf.__version__}')
    print(f'{FLAGS.model}, {FLAGS.batch_size} images of {FLAGS.size} x {FLAGS.size}')
    takers = {}
    for precision in FLAGS.precisions:
        for name, jit_compile in (('XLA', True), ('no XLA', False)):
            changed = keras_step.config_of(FLAGS.size, precision=precision, jit_compile=jit_compile)
            take = takers[f'{precision}, {name}'] = keras_step.ours(changed, data)[0]
            print(f'{precision}, {name}: loss of the first step {take():.4f}', flush=True)
    rounds = [in_turn.seconds(takers) for _ in range(FLAGS.rounds)]
    base = next(iter(takers))
    for name in takers:
        median = statistics.median(each[name] for each in rounds)
        ratios = in_turn.spread([each[base] / each[name] for each in rounds])
        print(f'{name}: {median:.3f} s, {FLAGS.batch_size / median:.1f} images/s, speed {ratios}')


if __name__ == '__main__':
    app.run(main)
