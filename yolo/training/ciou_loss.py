"""A loss for Darknet's network that learns boxes by their overlap, from every anchor that fits an object.

Arguments are those of the losses in `yolo.training.losses`.
"""

import tensorflow as tf

from yolo.geometry import boxes as box_ops
from yolo.training import loss_parts
from yolo.training.loss_parts import CLASS_SCALE

LEAST_ANCHOR_IOU = 0.5  # with an object, both at the origin: such anchors in its cell are responsible for it, too
BOX_SCALE = 2.0


def ciou_loss(raw, boxes, labels, anchors, places=None, class_weights=(), ignored=None) -> tf.Tensor:
    """The loss, summed over the batch: a scalar; `ciou_terms` says how it differs from Darknet's region loss.

    raw (B, GH, GW, A, 5 + C); boxes (B, N, 4) xmin, ymin, xmax, ymax relative 0..1; labels (B, N), -1 for padding;
    anchors (A, 2) w, h in grid cells; places (B, N, 3): row, column, anchor that fits best of each object, or None;
    class_weights (C,) and ignored (B, R, 4) as of `region_loss`. ValueError for a grid of unknown size.
    """
    weights = {'class_weights': class_weights, 'ignored': ignored}
    return tf.add_n(list(ciou_terms(raw, boxes, labels, anchors, 0, places, **weights).values()))


def ciou_terms(
    raw, boxes, labels, anchors, seen, places=None, across_replicas: bool = True, class_weights=(), ignored=None
) -> dict[str, tf.Tensor]:
    """The parts of the loss, summed over the batch, scalars that add up to it: box, objectness, class.

    As `region_terms`, but: the anchor that fits an object best and all that fit it by LEAST_ANCHOR_IOU are responsible
    for it; the box loss is 1 - CIoU, the same for small objects and for large ones; no prediction is pulled to its
    anchor. `seen` and `across_replicas` are not used.
    """
    del seen, across_replicas
    raw, anchors = tf.cast(raw, tf.float32), tf.cast(anchors, tf.float32)
    truth = loss_parts.truth_of_predictions(raw, boxes, labels, anchors, places, LEAST_ANCHOR_IOU)
    responsible = truth['responsible']
    mask = tf.cast(responsible, tf.float32)
    predicted = box_ops.predicted(raw, anchors)
    best_iou, own_iou = loss_parts.overlaps(predicted, truth)

    own = tf.where(responsible[..., None], truth['own_corners'], tf.stop_gradient(predicted))
    box_error = mask * (1 - box_ops.ciou(predicted, own))  # (B, GH, GW, A)
    class_error = loss_parts.class_error(raw, truth, class_weights)
    return {
        'box': BOX_SCALE * tf.reduce_sum(box_error),
        'objectness': loss_parts.objectness_loss(raw, predicted, responsible, best_iou, own_iou, ignored),
        'class': CLASS_SCALE * tf.reduce_sum(mask * class_error),
    }
