"""Which cell and anchor is responsible for which object: the encoding of targets, and its inverse, as tensors."""

from collections.abc import Sequence

import tensorflow as tf
import tensorflow.experimental.numpy as tnp

from yolo.geometry.assignment import responsible_places, sizes_iou


def encode_targets(boxes, labels, anchors, grid: Sequence[int]) -> tf.Tensor:
    """The cell and anchor responsible for every object: the cell of its centre, the anchor of best IoU at the origin.

    boxes (..., N, 4) xmin, ymin, xmax, ymax relative 0..1; labels (..., N), -1 for padding; anchors (A, 2) w, h in
    grid cells; grid: rows, columns. Returns (..., N, 3) int32 row, column, anchor; -1, -1, -1 for padding and for
    boxes without area. The first of equally good anchors wins; a centre on the right or bottom edge belongs to the
    last cell. (YOLOv2 paper, section 2; Darknet src/region_layer.c, forward_region_layer.)
    """
    boxes, anchors = tf.cast(boxes, tf.float32), tf.cast(anchors, tf.float32)
    return responsible_places(boxes, tf.cast(labels, tf.int32), anchors, grid, tnp)


def encode_fitting_anchors(boxes, places, anchors, grid: Sequence[int], least_iou: float) -> tf.Tensor:
    """All anchors that fit an object by `least_iou` or more (both at the origin), in the cell of its centre.

    boxes (B, N, 4) xmin, ymin, xmax, ymax relative 0..1; places (B, N, 3), as of `encode_targets`; anchors (A, 2) w, h
    in grid cells; grid: rows, columns. Returns (B, A N, 3) int32 row, column, anchor, -1, -1, -1 for anchors that do
    not fit; for each anchor all objects, so that object number i is at i modulo N. (As YOLOv5 and later have several
    positives an object; these in its own cell alone, which a sigmoid cannot leave.)
    """
    boxes, anchors = tf.cast(boxes, tf.float32), tf.cast(anchors, tf.float32)
    sizes = (boxes[..., 2:] - boxes[..., :2]) * tf.constant([grid[1], grid[0]], tf.float32)
    overlap = tf.transpose(sizes_iou(tf.maximum(sizes, 0.0), anchors, tnp), (0, 2, 1))  # (B, A, N)
    fits = (overlap >= least_iou) & (places[:, None, :, 2] >= 0)
    row, column, number = places[:, None, :, 0], places[:, None, :, 1], tf.range(tf.shape(anchors)[0])[:, None]
    all_places = tf.stack([tf.broadcast_to(part, tf.shape(fits)) for part in (row, column, number)], -1)
    return tf.reshape(tf.where(fits[..., None], all_places, -1), (tf.shape(boxes)[0], -1, 3))


def responsible_objects(places: tf.Tensor, grid: Sequence[int], num_anchors: int) -> tf.Tensor:
    """The object that each cell and anchor is responsible for: the last one encoded there, as in Darknet.

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
