"""Darknet's and the notebook's loss, vectorised over batch, grid and objects.

| argument | shape | unit and order |
| --- | --- | --- |
| raw | (B, GH, GW, A, 5 + C) | t_x, t_y, t_w, t_h, t_o, class logits |
| boxes | (B, N, 4) | xmin, ymin, xmax, ymax, relative 0..1 |
| labels | (B, N) | class index, -1 for padding |
| anchors | (A, 2) | w, h in grid cells |
| places | (B, N, 3) or None | row, column, anchor responsible for each object, as `encode_targets` returns them |
| ignored | (B, R, 4) or None | ignore regions, as boxes, padded with boxes without area |

`places` is optional; giving it saves encoding the objects again. A prediction that is responsible for no object, and of
which half or more lies inside one ignore region, is not trained as background. What is trained there has no class, so
that a crowd, which is a region of one class, counts as one of any class does.
"""

import tensorflow as tf

from yolo.geometry import boxes as box_ops
from yolo.models.replicas import sum_over_replicas
from yolo.training import loss_parts
from yolo.training.ciou_loss import ciou_terms
from yolo.training.config import CIOU, NOTEBOOK, REGION
from yolo.training.loss_parts import CLASS_SCALE, IGNORE_IOU, NOOBJECT_SCALE, OBJECT_SCALE

COORD_SCALE = 1.0  # named as in a .cfg
# Darknet: for the first images every prediction without an object is also pulled to its anchor, with this weight.
ANCHOR_PULL_IMAGES, ANCHOR_PULL_SCALE = 12800, 0.01


def region_loss(raw, boxes, labels, anchors, seen, places=None, class_weights=(), ignored=None) -> tf.Tensor:
    """Darknet's region loss, summed over the batch: a scalar whose gradient to raw is minus Darknet's delta.

    raw (B, GH, GW, A, 5 + C); boxes (B, N, 4) xmin, ymin, xmax, ymax relative 0..1; labels (B, N), -1 for padding;
    anchors (A, 2) w, h in grid cells; seen: number of training images before this batch: below 12,800, predictions
    without an object are pulled to their anchors; places (B, N, 3): row, column, anchor of each object, or None;
    class_weights (C,): factors on the class loss of the objects of each class, () for none; ignored (B, R, 4): ignore
    regions, as boxes, or None.
    ValueError for a grid of unknown size. (Darknet src/region_layer.c, forward_region_layer.)
    """
    weights = {'class_weights': class_weights, 'ignored': ignored}
    return tf.add_n(list(region_terms(raw, boxes, labels, anchors, seen, places, **weights).values()))


def notebook_loss(raw, boxes, labels, anchors, places=None, class_weights=(), ignored=None) -> tf.Tensor:
    """The Keras notebook's loss: a scalar, each part divided by its count over the whole batch.

    Its gradient is that of the notebook's graph, which stops it nowhere: unlike in Darknet it flows through the IoU of
    a prediction with its own object, as the target of the objectness and as its weight. Counts, and whether a
    prediction overlaps any object by IGNORE_IOU, are comparisons, hence constants.

    Under tf.distribute the counts are those of all replicas, so that the replicas' losses add up to the global one.
    raw (B, GH, GW, A, 5 + C); boxes (B, N, 4) xmin, ymin, xmax, ymax relative 0..1; labels (B, N), -1 for padding;
    anchors (A, 2) w, h in grid cells; places (B, N, 3): row, column, anchor of each object, or None;
    class_weights (C,) and ignored (B, R, 4) as of `region_loss`. ValueError for a grid of unknown size. (The
    notebook's formulas.)
    """
    weights = {'class_weights': class_weights, 'ignored': ignored}
    return tf.add_n(list(notebook_terms(raw, boxes, labels, anchors, 0, places, **weights).values()))


def region_terms(
    raw, boxes, labels, anchors, seen, places=None, across_replicas: bool = True, class_weights=(), ignored=None
) -> dict[str, tf.Tensor]:
    """The parts of `region_loss`, scalars that add up to it: box, objectness, class. `across_replicas` is not used."""
    del across_replicas
    raw, anchors = tf.cast(raw, tf.float32), tf.cast(anchors, tf.float32)
    truth = loss_parts.truth_of_predictions(raw, boxes, labels, anchors, places)
    responsible = truth['responsible']
    predicted = box_ops.predicted(raw, anchors)
    best_iou, own_iou = loss_parts.overlaps(predicted, truth)

    xy, t_wh = tf.sigmoid(raw[..., 0:2]), raw[..., 2:4]
    target_xy = tf.where(responsible[..., None], truth['offset'], 0.5)
    target_wh = tf.where(responsible[..., None], tf.math.log(truth['size'] / anchors), 0.0)
    pull = tf.where(tf.cast(seen, tf.int64) < ANCHOR_PULL_IMAGES, ANCHOR_PULL_SCALE, 0.0)
    box_weight = tf.where(responsible, COORD_SCALE * (2 - truth['area']), pull)
    box_error = loss_parts.squared_norm(xy - target_xy) + loss_parts.squared_norm(t_wh - target_wh)  # (B, GH, GW, A)
    class_error = loss_parts.class_error(raw, truth, class_weights)
    return {
        'box': tf.reduce_sum(box_weight * box_error) / 2,
        'objectness': loss_parts.objectness_loss(raw, predicted, responsible, best_iou, own_iou, ignored),
        'class': CLASS_SCALE * tf.reduce_sum(tf.where(responsible, class_error, 0.0)),
    }


