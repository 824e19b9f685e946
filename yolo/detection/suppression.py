"""Greedy non-maximum suppression of a batch as plain tensor code: fixed shapes, any device, with or without XLA.

TensorFlow has none that will do: XLA has no kernel for CombinedNonMaxSuppression, and TPUs neither;
`tf.image.non_max_suppression_padded` suppresses at an IoU of the threshold itself, where the others and Darknet do so
above it, drops boxes without a positive coordinate, knows no classes, and compares all boxes, also those that score
nothing (benchmarks/detection.py).
"""

from typing import NamedTuple

import tensorflow as tf

from yolo.detection.options import PER_CLASS
from yolo.geometry import boxes as box_ops

TILE = 256  # candidates that are compared with each other at a time
NONE = -1.0  # in place of a score: no candidate, or one that was taken


class State(NamedTuple):
    """Between two tiles: scores (B, M) of the candidates that are left, what is kept (B, D, 6), and how many (B,).

    A row of what is kept is box, score, class; zeros where there is none yet.
    """

    left: tf.Tensor
    kept: tf.Tensor
    count: tf.Tensor


class Tile(NamedTuple):
    """The best T candidates that are left: their numbers (B, T), boxes (B, T, 4), scores (B, T), classes (B, T)."""

    numbers: tf.Tensor
    boxes: tf.Tensor
    scores: tf.Tensor
    classes: tf.Tensor


def suppress(
    boxes: tf.Tensor,
    scores: tf.Tensor,
    score_threshold: float,
    iou_threshold: float,
    max_detections: int,
    nms_scope: str = PER_CLASS,
) -> dict[str, tf.Tensor]:
    """The best D = max_detections of each image that no better one suppresses, as `nms.detect_unclipped` gives them.

    boxes (B, N, 4) corners and scores (B, N, C), from 0 on, of all places and classes. Candidates with a score over the
    threshold are taken in falling order, a tile at a time: it is compared with all that is kept and with itself, until
    every image has D or none is left. Equal scores are taken by class, then place; with all_classes by place, then
    class. (That is the order of `host.suppress` and of NonMaxSuppression; CombinedNonMaxSuppression has none.)
    """
    by_class, shape = nms_scope == PER_CLASS, tf.shape(scores)
    scores = tf.transpose(scores, [0, 2, 1]) if by_class else _best_classes(boxes, scores, iou_threshold)
    left = tf.reshape(scores, (shape[0], shape[1] * shape[2]))  # (B, M)
    left = tf.where(left > score_threshold, left, NONE)

    def take(state: State) -> State:
        tile = _best(state.left, boxes, shape[2], by_class)
        is_kept = _is_kept(tile, state, iou_threshold, by_class)
        kept, count = _append(state, tile, is_kept, max_detections)
        left = tf.where(count[:, None] < max_detections, _without(state.left, tile), NONE)
        for new, old in zip((left, kept, count), state, strict=True):
            new.set_shape(old.shape)  # which TensorFlow cannot follow through the branches and loops
        return State(left, kept, count)

    start = State(left, tf.zeros((shape[0], max_detections, 6)), tf.zeros(shape[:1], tf.int32))
    end = State(*tf.while_loop(lambda left, *_: tf.reduce_any(left > NONE), lambda *state: take(State(*state)), start))
    boxes, scores, classes = end.kept[..., :4], end.kept[..., 4], tf.cast(end.kept[..., 5], tf.int32)
    return {'boxes': boxes, 'scores': scores, 'classes': classes, 'count': end.count}


def _best_classes(boxes: tf.Tensor, scores: tf.Tensor, iou_threshold: float) -> tf.Tensor:
    """The scores (B, N, C) without those that the best class of the same place suppresses for sure.

    That are all others, but where a box does not even overlap itself, as one without area.
    """
    best = tf.one_hot(tf.argmax(scores, -1), tf.shape(scores)[2], on_value=True, off_value=False)
    suppresses_itself = box_ops.iou(boxes, boxes) > iou_threshold
    return tf.where(best | ~suppresses_itself[..., None], scores, NONE)


