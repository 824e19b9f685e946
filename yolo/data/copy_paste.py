"""Copy-paste: objects of rare classes and small ones, cut out of other images and pasted where no object is.

(After Ghiasi et al., "Simple copy-paste is a strong data augmentation method", 2021. Here objects are boxes and not
outlines, so a margin of the cut passes smoothly into its surroundings.)
"""

from typing import NamedTuple

import tensorflow as tf

from yolo.data.dataset import Description
from yolo.data.mosaic import GROUP  # images of a batch that take objects from each other
from yolo.geometry import boxes as box_ops

PASTE_SEED = 1 << 41  # added to the seed, so that what is pasted does not depend on the other random numbers
PLACES = 12  # that are tried for an object; that with the least of an object in it is taken
MOST_COVERED = 0.15  # share of a place that may lie in an object, and of an object that may lie in it
MOST_SIDE = 0.5  # of an object, as a share of the image's: larger ones are not pasted
MARGIN = 2  # pixels of the stored image around an object that are pasted with it


class Draw(NamedTuple):
    """Random numbers of one object for each of B images: source (B,) int32, number of the image in the batch that it is
    cut out of; noise (B, N), by which one of its N objects is chosen; places (B, PLACES, 2) x, y uniform 0..1.
    """

    source: tf.Tensor
    noise: tf.Tensor
    places: tf.Tensor


