"""Convolutions of 3 x 3 as one product of matrices: for few outputs, on CPUs, in steps that XLA compiles.

The 3 x 3 inputs of each output are a row of a matrix, the kernel is the other matrix as it lies in memory, and so is
its gradient. Winograd's filtering (`yolo.models.winograd`) makes kernels four times as large, which takes most of its
time where outputs are few. The rows, nine times the inputs, are kept for the gradient.
"""

import tensorflow as tf


def convolve(inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Convolution of stride 1 with zeros around: (B, H, W, C), (3, 3, C, K) -> (B, H, W, K).

    The shapes must be known. It has a first gradient and no second one.
    """
    batch, height, width, channels = inputs.shape
    filters = kernel.shape[-1]
    places = [(i, j) for i in range(3) for j in range(3)]

    @tf.custom_gradient
    def operation(inputs, kernel):
        padded = tf.pad(inputs, [[0, 0], [1, 1], [1, 1], [0, 0]])
        rows = tf.concat([padded[:, i : i + height, j : j + width] for i, j in places], -1)
        rows = tf.reshape(rows, (-1, len(places) * channels))  # (B H W, 9 C)
        matrix = tf.reshape(kernel, (-1, filters))  # (9 C, K)

        def gradient(upstream):
            upstream = tf.reshape(upstream, (-1, filters))
            to_kernel = tf.reshape(tf.matmul(rows, upstream, transpose_a=True), kernel.shape)
            to_rows = tf.matmul(upstream, matrix, transpose_b=True)
            parts = tf.unstack(tf.reshape(to_rows, (batch, height, width, len(places), channels)), axis=3)
            moved = [
                tf.pad(part, [[0, 0], [i, 2 - i], [j, 2 - j], [0, 0]])
                for (i, j), part in zip(places, parts, strict=True)
            ]
            return tf.add_n(moved)[:, 1:-1, 1:-1], to_kernel

        return tf.reshape(rows @ matrix, (batch, height, width, filters)), gradient

    return operation(inputs, kernel)
