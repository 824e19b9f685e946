"""Weighted boxes fusion of a batch as plain tensor code: fixed shapes, any device, with or without XLA.

It follows the suppression: each box that was kept becomes the mean of itself and of all that it suppresses, weighted by
their squared scores. See `host_fusion`, which does the same in NumPy, for the rule and where it comes from.
"""

import tensorflow as tf

from yolo.detection.options import PER_CLASS
from yolo.geometry import boxes as box_ops

ROWS = 32  # kept boxes of each image that are compared with all places at a time


def fuse(
    found: dict[str, tf.Tensor],
    boxes: tf.Tensor,
    scores: tf.Tensor,
    score_threshold: float,
    iou_threshold: float,
    nms_scope: str,
) -> dict[str, tf.Tensor]:
    """What `suppression.suppress` found, with the mean boxes (B, D, 4); scores, classes and count stay.

    boxes (B, N, 4) corners, scores (B, N, C) and the thresholds as `suppress` was given them.
    """
    by_class = nms_scope == PER_CLASS
    weights = tf.transpose(tf.where(scores > score_threshold, scores**2, 0), [0, 2, 1])  # (B, C, N)
    if not by_class:  # every class of a place is suppressed, and counts
        weights = tf.reduce_sum(weights, 1, keepdims=True)
    num_kept = found['boxes'].shape[1]
    num_tiles = -(-num_kept // ROWS)
    rest = [[0, 0], [0, num_tiles * ROWS - num_kept]]
    kept, classes = tf.pad(found['boxes'], [*rest, [0, 0]]), tf.pad(found['classes'], rest)
    classes = classes if by_class else tf.zeros_like(classes)
    last = tf.reduce_max(found['count'])

    def fuse_tile(tile: tf.Tensor, fused: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        rows = tile * ROWS + tf.range(ROWS)
        own, own_classes = tf.gather(kept, rows, axis=1), tf.gather(classes, rows, axis=1)  # (B, ROWS, 4), (B, ROWS)
        means = _means(own, boxes, tf.gather(weights, own_classes, batch_dims=1), iou_threshold)
        is_here = tf.range(num_tiles * ROWS) // ROWS == tile
        new = tf.where(is_here[:, None], tf.tile(means, [1, num_tiles, 1]), fused)
        new.set_shape(fused.shape)  # which TensorFlow cannot follow through the loop
        return tile + 1, new

    _, fused = tf.while_loop(lambda tile, _: tile * ROWS < last, fuse_tile, (tf.constant(0), kept))
    return {**found, 'boxes': fused[:, :num_kept]}


def _means(own: tf.Tensor, boxes: tf.Tensor, weights: tf.Tensor, iou_threshold: float) -> tf.Tensor:
    """Each of own (B, R, 4), moved to the mean of boxes (B, N, 4) with an IoU over the threshold; a padded one stays.

    weights (B, R, N). Offsets are summed, not corners: so a box that suppresses nothing stays as it is, to the bit.
    """
    joins = box_ops.iou(own[:, :, None], boxes[:, None]) > iou_threshold  # (B, R, N)
    weights = tf.where(joins, weights, 0)
    offsets = tf.where(joins[..., None], weights[..., None] * (boxes[:, None] - own[:, :, None]), 0)  # (B, R, N, 4)
    return own + tf.math.divide_no_nan(tf.reduce_sum(offsets, 2), tf.reduce_sum(weights, 2)[..., None])
