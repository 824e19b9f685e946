"""The training step in float32 and in mixed precision, with and without XLA, in turn, in one run on the first device.

  python benchmarks/precisions.py --model=yolov2 --size=416 --batch_size=8

All take the same constant batch of noise. Prints the device, the loss of the first step of each, the seconds of a step
(medians over the rounds), images/s, and the ratio of its speed to that of float32 with XLA.
"""

import dataclasses
import statistics
import tempfile

import in_turn
import keras_step
import tensorflow as tf
from absl import app, flags
from training_loop import make_config

from yolo import memory
from yolo.training import distribution

FLAGS = flags.FLAGS
flags.DEFINE_list('precisions', ['float32', 'mixed_bfloat16', 'mixed_float16'], 'What to compute in.')
ANCHORS = ((1.3, 1.7), (3.2, 4.0), (5.1, 8.1), (9.5, 4.8), (11.2, 10.0))


def main(_) -> None:
    """Measures in turn and prints."""
    memory.keep_freed_memory()  # as train.py does
    config = make_config(tempfile.mkdtemp(), tuple(map(str, range(20))), ANCHORS, (FLAGS.size,) * 2)
    data = keras_step.batch()
    print(f'{distribution.describe(distribution.make_strategy())}, TensorFlow {tf.__version__}')
    print(f'{FLAGS.model}, {FLAGS.batch_size} images of {FLAGS.size} x {FLAGS.size}')
    takers = {}
    for precision in FLAGS.precisions:
        for name, jit_compile in (('XLA', True), ('no XLA', False)):
            changed = dataclasses.replace(config, precision=precision, jit_compile=jit_compile)
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
