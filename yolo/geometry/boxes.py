"""Box conversions and overlaps of tensors. (VOC's pixels, 1-based and inclusive, are in `yolo.evaluation.voc_ap`.)"""

import math

import tensorflow as tf

from yolo.geometry.limits import MOST_EXPONENT

LEAST_SIDE = 1e-6  # of a box, in any unit, in its aspect


def to_centres(corners: tf.Tensor) -> tf.Tensor:
    """Corners (..., 4) xmin, ymin, xmax, ymax -> (..., 4) centre x, centre y, width, height, in the same unit."""
    low, high = corners[..., :2], corners[..., 2:]
    return tf.concat([(low + high) / 2, high - low], -1)


def to_corners(centres: tf.Tensor) -> tf.Tensor:
    """Centre x, centre y, width, height (..., 4) -> (..., 4) xmin, ymin, xmax, ymax, in the same unit."""
    middle, half = centres[..., :2], centres[..., 2:] / 2
    return tf.concat([middle - half, middle + half], -1)


def iou(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Intersection over union of corners (..., 4) with corners (..., 4), broadcast; 0 where both have no area.

    Without the devkit's + 1, as Darknet's box_iou.
    """
    shared = _shared(a, b)
    return tf.math.divide_no_nan(shared, area(a) + area(b) - shared)


def ciou(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Complete IoU (...) of corners (..., 4) with corners (..., 4), broadcast: at most 1, where they are equal.

    IoU - squared distance of the centres / squared diagonal of the smallest box around both - alpha v, where v compares
    their aspects, and no gradient flows through alpha. (Zheng et al., "Distance-IoU loss", 2020.)
    """
    overlap, centres_a, centres_b = iou(a, b), to_centres(a), to_centres(b)
    around = tf.maximum(a[..., 2:], b[..., 2:]) - tf.minimum(a[..., :2], b[..., :2])
    distance = tf.reduce_sum(tf.square(centres_a[..., :2] - centres_b[..., :2]), -1)
    diagonal = tf.reduce_sum(tf.square(around), -1)
    angle_a, angle_b = (_angle(each[..., 2:]) for each in (centres_a, centres_b))
    aspect = 4 / math.pi**2 * tf.square(angle_a - angle_b)
    alpha = tf.stop_gradient(tf.math.divide_no_nan(aspect, 1 - overlap + aspect))
    return overlap - tf.math.divide_no_nan(distance, diagonal) - alpha * aspect


def _angle(sizes: tf.Tensor) -> tf.Tensor:
    """The angle (...) of the diagonal of boxes of w, h (..., 2); of one without sides, too, its gradient is finite."""
    sizes = tf.maximum(sizes, LEAST_SIDE)
    return tf.atan2(sizes[..., 0], sizes[..., 1])


def share_inside(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """The share of the area of corners a (..., 4) that lies inside corners b (..., 4), broadcast; 0 without area."""
    return tf.math.divide_no_nan(_shared(a, b), area(a))


def _shared(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Area (...) of the intersection of corners (..., 4) with corners (..., 4)."""
    left, top, right, bottom = (
        tf.maximum(a[..., i], b[..., i]) if i < 2 else tf.minimum(a[..., i], b[..., i]) for i in range(4)
    )
    return tf.maximum(right - left, 0) * tf.maximum(bottom - top, 0)


def area(corners: tf.Tensor) -> tf.Tensor:
    """Area (...) of corners (..., 4); 0 where xmax < xmin or ymax < ymin."""
    return tf.maximum(corners[..., 2] - corners[..., 0], 0) * tf.maximum(corners[..., 3] - corners[..., 1], 0)


def cell_corners(grid) -> tf.Tensor:
    """Column and row (GH, GW, 1, 2) float32 of each cell of a grid of `grid` = rows, columns."""
    columns, rows = tf.meshgrid(tf.range(grid[1]), tf.range(grid[0]))
    return tf.cast(tf.stack([columns, rows], -1)[:, :, None], tf.float32)


def predicted(raw: tf.Tensor, anchors: tf.Tensor) -> tf.Tensor:
    """The boxes that raw (B, GH, GW, A, 5 + C) describes: corners (B, GH, GW, A, 4) in grid cells.

    anchors (A, 2) w, h in grid cells. Sizes are at most e^16 anchors, so that boxes stay finite when a training
    diverges. (YOLOv2 paper, section 2; Darknet src/region_layer.c, get_region_box.)
    """
    xy = tf.sigmoid(raw[..., 0:2]) + cell_corners(tf.shape(raw)[1:3])
    return to_corners(tf.concat([xy, sizes(raw, anchors)], -1))


def sizes(raw: tf.Tensor, anchors: tf.Tensor) -> tf.Tensor:
    """The w, h (B, GH, GW, A, 2) in grid cells that raw describes; at most e^16 anchors."""
    return tf.exp(tf.minimum(raw[..., 2:4], MOST_EXPONENT)) * anchors
