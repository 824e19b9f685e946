"""Mosaics: training images that are put together from four, as YOLOv4 does it."""

import dataclasses

import tensorflow as tf

from yolo.data.augment import clip_boxes

MOSAIC_SEED = 1 << 40  # mosaics are drawn apart from the rest


@dataclasses.dataclass(frozen=True)
class Mosaics:
    """How the images of a batch are put together: which are (B,) bool; cut (B, 2) int32 row and column where the four
    parts meet; origins (B, 4, 2) int32 row and column of its source where each part begins.

    The parts, left to right and top to bottom, come from an image itself and from the three after it in its group of
    four.
    """

    chosen: tf.Tensor
    cut: tf.Tensor
    origins: tf.Tensor


def draw_mosaics(batch_size: int, share: float, size: tuple[int, int], seed: tf.Tensor) -> Mosaics:
    """Random mosaics for a batch of images of `size` = height, width, a function of `seed` (2,) alone.

    Parts meet in the middle half, and show any place of their source at its own scale. (As YOLOv4's, Darknet
    src/data.c, blend_truth_mosaic, whose parts are of images that were augmented one by one before.)
    """
    u = tf.random.stateless_uniform((11, batch_size), seed + tf.constant([MOSAIC_SEED, 0], seed.dtype))
    cut = tf.cast((0.25 + 0.5 * tf.transpose(u[:2])) * tf.constant(size, tf.float32), tf.int32)  # (B, 2)
    windows = _windows(cut, size)  # (B, 4, 4)
    room = tf.cast(tf.constant(size) - (windows[..., 2:] - windows[..., :2]), tf.float32)  # (B, 4, 2)
    origins = tf.transpose(tf.reshape(u[2:10], (4, 2, batch_size)), (2, 0, 1)) * (room + 1)
    return Mosaics(u[10] < share, cut, tf.minimum(tf.cast(origins, tf.int32), tf.cast(room, tf.int32)))


def _windows(cut: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """The four parts' places (B, 4, 4): first and end row and column, as top, left, bottom, right."""
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
    """The images (B, 4) that the parts of each image come from."""
    number = tf.range(batch_size)[:, None]
    return number // 4 * 4 + (number + tf.range(4)) % 4


def mosaic_images(images: tf.Tensor, mosaics: Mosaics) -> tf.Tensor:
    """Images (B, H, W, 3) put together by fours where that was drawn. B divides by 4."""
    batch_size, height, width = images.shape[:3]

    def compose(args) -> tf.Tensor:
        number, sources, origins, windows, chosen = args

        def part(k: int) -> tf.Tensor:
            (row, column), (top, left, bottom, right) = tf.unstack(origins[k]), tf.unstack(windows[k])
            return images[sources[k], row : row + bottom - top, column : column + right - left]

        def together() -> tf.Tensor:
            return tf.concat([tf.concat([part(0), part(1)], 1), tf.concat([part(2), part(3)], 1)], 0)

        return tf.ensure_shape(tf.cond(chosen, together, lambda: images[number]), (height, width, 3))

    parts = (
        tf.range(batch_size),
        _sources(batch_size),
        mosaics.origins,
        _windows(mosaics.cut, (height, width)),
        mosaics.chosen,
    )
    return tf.map_fn(compose, parts, fn_output_signature=images.dtype)


def mosaic_boxes(
    boxes: tf.Tensor, labels: tf.Tensor, mosaics: Mosaics, size: tuple[int, int]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Boxes (B, N, 4) relative corners and labels (B, N) of images of `size` -> (B, 4 N, 4) and (B, 4 N).

    Boxes are cut off at the edges of their part; what is left out of it becomes padding.
    """
    batch_size, num = boxes.shape[:2]
    sources, scale = _sources(batch_size), tf.constant([size[1], size[0]] * 2, tf.float32)
    windows = tf.gather(tf.cast(_windows(mosaics.cut, size), tf.float32), [1, 0, 3, 2], axis=-1)  # left, top, ...
    shift = windows[..., :2] - tf.cast(mosaics.origins[..., ::-1], tf.float32)  # (B, 4, 2) x, y pixels
    moved = tf.gather(boxes, sources) + (tf.tile(shift, (1, 1, 2)) / scale)[:, :, None]  # (B, 4, N, 4)
    clipped, kept = clip_boxes(moved, tf.gather(labels, sources), (windows / scale)[:, :, None])
    more = [[0, 0], [0, 3 * num]]
    chosen = mosaics.chosen[:, None]
    return (
        tf.where(chosen[..., None], tf.reshape(clipped, (batch_size, 4 * num, 4)), tf.pad(boxes, [*more, [0, 0]])),
        tf.where(chosen, tf.reshape(kept, (batch_size, 4 * num)), tf.pad(labels, more, constant_values=-1)),
    )
