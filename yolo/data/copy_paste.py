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
MOST_COVERED = 0.15  # share of a place or a cut that may lie in another object, and of an object that may lie in it
MOST_SIDE = 0.5  # of an object, as a share of the image's: larger ones are not pasted
CANDIDATES = 4  # objects that are looked at for each that is pasted; the first that nothing reaches into is taken
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
    (B, R, 4): ignore regions, in which nothing is pasted. Objects are cut out of the images as they are given; those
    that other objects or ignore regions reach into are not pasted. Returns images of the same shape, boxes
    (B, N + K, 4) and labels (B, N + K), -1 where there was no room or nothing to paste.
    """
    given, log_weights, cuts = (boxes, labels), _log_weights(boxes, labels, weights), []
    given_taken = boxes if regions is None else tf.concat([boxes, regions], 1)
    for draw in draws:
        of_source = tf.gather(given_taken, draw.source)
        chosen, is_object = _choose(tf.gather(log_weights, draw.source) + draw.noise, of_source)
        box, label = (tf.gather(tf.gather(value, draw.source), chosen, batch_dims=1) for value in given)
        taken = boxes if regions is None else tf.concat([boxes, regions], 1)
        cut, pasted, has_room = _find_place(tuple(image.shape[1:3]), taken, box, draw, is_object)
        cuts.append(cut)
        boxes = tf.concat([boxes, tf.where(has_room[:, None], pasted, 0.0)[:, None]], 1)
        labels = tf.concat([labels, tf.where(has_room, label, -1)[:, None]], 1)
    return _paste(tf.convert_to_tensor(image), cuts), boxes, labels


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


def _choose(priority: tf.Tensor, boxes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The number of an object in each of B images (B,), and whether there is one (B,).

    The one of the highest priority (B, N) into which no other of the boxes (B, N + R, 4), of objects and ignore
    regions, reaches too far: a piece of that would be pasted without a box. Only a few are looked at.
    """
    values, numbers = tf.math.top_k(priority, min(CANDIDATES, priority.shape[1]))  # (B, CANDIDATES)
    others = tf.range(tf.shape(boxes)[1]) != numbers[..., None]
    covered = tf.where(others, _covered(tf.gather(boxes, numbers, batch_dims=1), boxes), 0.0)
    is_good = (values > -float('inf')) & (tf.reduce_max(covered, -1) < MOST_COVERED)
    first = tf.argmax(is_good, -1, output_type=tf.int32)
    return tf.gather(numbers, first, batch_dims=1), tf.reduce_any(is_good, -1)


def _find_place(
    image_size: tuple[int, int], boxes: tf.Tensor, box: tf.Tensor, draw: Draw, is_object: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Where an object of `box` (B, 4) comes to lie in images with other `boxes` (B, N, 4), if there is room.

    Returns the cuts (B, 7) int32, as `_paste` takes them; the pasted boxes (B, 4); whether there is room (B,).
    """
    scale = tf.constant(image_size[::-1], tf.float32)
    low = tf.floor(box[:, :2] * scale) - MARGIN
    size = tf.math.ceil(box[:, 2:] * scale) + MARGIN - low  # (B, 2) whole pixels, with the margin
    corner = tf.floor(draw.places * tf.maximum(scale - size + 1, 1.0)[:, None])  # (B, PLACES, 2)
    place = tf.concat([corner, corner + size[:, None]], -1) / tf.tile(scale, [2])
    covered = tf.reduce_max(_covered(place, boxes), -1)  # (B, PLACES)
    has_room = is_object & (tf.reduce_min(covered, -1) < MOST_COVERED) & tf.reduce_all(size <= scale, -1)
    corner = tf.gather(corner, tf.argmin(covered, -1, output_type=tf.int32), batch_dims=1)  # (B, 2)
    window = tf.where(has_room[:, None], tf.concat([low, corner, size], -1), 0.0)
    cut = tf.concat([draw.source[:, None], tf.cast(window, tf.int32)], -1)
    return cut, box + tf.tile((corner - low) / scale, [1, 2]), has_room


def _paste(images: tf.Tensor, cuts: list[tf.Tensor]) -> tf.Tensor:
    """Images (B, H, W, C) uint8 with pieces of each other pasted in turn: one for each of the cuts (B, 7) int32.

    A cut: number of its source; x, y there; x, y in the image; width, height, 0 for none. Outside of the source, its
    outermost pixels are repeated. Only the pixels of the pieces are computed.
    """
    height, width, channels = images.shape[1:]

    def paste_into(image_and_cuts: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        image, own = image_and_cuts
        for source, from_x, from_y, x, y, columns, rows in (tf.unstack(cut) for cut in tf.unstack(own)):
            from_rows, row_cover = _along_axis(height, from_y, rows)
            from_columns, column_cover = _along_axis(width, from_x, columns)
            piece = tf.gather(tf.gather(images[source], from_rows), from_columns, axis=1)
            below = image[y : y + rows]
            before = tf.cast(below[:, x : x + columns], tf.float32)
            after = before + (row_cover[:, None] * column_cover)[..., None] * (tf.cast(piece, tf.float32) - before)
            after = tf.cast(tf.round(after), tf.uint8)
            band = tf.concat([below[:, :x], after, below[:, x + columns :]], 1)
            image = tf.ensure_shape(tf.concat([image[:y], band, image[y + rows :]], 0), (height, width, channels))
        return image

    return tf.map_fn(paste_into, (images, tf.stack(cuts, 1)), fn_output_signature=tf.uint8)


def _along_axis(num: int, first: tf.Tensor, size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Along one axis: a piece of `size` pixels that begins at pixel `first` of a source of `num`.

    Returns of each of its pixels which one of the source it is (size,), and its share in what is pasted (size,): 1 in
    the object, falling to 0 over the margin around it.
    """
    pixel = tf.range(size)
    edge = tf.cast(tf.minimum(pixel, size - 1 - pixel) + 1, tf.float32)  # 1 for the outermost pixel
    return tf.clip_by_value(first + pixel, 0, num - 1), tf.minimum(edge / (MARGIN + 1), 1.0)


def _covered(places: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """What share of places (B, P, 4) lies in boxes (B, N, 4), or of boxes in places, the larger of both (B, P, N)."""
    places, boxes = places[:, :, None], boxes[:, None]
    return tf.maximum(box_ops.share_inside(places, boxes), box_ops.share_inside(boxes, places))
