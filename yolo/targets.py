"""Which place of the grid answers for which object: the one encoding of targets, offline and in the graph."""

from collections.abc import Sequence

import tensorflow as tf

from yolo import boxes as box_ops


def encode_targets(boxes, labels, anchors, grid: Sequence[int]) -> tf.Tensor:
    """The responsible place of every object: the cell of its centre and the anchor of best IoU at the origin.

    boxes (..., N, 4) xmin, ymin, xmax, ymax relative 0..1; labels (..., N), -1 for padding; anchors (A, 2) w, h in
    grid cells; grid: rows, columns. Returns (..., N, 3) int32 row, column, anchor; -1, -1, -1 for padding and for
    boxes without area. The first of equally good anchors wins; a centre on the right or bottom edge belongs to the
    last cell. (YOLOv2 paper, section 2; Darknet src/region_layer.c, forward_region_layer.)
    """
    cells = tf.constant([grid[1], grid[0]], tf.float32)  # columns, rows
    centres = box_ops.to_centres(tf.cast(boxes, tf.float32)) * tf.tile(cells, [2])  # (..., N, 4) in cells
    cell = tf.cast(tf.clip_by_value(tf.floor(centres[..., :2]), 0, cells - 1), tf.int32)  # column, row
    overlap = box_ops.sizes_iou(centres[..., 2:], tf.cast(anchors, tf.float32))  # (..., N, A)
    anchor = tf.argmax(overlap, -1, output_type=tf.int32)
    places = tf.stack([cell[..., 1], cell[..., 0], anchor], -1)
    valid = (tf.cast(labels, tf.int32) >= 0) & tf.reduce_all(centres[..., 2:] > 0, -1)
    return tf.where(valid[..., None], places, -1)


def owners(places: tf.Tensor, grid: Sequence[int], num_anchors: int) -> tf.Tensor:
    """The object that each place answers for: the last one encoded there, as in Darknet.

    places (B, N, 3) int32 row, column, anchor, -1 for none; grid: rows, columns.
    Returns (B, GH, GW, A) int32 index into the N objects, -1 where there is none.
    """
    batch, count = tf.shape(places)[0], tf.shape(places)[1]
    num_places = grid[0] * grid[1] * num_anchors
    flat = (places[..., 0] * grid[1] + places[..., 1]) * num_anchors + places[..., 2]  # (B, N)
    flat = tf.where(places[..., 2] >= 0, flat + tf.range(batch)[:, None] * num_places, -1)  # -1 is dropped
    index = tf.broadcast_to(tf.range(count), tf.shape(flat))
    last = tf.math.unsorted_segment_max(tf.reshape(index, [-1]), tf.reshape(flat, [-1]), batch * num_places)
    return tf.reshape(tf.maximum(last, -1), (batch, grid[0], grid[1], num_anchors))
