"""Convolutions and their gradients with channels first against channels last, compiled by XLA, in one process.

  python benchmarks/channels.py

For three layers of `yolov2` at 416 x 416; prints the ratio of CPU times, the median over the rounds.
"""

import time
from collections.abc import Callable

import in_turn
import tensorflow as tf
from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_integer('batch_size', 8, 'Images.')
flags.DEFINE_integer('rounds', 7, 'How often both are measured, one after the other.')


def make_step(layout: str, size: int, channels: int, filters: int) -> Callable[[], list]:
    """A function that computes a 3 x 3 convolution and its gradients."""
    shape = (size, size, channels) if layout == 'NHWC' else (channels, size, size)
    images, kernel = tf.random.normal((FLAGS.batch_size, *shape)), tf.random.normal((3, 3, channels, filters))

    @tf.function(jit_compile=True)
    def step() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch([images, kernel])
            total = tf.reduce_sum(tf.square(tf.nn.conv2d(images, kernel, 1, 'SAME', data_format=layout)))
        return [tf.reduce_sum(gradient) for gradient in tape.gradient(total, [images, kernel])]

    return lambda: [value.numpy() for value in step()]


def main(_) -> None:
    """Measures in turn and prints."""
    for sizes in ((104, 64, 128), (26, 256, 512), (13, 512, 1024)):
        steps = {layout: make_step(layout, *sizes) for layout in ('NHWC', 'NCHW')}
        for step in steps.values():
            step()  # compiles
        ratios = []
        for _ in range(FLAGS.rounds):
            seconds = in_turn.seconds(steps, time.process_time)
            ratios.append(seconds['NCHW'] / seconds['NHWC'])
        size, channels, filters = sizes
        print(f'{size} x {size} x {channels} -> {filters}: channels first / last: {in_turn.spread(ratios)}')


if __name__ == '__main__':
    app.run(main)