def _best(left: tf.Tensor, boxes: tf.Tensor, num_classes: tf.Tensor, by_class: bool) -> Tile:
    """The next candidates; of equal scores those with the lowest numbers, which run over the places of each class.

    by_class: if not, over the classes of each place.
    """
    num_candidates = left.shape[1]
    size = tf.minimum(TILE, tf.shape(left)[1]) if num_candidates is None else min(TILE, num_candidates)
    scores, numbers = tf.math.top_k(left, size)
    num_places = tf.shape(boxes)[1]
    if by_class:
        places, classes = numbers % num_places, numbers // num_places
    else:
        places, classes = numbers // num_classes, numbers % num_classes
    return Tile(numbers, tf.gather(boxes, places, batch_dims=1), scores, tf.cast(classes, tf.float32))


def _without(left: tf.Tensor, tile: Tile) -> tf.Tensor:
    """The scores (B, M) that are left after a tile: those that come after its last candidate."""
    last_score, last_number = tile.scores[:, -1:], tile.numbers[:, -1:]
    comes_later = (left < last_score) | ((left == last_score) & (tf.range(tf.shape(left)[1]) > last_number))
    return tf.where(comes_later, left, NONE)


def _is_kept(tile: Tile, state: State, iou_threshold: float, by_class: bool) -> tf.Tensor:
    """Which candidates (B, T) of a tile no better one suppresses, of those kept before and of the tile itself.

    Within the tile one pass over its table of overlaps after the other settles at least one more candidate, from the
    best on, until nothing changes: mostly after two or three.
    """

    def overlaps(boxes: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:  # (B, K, 4), (B, K) -> (B, K, T)
        suppresses = box_ops.iou(boxes[:, :, None], tile.boxes[:, None]) > iou_threshold
        return suppresses & (classes[:, :, None] == tile.classes[:, None]) if by_class else suppresses

    def of_before() -> tf.Tensor:
        return tf.reduce_any(overlaps(state.kept[..., :4], state.kept[..., 5]), 1)  # rows of zeros have no area

    is_over = tile.scores > NONE
    is_free = is_over & ~tf.cond(tf.reduce_any(state.count > 0), of_before, lambda: tf.zeros_like(is_over))
    is_free.set_shape(tile.scores.shape)
    rank = tf.range(tf.shape(is_over)[1])
    table = tf.cast(overlaps(tile.boxes, tile.classes) & (rank[:, None] < rank), tf.float32)  # (B, T, T): better, other

    def settle(is_kept: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        suppressed_by = tf.linalg.matvec(table, tf.cast(is_kept, tf.float32), transpose_a=True)  # (B, T) a number
        new = is_free & (suppressed_by < 0.5)
        return new, tf.reduce_any(new != is_kept)

    return tf.while_loop(lambda _, has_changed: has_changed, settle, (is_free, tf.constant(True)))[0]


def _append(state: State, tile: Tile, is_kept: tf.Tensor, max_detections: int) -> tuple[tf.Tensor, tf.Tensor]:
    """What is kept with a tile's part of it, as far as there is room, and the new count."""
    size = tf.shape(is_kept)[1]
    order = tf.math.top_k(tf.where(is_kept, -tf.range(size), -size), size).indices  # (B, T), the kept ones first
    row, before = tf.range(max_detections), state.count[:, None]
    count = tf.minimum(state.count + tf.reduce_sum(tf.cast(is_kept, tf.int32), 1), max_detections)
    source = tf.gather(order, tf.clip_by_value(row - before, 0, size - 1), batch_dims=1)  # (B, D)
    values = tf.concat([tile.boxes, tile.scores[..., None], tile.classes[..., None]], -1)
    is_new = (row >= before) & (row < count[:, None])
    return tf.where(is_new[..., None], tf.gather(values, source, batch_dims=1), state.kept), count
