"""The algorithms for convolutions of 3 x 3 that a training step has on CPUs, in turn, in one run.

  python benchmarks/convolutions.py --shapes=4x8x8x1024x1024,4x16x16x256x512

Each is compiled by XLA, forward and backward. Prints the time of each relative to XLA's own convolution, the median
over the rounds, and which one a step takes.
"""

from collections.abc import Callable

import in_turn
import tensorflow as tf
from absl import app, flags

from yolo import memory
from yolo.models import fast_convolutions, patches, winograd

FLAGS = flags.FLAGS
flags.DEFINE_list(
    'shapes',
    [
        '4x8x8x1024x1024',
        '8x8x8x1024x1024',
        '4x12x12x1024x1024',
        '4x8x8x512x1024',
        '4x16x16x256x512',
        '8x13x13x1024x1024',
    ],
    'Images, height, width, channels, filters.',
)
flags.DEFINE_integer('rounds', 7, 'Rounds.')


def plain(inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """As XLA does it by itself."""
    return tf.nn.conv2d(inputs, kernel, 1, 'SAME')


ALGORITHMS = {'plain': plain, 'winograd': winograd.convolve, 'patches': patches.convolve}


def make_call(convolve: Callable, *arrays: tf.Tensor) -> Callable[[], None]:
    """A function that computes the convolution and its gradients and waits for them."""

    @tf.function(jit_compile=True)
    def forward_and_backward(inputs, kernel, upstream):
        with tf.GradientTape() as tape:
            tape.watch([inputs, kernel])
            outputs = convolve(inputs, kernel)
        return outputs, tape.gradient(outputs, [inputs, kernel], upstream)

    def call() -> None:
        tf.nest.map_structure(lambda tensor: tensor[:1, :1, :1, :1].numpy(), forward_and_backward(*arrays))

    return call


def main(_) -> None:
    """Measures in turn and prints."""
    memory.keep_freed_memory()
    for shape in FLAGS.shapes:
        *images, channels, filters = (int(number) for number in shape.split('x'))
        shapes = (*images, channels), (3, 3, channels, filters), (*images, filters)
        arrays = [tf.random.normal(each) for each in shapes]
        with fast_convolutions.enabled():
            chosen = fast_convolutions.choose(*arrays[:2]) or plain
        calls = {name: make_call(convolve, *arrays) for name, convolve in ALGORITHMS.items()}
        for call in calls.values():  # compiles
            call()
        times = [in_turn.seconds(calls) for _ in range(FLAGS.rounds)]
        for name, convolve in ALGORITHMS.items():
            taken = ', taken' if convolve is chosen else ''
            print(f'{shape}: {name}{taken}: {in_turn.spread([each[name] / each["plain"] for each in times])}')


if __name__ == '__main__':
    app.run(main)
