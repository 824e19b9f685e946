"""The linear transforms of Winograd's filtering F(4 x 4, 3 x 3), and their transposes: tensors of known shapes.

Inputs (B, H, W, C) are tiles of 6 x 6 that overlap by two, outputs (B, H, W, K) are tiles of 4 x 4. Transformed, both
are matrices of tiles by channels for each of 36 products. What is written as sums of slices and what as a product with
a small matrix was measured: sums are faster where tiles overlap, products compile faster where they do not.
"""

import functools
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

OUT, IN = 4, 6  # the sides of a tile of outputs and of inputs


@functools.cache
def matrices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The transforms of one axis in float64: of products to outputs (4, 6), of the kernel (6, 3), of inputs (6, 6).

    outputs = a @ ((g @ kernel) * (b @ inputs)). (Toom and Cook's interpolation; the last point is infinity.)
    """
    points = np.array([0, 1, -1, 2, -2]) * 0.5**0.5  # 0, +-sqrt(1/2), +-sqrt(2)
    powers = np.vstack([points[:, None] ** np.arange(IN), np.eye(IN)[-1:]])  # (6, 6)
    differences = points[:, None] - points + np.eye(len(points))
    scale = np.append(np.prod(differences, axis=1), 1.0)
    last = np.eye(3)[-1:]
    kernel = np.vstack([points[:, None] ** np.arange(3), last]) / scale[:, None]
    outputs = np.vstack([points[:, None] ** np.arange(OUT), np.eye(OUT)[-1:]]).T
    return outputs, kernel, scale[:, None] * np.linalg.inv(powers).T


def _both_axes(matrix: np.ndarray, x: tf.Tensor) -> tf.Tensor:
    """A transform (n, m) of both axes of tiles (m m, N) -> (n n, N)."""
    return tf.constant(np.kron(matrix, matrix), tf.float32) @ x


def _combine(row: np.ndarray, parts: Sequence[tf.Tensor]) -> tf.Tensor:
    """The sum of the parts times the numbers of a row."""
    used = [(factor, part) for factor, part in zip(row, parts, strict=True) if abs(factor) > 1e-9]
    return functools.reduce(tf.add, [part * np.float32(factor) for factor, part in used])


def num_tiles(side: int) -> int:
    """How many tiles cover a side of so many outputs."""
    return math.ceil(side / OUT)


def transform_inputs(x: tf.Tensor) -> tf.Tensor:
    """(B, H, W, C) -> (36, B tiles, C)."""
    (batch, height, width, channels), matrix = x.shape, matrices()[2]
    rows, columns = num_tiles(height), num_tiles(width)
    padded = tf.pad(x, [[0, 0], [1, rows * OUT - height + 1], [1, columns * OUT - width + 1], [0, 0]])
    parts = [padded[:, i : i + OUT * rows - OUT + 1 : OUT] for i in range(IN)]
    by_rows = tf.stack([_combine(row, parts) for row in matrix])  # (6, B, rows, W', C)
    parts = [by_rows[:, :, :, j : j + OUT * columns - OUT + 1 : OUT] for j in range(IN)]
    tiles = tf.stack([_combine(row, parts) for row in matrix], 1)  # (6, 6, B, rows, columns, C)
    return tf.reshape(tiles, (IN * IN, batch * rows * columns, channels))


def transform_inputs_back(x: tf.Tensor, image: tuple[int, int, int]) -> tf.Tensor:
    """The transposed `transform_inputs`: (36, B tiles, C) -> (B, H, W, C); tiles overlap, and are added there."""
    (batch, height, width), channels, matrix = image, x.shape[-1], matrices()[2]
    rows, columns = num_tiles(height), num_tiles(width)
    tiles = tf.reshape(x, (IN, IN, batch, rows, columns, channels))
    parts = [_combine(column, [tiles[:, j] for j in range(IN)]) for column in matrix.T]
    lines = tf.reshape(_overlap(parts, 3), (IN, batch, rows, (columns + 1) * OUT, channels))[:, :, :, 1 : width + 1]
    parts = [_combine(column, [lines[i] for i in range(IN)]) for column in matrix.T]
    return tf.reshape(_overlap(parts, 1), (batch, (rows + 1) * OUT, width, channels))[:, 1 : height + 1]


def _overlap(parts: Sequence[tf.Tensor], axis: int) -> tf.Tensor:
    """The six parts of tiles along an axis: the last two of each are added to the first two of the next.

    The parts have n tiles on that axis; the result has n + 1, with a new axis of four after it.
    """
    before, after = ([[0, 0]] * len(parts[0].shape) for _ in range(2))
    before[axis], after[axis] = [1, 0], [0, 1]
    first = [tf.pad(part, after) for part in parts[:OUT]]
    rest = [tf.pad(part, before) for part in parts[OUT:]]
    return tf.stack([first[0] + rest[0], first[1] + rest[1], *first[2:]], axis + 1)


def transform_outputs(x: tf.Tensor, image: tuple[int, int, int]) -> tf.Tensor:
    """(36, B tiles, K) -> (B, H, W, K)."""
    (batch, height, width), filters = image, x.shape[-1]
    rows, columns = num_tiles(height), num_tiles(width)
    tiles = _both_axes(matrices()[0], tf.reshape(x, (IN * IN, -1)))
    tiles = tf.transpose(tf.reshape(tiles, (OUT, OUT, batch, rows, columns, filters)), (2, 3, 0, 4, 1, 5))
    return tf.reshape(tiles, (batch, rows * OUT, columns * OUT, filters))[:, :height, :width]


def transform_outputs_back(x: tf.Tensor) -> tf.Tensor:
    """The transposed `transform_outputs`: (B, H, W, K) -> (36, B tiles, K)."""
    batch, height, width, filters = x.shape
    rows, columns = num_tiles(height), num_tiles(width)
    padded = tf.pad(x, [[0, 0], [0, rows * OUT - height], [0, columns * OUT - width], [0, 0]])
    tiles = tf.transpose(tf.reshape(padded, (batch, rows, OUT, columns, OUT, filters)), (2, 4, 0, 1, 3, 5))
    products = _both_axes(matrices()[0].T, tf.reshape(tiles, (OUT * OUT, -1)))
    return tf.reshape(products, (IN * IN, batch * rows * columns, filters))


def transform_kernel(kernel: tf.Tensor) -> tf.Tensor:
    """(3, 3, C, K) -> (36, C, K)."""
    channels, filters = kernel.shape[2:]
    return tf.reshape(_both_axes(matrices()[1], tf.reshape(kernel, (9, -1))), (IN * IN, channels, filters))


def transform_kernel_back(x: tf.Tensor) -> tf.Tensor:
    """The transposed `transform_kernel`: (36, C, K) -> (3, 3, C, K)."""
    channels, filters = x.shape[1:]
    return tf.reshape(_both_axes(matrices()[1].T, tf.reshape(x, (IN * IN, -1))), (3, 3, channels, filters))