def paste_objects(
    image: tf.Tensor,
    boxes: tf.Tensor,
    labels: tf.Tensor,
    weights: tf.Tensor,
    draws: list[Draw],
    regions: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Images (B, H, W, C) uint8, boxes (B, N, 4) relative corners and labels (B, N) -> with up to K pasted objects.

    weights (C,): how often objects of each class are chosen, beside smaller ones more often; draws: K; regions
    (B, R, 4): ignore regions, in which nothing is pasted. Objects are cut out of the images as they are given, with
    what of their neighbours lies in their box. Returns images of the same shape, boxes (B, N + K, 4) and labels
    (B, N + K), -1 where there was no room or nothing to paste.
    """
    given, log_weights = (image, boxes, labels), _log_weights(boxes, labels, weights)
    for draw in draws:
        chosen = tf.argmax(tf.gather(log_weights, draw.source) + draw.noise, -1, output_type=tf.int32)  # (B,)
        box, label, is_object = (
            tf.gather(tf.gather(value, draw.source), chosen, batch_dims=1)
            for value in (given[1], given[2], log_weights > -float('inf'))
        )
        taken = boxes if regions is None else tf.concat([boxes, regions], 1)
        image, pasted, has_room = _paste(image, taken, tf.gather(given[0], draw.source), box, draw.places, is_object)
        boxes = tf.concat([boxes, tf.where(has_room[:, None], pasted, 0.0)[:, None]], 1)
        labels = tf.concat([labels, tf.where(has_room, label, -1)[:, None]], 1)
    return image, boxes, labels


def draw_objects(batch_size: int, num_objects: int, count: int, seed: tf.Tensor, rows: slice) -> list[Draw]:
    """The random numbers for `count` objects in some rows of a batch, whose images have up to `num_objects` each.

    They are a function of `seed` (2,) and the row alone. Sources are counted from the first of these rows on.
    """
    draws = []
    for k in range(count):
        seeds = seed + tf.constant([PASTE_SEED + 2 * k, 0], seed.dtype)
        u = tf.random.stateless_uniform((1 + 2 * PLACES, batch_size), seeds)[:, rows]
        noise = tf.random.stateless_uniform((batch_size, num_objects), seeds + tf.constant([1, 0], seed.dtype), 1e-6)
        number = tf.range(u.shape[1])
        source = number // GROUP * GROUP + (number + 1 + tf.cast(u[0] * (GROUP - 1), tf.int32)) % GROUP
        places = tf.transpose(tf.reshape(u[1:], (PLACES, 2, u.shape[1])), (2, 0, 1))
        draws.append(Draw(source, -tf.math.log(-tf.math.log(noise[rows])), places))  # Gumbel's distribution
    return draws


def class_weights(description: Description, split: str) -> tf.Tensor:
    """How often an object of each class is chosen (C,): inversely to how many of them the split has."""
    objects = description.split(split).objects_per_class
    return 1 / tf.constant([max(1, objects[name]) for name in description.classes], tf.float32)


def _log_weights(boxes: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Logarithm (B, N) of how often each object is chosen; -inf for padding and for objects that are too large."""
    size = boxes[..., 2:] - boxes[..., :2]
    is_object = (labels >= 0) & tf.reduce_all((size > 0) & (size <= MOST_SIDE), -1)
    side = tf.sqrt(tf.where(is_object, tf.reduce_prod(size, -1), 1.0))
    log_weights = tf.math.log(tf.gather(weights, tf.maximum(labels, 0)) / side)
    return tf.where(is_object, log_weights, -float('inf'))


def _paste(
    image: tf.Tensor, boxes: tf.Tensor, source: tf.Tensor, box: tf.Tensor, places: tf.Tensor, is_object: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Images (B, H, W, C) with `box` (B, 4) of their `source` (B, H, W, C) in one of `places`, if none of `boxes` is.

    Returns the images, the pasted boxes (B, 4), and whether they were pasted (B,).
    """
    height, width = image.shape[1:3]
    scale = tf.constant([width, height], tf.float32)
    low = tf.floor(box[:, :2] * scale) - MARGIN
    size = tf.math.ceil(box[:, 2:] * scale) + MARGIN - low  # (B, 2) whole pixels, with the margin
    corner = tf.floor(places * tf.maximum(scale - size + 1, 1.0)[:, None])  # (B, PLACES, 2)
    place = tf.concat([corner, corner + size[:, None]], -1) / tf.tile(scale, [2])
    in_object = box_ops.share_inside(place[:, :, None], boxes[:, None])  # (B, PLACES, N)
    of_object = box_ops.share_inside(boxes[:, None], place[:, :, None])
    covered = tf.reduce_max(tf.maximum(in_object, of_object), -1)  # (B, PLACES)
    has_room = is_object & (tf.reduce_min(covered, -1) < MOST_COVERED) & tf.reduce_all(size <= scale, -1)
    corner = tf.gather(corner, tf.argmin(covered, -1, output_type=tf.int32), batch_dims=1)  # (B, 2)
    shift = corner - low

    rows, row_cover = _shifted(height, corner[:, 1], size[:, 1], shift[:, 1])
    columns, column_cover = _shifted(width, corner[:, 0], size[:, 0], shift[:, 0])
    moved = tf.gather(tf.gather(source, rows, axis=1, batch_dims=1), columns, axis=2, batch_dims=1)
    cover = row_cover[:, :, None] * column_cover[:, None] * tf.cast(has_room, tf.float32)[:, None, None]
    before, moved = tf.cast(image, tf.float32), tf.cast(moved, tf.float32)
    after = tf.cast(tf.round(before + cover[..., None] * (moved - before)), tf.uint8)
    return after, box + tf.tile(shift / scale, [1, 2]), has_room


def _shifted(num: int, low: tf.Tensor, size: tf.Tensor, shift: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Along one axis of `num` pixels: which pixel of the source comes where (B, num), and its share there (B, num).

    The share is 1 in the object, falls to 0 over the margin around it, and is 0 outside. low, size: of object and
    margin; shift: from the source's pixel.
    """
    pixel = tf.range(num, dtype=tf.float32)
    inside = tf.minimum(pixel - low[:, None], (low + size)[:, None] - 1 - pixel) + 1  # 1 at the outermost pixel
    cover = tf.clip_by_value(inside / (MARGIN + 1), 0.0, 1.0)
    return tf.cast(tf.clip_by_value(pixel - shift[:, None], 0.0, num - 1.0), tf.int32), cover