def notebook_terms(
    raw, boxes, labels, anchors, seen, places=None, across_replicas: bool = True, class_weights=(), ignored=None
) -> dict[str, tf.Tensor]:
    """The parts of `notebook_loss`, scalars that add up to it: box, objectness, class. `seen` is not used.

    across_replicas: whether they are divided by the counts of all replicas, or by those of this one.
    """
    del seen
    raw, anchors = tf.cast(raw, tf.float32), tf.cast(anchors, tf.float32)
    truth = loss_parts.truth_of_predictions(raw, boxes, labels, anchors, places)
    responsible = truth['responsible']
    mask = tf.cast(responsible, tf.float32)
    predicted = box_ops.predicted(raw, anchors)
    best_iou, own_iou = loss_parts.overlaps(predicted, truth, stop_gradient=False)

    offset, size = tf.sigmoid(raw[..., 0:2]), box_ops.sizes(raw, anchors)
    target_xy = tf.where(responsible[..., None], truth['offset'], tf.stop_gradient(offset))
    target_wh = tf.where(responsible[..., None], truth['size'], tf.stop_gradient(size))
    of_offset, of_size = loss_parts.squared_norm(offset - target_xy), loss_parts.squared_norm(size - target_wh)
    box = COORD_SCALE * tf.reduce_sum(mask * (of_offset + of_size))

    objectness, own_iou = tf.sigmoid(raw[..., 4]), tf.where(responsible, own_iou, 0.0)
    background = tf.where(best_iou < IGNORE_IOU, 1 - mask, 0.0)
    background = loss_parts.outside_of_ignored(predicted, ignored, background)
    objectness_weight = background * NOOBJECT_SCALE + own_iou * OBJECT_SCALE
    objectness_error = tf.square(own_iou - objectness)
    class_error = loss_parts.class_error(raw, truth, class_weights)
    counts = tf.stack([tf.reduce_sum(mask), tf.reduce_sum(tf.cast(objectness_weight > 0, tf.float32))])
    if across_replicas:
        [counts] = sum_over_replicas([tf.stop_gradient(counts)])
    num_objects, num_weighted = tf.unstack(counts + 1e-6)
    return {
        'box': box / num_objects / 2,
        'objectness': tf.reduce_sum(objectness_weight * objectness_error) / num_weighted / 2,
        'class': CLASS_SCALE * tf.reduce_sum(mask * class_error) / num_objects,
    }


TERMS = {REGION: region_terms, NOTEBOOK: notebook_terms, CIOU: ciou_terms}
STATISTICS = ('overlap', 'recalled', 'objectness_with', 'num_with', 'objectness_without', 'num_without')
RECALL_IOU = 0.5


def statistics(raw, boxes, labels, anchors, places=None) -> dict[str, tf.Tensor]:
    """What Darknet prints while it trains, as sums over the batch (scalars), by Darknet's assignment for any loss.

    Over predictions that are responsible for an object: IoU with it (overlap), how many have more than 0.5 (recalled),
    objectness, their number; over all others: objectness, their number.

    raw (B, GH, GW, A, 5 + C); boxes (B, N, 4) xmin, ymin, xmax, ymax relative 0..1; labels (B, N), -1 for padding;
    anchors (A, 2) w, h in grid cells. (Darknet src/region_layer.c, forward_region_layer.)
    """
    raw, anchors = tf.stop_gradient(tf.cast(raw, tf.float32)), tf.cast(anchors, tf.float32)
    truth = loss_parts.truth_of_predictions(raw, boxes, labels, anchors, places)
    own_iou = box_ops.iou(box_ops.predicted(raw, anchors), truth['own_corners'])
    objectness, mask = tf.sigmoid(raw[..., 4]), tf.cast(truth['responsible'], tf.float32)
    sums = (
        mask * own_iou,
        mask * tf.cast(own_iou > RECALL_IOU, tf.float32),
        mask * objectness,
        mask,
        (1 - mask) * objectness,
        1 - mask,
    )
    return {name: tf.reduce_sum(value) for name, value in zip(STATISTICS, sums, strict=True)}
