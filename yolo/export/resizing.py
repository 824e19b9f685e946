"""Photos of any size -> images of the network's size, in the graph: what `yolo.data.images.resize` does by OpenCV."""

from typing import NamedTuple

import tensorflow as tf

from yolo.data import grey
from yolo.data.images import BAR
from yolo.geometry.letterbox import STRETCH

BITS = 11  # of the weights that OpenCV multiplies integers with


class Placement(NamedTuple):
    """Where a photo lies in the network's image: each () int32, in its pixels, as of `letterbox.inner_pixels`."""

    left: tf.Tensor
    top: tf.Tensor
    width: tf.Tensor
    height: tf.Tensor


def place(height: tf.Tensor, width: tf.Tensor, canvas: tuple[int, int], resize: str) -> Placement:
    """The placement of a photo of height and width, each () int32, in an image of `canvas` = height, width."""
    if resize == STRETCH:
        return Placement(tf.constant(0), tf.constant(0), tf.constant(canvas[1]), tf.constant(canvas[0]))
    rows, columns, height, width = (tf.cast(each, tf.int64) for each in (*canvas, height, width))
    is_wide = columns * height < rows * width
    inner_width = tf.where(is_wide, columns, tf.maximum(width * rows // height, 1))
    inner_height = tf.where(is_wide, tf.maximum(height * columns // width, 1), rows)
    placed = (columns - inner_width) // 2, (rows - inner_height) // 2, inner_width, inner_height
    return Placement(*(tf.cast(each, tf.int32) for each in placed))


def resize(photos: tf.Tensor, canvas: tuple[int, int], how: str) -> tf.Tensor:
    """Photos (B, H, W, C) uint8, or float32 0..1, of one size -> (B, *canvas, C) of the same type.

    how: one of letterbox.RESIZES. uint8 gives the bytes of `images.resize`.
    """
    shape = tf.shape(photos)
    placed = place(shape[1], shape[2], canvas, how)
    inner = tf.cond(
        (shape[1] == placed.height) & (shape[2] == placed.width),
        lambda: photos,
        lambda: _bilinear(photos, placed.height, placed.width),
    )
    if how != STRETCH:
        bar = tf.cast(BAR, photos.dtype) if photos.dtype == tf.uint8 else tf.constant(BAR / 255)
        below, right = canvas[0] - placed.top - placed.height, canvas[1] - placed.left - placed.width
        inner = tf.pad(inner, [[0, 0], [placed.top, below], [placed.left, right], [0, 0]], constant_values=bar)
    return tf.ensure_shape(inner, (None, *canvas, photos.shape[-1]))


def to_grey(photo: tf.Tensor) -> tf.Tensor:
    """A photo (H, W, 3) uint8 RGB -> (H, W, 1): the bytes of `grey.to_channels`."""
    weighted = tf.cast(photo, tf.int32) * tf.constant((grey.RED, grey.GREEN, grey.BLUE))
    total = tf.reduce_sum(weighted, -1, keepdims=True) + (1 << grey.BITS - 1)
    return tf.cast(tf.bitwise.right_shift(total, grey.BITS), tf.uint8)


def _bilinear(photos: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    if photos.dtype != tf.uint8:
        return tf.image.resize(photos, (height, width))
    shape = tf.shape(photos)
    rows, columns = _neighbours(shape[1], height), _neighbours(shape[2], width)
    # OpenCV weighs the last row with itself where it takes the last column alone, which rounds otherwise.
    is_inside = (columns.first >= 0) & (columns.first < shape[2] - 1)
    columns = columns._replace(
        weight=tf.where(is_inside, columns.weight, 1 << BITS), next_weight=tf.where(is_inside, columns.next_weight, 0)
    )
    upper, lower = (
        tf.bitwise.right_shift(_mix_columns(tf.gather(photos, at, axis=1), columns, shape[2]), 4)
        for at in rows.indices(shape[1])
    )
    upper = tf.bitwise.right_shift(upper * rows.weight[:, None, None], 16)
    lower = tf.bitwise.right_shift(lower * rows.next_weight[:, None, None], 16)
    return tf.cast(tf.bitwise.right_shift(upper + lower + 2, 2), tf.uint8)


class _Neighbours(NamedTuple):
    """For each new pixel the pixel before its centre, which can be -1, its weight and that of the next; all int32.

    Weights are multiplied by 2^BITS.
    """

    first: tf.Tensor
    weight: tf.Tensor
    next_weight: tf.Tensor

    def indices(self, size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Both pixels, of `size`."""
        return tf.clip_by_value(self.first, 0, size - 1), tf.clip_by_value(self.first + 1, 0, size - 1)


def _mix_columns(rows: tf.Tensor, columns: _Neighbours, width: tf.Tensor) -> tf.Tensor:
    """Columns between two columns each of rows (B, H, W, C) uint8: (B, H, W', C) int32, multiplied by 2^BITS."""
    before, after = (tf.cast(tf.gather(rows, at, axis=2), tf.int32) for at in columns.indices(width))
    return before * columns.weight[:, None] + after * columns.next_weight[:, None]


def _neighbours(size: tf.Tensor, new_size: tf.Tensor) -> _Neighbours:
    """The neighbours of each of `new_size` pixels among `size`. (OpenCV modules/imgproc/src/resize.cpp.)"""
    scale = 1 / (tf.cast(new_size, tf.float64) / tf.cast(size, tf.float64))
    centres = tf.cast((tf.range(tf.cast(new_size, tf.float64), dtype=tf.float64) + 0.5) * scale - 0.5, tf.float32)
    first = tf.floor(centres)
    fraction = centres - first
    weights = (tf.cast(tf.round(each * (1 << BITS)), tf.int32) for each in (1 - fraction, fraction))
    return _Neighbours(tf.cast(first, tf.int32), *weights)
