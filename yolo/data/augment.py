"""Augmentation in two halves: numbers and boxes on the host, pixels on the accelerator.

The input graph draws a few random numbers an image, moves the boxes with them and sends them along; the step moves
the pixels with two matrix products an image and shifts the colours, so that uint8 images of one size go to the device.
"""

import dataclasses

import tensorflow as tf

from yolo.geometry import boxes as box_ops
from yolo.geometry.letterbox import GREY as ONE_CHANNEL

GREY = 0.5  # colour of the canvas
MIN_VISIBLE = 0.2  # a box is dropped when less than this share of its area is left on the canvas
IDENTITY = ((1.0, 1.0, 0.0, 0.0),)  # the warp that changes nothing
CANVAS = (0.0, 0.0, 1.0, 1.0)
MIN_SIZE = 0.001  # relative width and height under which a box is dropped, as in Darknet


@dataclasses.dataclass(frozen=True)
class Ranges:
    """The largest changes that augmentation makes. The defaults are Darknet's for VOC."""

    jitter: float = 0.3  # relative change of width and of height, each on its own, so the aspect changes
    scale: tuple[float, float] = (1.0, 1.0)  # smallest and largest scale of the image on the canvas
    hue: float = 0.1  # largest shift, as a share of the colour circle
    saturation: float = 1.5  # largest factor; the smallest is its reciprocal
    exposure: float = 1.5  # largest factor; the smallest is its reciprocal
    mosaic: float = 0.0  # share of the images that are put together from four
    copy_paste: int = 0  # objects of other images that are pasted into each, as far as there is room
    flip: float = 0.5  # share of the images that are flipped left to right
    around_photo: bool = False  # jitter around the shape of the photo, not around that of the stored image


