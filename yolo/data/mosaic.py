"""Mosaics: training images composed of four, as in YOLOv4."""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from yolo.data.augment import clip_boxes, clip_regions

GROUP = 4  # consecutive images of a batch, of which the mosaics in their places are composed
MOSAIC_SEED = 1 << 40  # added to the seed, so that mosaics do not depend on the other random numbers


class Mosaics(NamedTuple):
    """How the images of a batch are composed.

    chosen (B,) bool: which become mosaics; cut (B, 2) int32: row and column where the four parts meet; origins
    (B, 4, 2) int32: row and column in the source image where each part begins. The parts, left to right and top to
    bottom, show the image itself and the three after it in its group of four.
    """

    chosen: tf.Tensor
    cut: tf.Tensor
    origins: tf.Tensor

    def of(self, rows: slice) -> 'Mosaics':
        """Those of some images of the batch."""
        return Mosaics(self.chosen[rows], self.cut[rows], self.origins[rows])


def random_mosaics(batch_size: int, share: float, size: tuple[int, int], seed: tf.Tensor) -> Mosaics:
    """Random mosaics for a batch of images of `size` = height, width, a function of `seed` (2,) alone.

    Parts meet in the middle half of the image; each is a random crop of its source, not scaled. (After YOLOv4, Darknet
    src/data.c, blend_truth_mosaic; there each part is augmented before, here the mosaic is augmented as a whole.)
    """
    u = tf.random.stateless_uniform((11, batch_size), seed + tf.constant([MOSAIC_SEED, 0], seed.dtype))
    cut = tf.cast((0.25 + 0.5 * tf.transpose(u[:2])) * tf.constant(size, tf.float32), tf.int32)  # (B, 2)
    windows = _windows(cut, size)  # (B, 4, 4)
    room = tf.cast(tf.constant(size) - (windows[..., 2:] - windows[..., :2]), tf.float32)  # (B, 4, 2)
    origins = tf.transpose(tf.reshape(u[2:10], (4, 2, batch_size)), (2, 0, 1)) * (room + 1)
    return Mosaics(u[10] < share, cut, tf.minimum(tf.cast(origins, tf.int32), tf.cast(room, tf.int32)))


def _windows(cut: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Where the four parts lie in the mosaic (B, 4, 4): top, left, bottom, right in pixels, the latter two excluded."""
    row, column = cut[:, 0], cut[:, 1]
    zero, height, width = tf.zeros_like(row), tf.fill(tf.shape(row), size[0]), tf.fill(tf.shape(row), size[1])
    parts = [
        (zero, zero, row, column),
        (zero, column, row, width),
        (row, zero, height, column),
        (row, column, height, width),
    ]
    return tf.stack([tf.stack(part, -1) for part in parts], 1)


def _sources(batch_size: int) -> tf.Tensor:
    """Numbers (B, 4) of the images in the batch that the parts of each mosaic show."""
    number = tf.range(batch_size)[:, None]
    return number // 4 * 4 + (number + tf.range(4)) % 4


def compose(images: Sequence[tf.Tensor], mosaics: Mosaics) -> tf.Tensor:
    """The images (4, H, W, C) of a group of four (H, W, C), those that are chosen composed of parts of all.

    An image that is not chosen is its own first part and has no others.
    """
    height, width, channels = images[0].shape
    cut = tf.where(mosaics.chosen[:, None], mosaics.cut, [[height, width]])
    origins = tf.where(mosaics.chosen[:, None, None], mosaics.origins, 0)
    windows = _windows(cut, (height, width))  # (4, 4, 4)
    begins = _unstack_parts(origins, channels=0)
    sizes = _unstack_parts(windows[..., 2:] - windows[..., :2], channels=channels)
    halves = []  # upper and lower one of each image
    for i in range(GROUP):
        parts = [tf.slice(images[(i + k) % GROUP], begins[4 * i + k], sizes[4 * i + k]) for k in range(4)]
        halves += [tf.concat(parts[:2], 1), tf.concat(parts[2:], 1)]
    return tf.reshape(tf.concat(halves, 0), (GROUP, height, width, channels))


def _unstack_parts(values: tf.Tensor, channels: int) -> list[tf.Tensor]:
    """Row and column (4, 4, 2) of the parts of a group, each with a third number, for the channels."""
    return tf.unstack(tf.reshape(tf.pad(values, [[0, 0], [0, 0], [0, 1]], constant_values=channels), (GROUP * 4, 3)))


def mosaic_boxes(
    boxes: tf.Tensor, labels: tf.Tensor, mosaics: Mosaics, size: tuple[int, int]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Boxes (B, N, 4) relative corners and labels (B, N) of images of `size` -> (B, 4 N, 4) and (B, 4 N).

    Boxes are clipped to their part; those outside it become padding.
    """
    batch_size, num = boxes.shape[:2]
    moved, windows = _moved(boxes, mosaics, size)
    clipped, labels_left = clip_boxes(moved, tf.gather(labels, _sources(batch_size)), windows)
    more = [[0, 0], [0, 3 * num]]
    chosen = mosaics.chosen[:, None]
    return (
        tf.where(chosen[..., None], tf.reshape(clipped, (batch_size, 4 * num, 4)), tf.pad(boxes, [*more, [0, 0]])),
        tf.where(chosen, tf.reshape(labels_left, (batch_size, 4 * num)), tf.pad(labels, more, constant_values=-1)),
    )


def mosaic_regions(regions: tf.Tensor, mosaics: Mosaics, size: tuple[int, int]) -> tf.Tensor:
    """Ignore regions (B, R, 4) of images of `size` -> (B, 4 R, 4): what is left of them in the parts, padded with 0."""
    batch_size, num = regions.shape[:2]
    clipped = tf.reshape(clip_regions(*_moved(regions, mosaics, size)), (batch_size, 4 * num, 4))
    return tf.where(mosaics.chosen[:, None, None], clipped, tf.pad(regions, [[0, 0], [0, 3 * num], [0, 0]]))


def _moved(boxes: tf.Tensor, mosaics: Mosaics, size: tuple[int, int]) -> tuple[tf.Tensor, tf.Tensor]:
    """Boxes (B, 4, N, 4) of the images that the parts show, where these lie, and the parts' windows (B, 4, 1, 4)."""
    scale = tf.constant([size[1], size[0]] * 2, tf.float32)
    windows = tf.gather(tf.cast(_windows(mosaics.cut, size), tf.float32), [1, 0, 3, 2], axis=-1)  # left, top, ...
    shift = windows[..., :2] - tf.cast(mosaics.origins[..., ::-1], tf.float32)  # (B, 4, 2) x, y pixels
    moved = tf.gather(boxes, _sources(boxes.shape[0])) + (tf.tile(shift, (1, 1, 2)) / scale)[:, :, None]
    return moved, (windows / scale)[:, :, None]