def random_augmentation(
    batch_size: int,
    ranges: Ranges,
    seed: tf.Tensor,
    rows: slice = slice(None),
    aspects: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Random augmentation of the B images in some rows of a batch: warp (B, 4) and colour (B, 3) float32.

    What an image gets is a function of `seed` (2,) and its row alone.

    warp: scale x, scale y, shift x, shift y: a point p of the image (relative 0..1) moves to scale * p + shift on the
    canvas; a flipped image has a negative scale x. colour: shift of the hue, factors of saturation and exposure.
    Jitter and position are random as in Darknet's load_data_detection (src/data.c). aspects (B,): the shapes that are
    jittered around, width / height relative to the canvas. Darknet has the photos' (`relative_aspects`), but compares
    them with a square, also for a network that is none: there it differs and cuts some photos. Without them all are 1:
    the shape that the stored image has, as at test time.
    """
    u = tf.unstack(tf.random.stateless_uniform((9, batch_size), seed)[:, rows])
    aspect = (1 + ranges.jitter * (2 * u[0] - 1)) / (1 + ranges.jitter * (2 * u[1] - 1))
    aspect = aspect if aspects is None else aspect * aspects
    scale = ranges.scale[0] + (ranges.scale[1] - ranges.scale[0]) * u[2]
    width, height = scale * tf.minimum(aspect, 1), scale * tf.minimum(1 / aspect, 1)
    left, top = u[3] * (1 - width), u[4] * (1 - height)  # uniform; covers a side that is shorter
    flip = u[5] < ranges.flip
    warp = tf.stack([tf.where(flip, -width, width), height, tf.where(flip, left + width, left), top], -1)
    hue = ranges.hue * (2 * u[6] - 1)
    return warp, tf.stack([hue, _factor(ranges.saturation, u[7]), _factor(ranges.exposure, u[8])], -1)


def relative_aspects(sizes: tf.Tensor, canvas: tuple[int, int]) -> tf.Tensor:
    """Width / height (B,) of photos of `sizes` (B, 2), over that of the canvas; all in pixels, height first."""
    height, width = tf.unstack(tf.cast(sizes, tf.float32), axis=-1)
    return width / height * (canvas[0] / canvas[1])


def _factor(most: float, u: tf.Tensor) -> tf.Tensor:
    """Uniform between 1 and `most`, with probability 1/2 its reciprocal (Darknet's rand_scale); u: uniform 0..1."""
    factor = 1 + (most - 1) * tf.abs(2 * u - 1)
    return tf.where(u < 0.5, 1 / factor, factor)


def warp_boxes(boxes: tf.Tensor, labels: tf.Tensor, warp: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Boxes (B, N, 4) relative corners and labels (B, N) after `warp` (B, 4), clipped to the canvas.

    The label of a box of which less than MIN_VISIBLE is left becomes -1, as for padding.
    """
    return clip_boxes(_moved(boxes, warp), labels, tf.constant(CANVAS))


def warp_regions(regions: tf.Tensor, warp: tf.Tensor) -> tf.Tensor:
    """Ignore regions (B, R, 4) relative corners after `warp` (B, 4): what is left of them on the canvas."""
    return clip_regions(_moved(regions, warp), tf.constant(CANVAS))


def _moved(boxes: tf.Tensor, warp: tf.Tensor) -> tf.Tensor:
    """Boxes (B, N, 4) after `warp` (B, 4), also where they leave the canvas."""
    scale, shift = tf.tile(warp[:, None, :2], (1, 1, 2)), tf.tile(warp[:, None, 2:], (1, 1, 2))
    moved = boxes * scale + shift
    low, high = tf.minimum(moved[..., :2], moved[..., 2:]), tf.maximum(moved[..., :2], moved[..., 2:])
    return tf.concat([low, high], -1)


def clip_boxes(boxes: tf.Tensor, labels: tf.Tensor, window: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Boxes (B, N, 4) clipped to a window (..., 4); those with less than MIN_VISIBLE left in it become padding."""
    clipped = _clipped(boxes, window)
    size = clipped[..., 2:] - clipped[..., :2]
    visible = (labels >= 0) & tf.reduce_all(size > MIN_SIZE, -1)
    visible &= box_ops.area(clipped) >= MIN_VISIBLE * box_ops.area(boxes)
    return tf.where(visible[..., None], clipped, 0.0), tf.where(visible, labels, -1)


def clip_regions(regions: tf.Tensor, window: tf.Tensor) -> tf.Tensor:
    """Ignore regions (B, R, 4) clipped to a window (..., 4): whatever is left of them; padding (zeros) without area."""
    clipped = _clipped(regions, window)
    return tf.where(box_ops.area(clipped)[..., None] > 0, clipped, 0.0)


def _clipped(boxes: tf.Tensor, window: tf.Tensor) -> tf.Tensor:
    low, high = (tf.concat([window[..., i:j], window[..., i:j]], -1) for i, j in ((0, 2), (2, 4)))
    return tf.maximum(tf.minimum(boxes, high), low)


def warp_images(images: tf.Tensor, warp: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Images (B, H, W, C) 0..1 after `warp` (B, 4), on a grey canvas of `size` = height, width; bilinear."""
    rows, row_cover = _resampling(size[0], images.shape[1], warp[:, 1], warp[:, 3])
    columns, column_cover = _resampling(size[1], images.shape[2], warp[:, 0], warp[:, 2])
    stretched = tf.einsum('byh,bhwc->bywc', rows, images)
    pixels = tf.einsum('bxw,bywc->byxc', columns, stretched)
    uncovered = 1 - row_cover[:, :, None] * column_cover[:, None, :]
    return pixels + GREY * uncovered[..., None]


def _resampling(num_out: int, num_in: int, scale: tf.Tensor, shift: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Weights (B, num_out, num_in) of input pixels in output pixels along one axis, and their sums (B, num_out).

    Pixel centres are at (i + 0.5) / num. A sum is 1 inside the image and 0 outside it.
    """
    out = (tf.range(num_out, dtype=tf.float32) + 0.5) / num_out
    source = (out - shift[:, None]) / scale[:, None]  # (B, num_out) relative in the input
    inside = tf.cast((source >= 0) & (source <= 1), tf.float32)
    position = tf.clip_by_value(source * num_in - 0.5, 0.0, num_in - 1.0)
    weights = tf.maximum(1 - tf.abs(position[..., None] - tf.range(num_in, dtype=tf.float32)), 0)
    return weights * inside[..., None], inside


def distort_colours(images: tf.Tensor, colour: tf.Tensor) -> tf.Tensor:
    """Images (B, H, W, 3) RGB 0..1 with `colour` (B, 3) hue shift, saturation and exposure factors applied in HSV.

    Of grey images (B, H, W, 1) only the exposure changes: they have no hue and no saturation. (Darknet src/image.c,
    distort_image.)
    """
    if images.shape[-1] == ONE_CHANNEL:
        return tf.clip_by_value(images * colour[:, None, None, 2:], 0.0, 1.0)
    hsv = tf.image.rgb_to_hsv(images)
    colour = colour[:, None, None, :]
    hue = tf.math.floormod(hsv[..., 0] + colour[..., 0], 1.0)
    shifted = tf.stack([hue, hsv[..., 1] * colour[..., 1], hsv[..., 2] * colour[..., 2]], -1)
    return tf.clip_by_value(tf.image.hsv_to_rgb(shifted), 0.0, 1.0)
