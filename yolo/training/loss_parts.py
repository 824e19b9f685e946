"""What the losses share: the object of each prediction, overlaps, ignore regions, the class loss.

Shapes are those of `yolo.training.losses`.
"""

from collections.abc import Sequence

import tensorflow as tf

from yolo.geometry import boxes as box_ops
from yolo.geometry.targets import encode_fitting_anchors, encode_targets, responsible_objects

OBJECT_SCALE, NOOBJECT_SCALE, CLASS_SCALE = 5.0, 1.0, 1.0  # of all losses, named as in a .cfg
IGNORE_IOU = 0.6  # Darknet's `thresh`: a prediction with more IoU with any object is not trained as background
IGNORE_SHARE = 0.5  # of a prediction, from which on it lies inside an ignore region


def truth_of_predictions(raw, boxes, labels, anchors, places, least_iou: float | None = None) -> dict[str, tf.Tensor]:
    """The object that each prediction is responsible for, all (B, GH, GW, A, ...), and the objects of each image.

    responsible: whether there is one; offset: of its centre in the cell; size: in cells; area: relative; label;
    own_corners: its box in cells. Without an object the values are harmless. corners (B, N, 4): all objects, in cells.
    least_iou: of further anchors that are responsible for an object; None: only the one that fits best is.
    """
    rows, columns, num_anchors = raw.shape[1], raw.shape[2], raw.shape[3]
    if rows is None or columns is None:
        raise ValueError(f'the losses need a grid of known size, not raw of shape {raw.shape}')
    boxes, labels = tf.cast(boxes, tf.float32), tf.cast(labels, tf.int32)
    if places is None:
        places = encode_targets(boxes, labels, anchors, (rows, columns))
    owner = responsible_objects(places, (rows, columns), num_anchors)  # (B, GH, GW, A)
    if least_iou is not None:
        more = encode_fitting_anchors(boxes, places, anchors, (rows, columns), least_iou)  # (B, A N, 3)
        number = responsible_objects(more, (rows, columns), num_anchors)
        further = tf.where(number >= 0, number % tf.maximum(tf.shape(boxes)[1], 1), -1)
        owner = tf.where(owner >= 0, owner, further)  # the anchor that fits best comes first
    responsible = owner >= 0
    cells = tf.constant([columns, rows, columns, rows], tf.float32)
    valid = places[..., :1] >= 0
    corners = tf.where(valid, boxes, 0.0) * cells  # (B, N, 4): padding has no area and overlaps nothing
    # One dummy object at the end, so that there is something to gather where no object is.
    centres = tf.pad(box_ops.to_centres(corners), [[0, 0], [0, 1], [0, 0]])  # (B, N + 1, 4)
    index = tf.where(responsible, owner, tf.shape(boxes)[1])
    own_box = tf.gather(centres, index, batch_dims=1)  # (B, GH, GW, A, 4)
    label = tf.gather(tf.pad(tf.maximum(labels, 0), [[0, 0], [0, 1]]), index, batch_dims=1)
    size = tf.where(responsible[..., None], own_box[..., 2:], 1.0)
    return {
        'responsible': responsible,
        'offset': own_box[..., :2] - box_ops.cell_corners((rows, columns)),
        'size': size,
        'area': tf.reduce_prod(own_box[..., 2:], -1) / (rows * columns),
        'label': label,
        'own_corners': box_ops.to_corners(own_box),
        'corners': corners,
    }


def overlaps(predicted, truth, stop_gradient: bool = True) -> tuple[tf.Tensor, tf.Tensor]:
    """Each predicted box's best IoU with any object, and its IoU with the object it is responsible for; (B, GH, GW, A).

    No gradient flows through the first, nor through the second if `stop_gradient`.
    """
    objects = tf.reshape(truth['corners'], (-1, 1, 1, 1, *truth['corners'].shape[1:]))  # (B, 1, 1, 1, N, 4)
    if truth['corners'].shape[1] == 0:
        best_iou = tf.zeros_like(predicted[..., 0])
    else:
        best_iou = tf.reduce_max(box_ops.iou(tf.stop_gradient(predicted)[..., None, :], objects), -1)
    own_iou = box_ops.iou(tf.stop_gradient(predicted) if stop_gradient else predicted, truth['own_corners'])
    return best_iou, own_iou


def objectness_loss(raw, predicted, responsible, best_iou, own_iou, ignored) -> tf.Tensor:
    """Darknet's, summed over the batch (a scalar): a responsible prediction learns its IoU, background learns 0.

    predicted: boxes of raw; best_iou, own_iou: as `overlaps` gives them, constants.
    """
    target = tf.where(responsible, own_iou, 0.0)  # a constant: no gradient flows through the IoU
    background_weight = tf.where(best_iou > IGNORE_IOU, 0.0, NOOBJECT_SCALE)
    background_weight = outside_of_ignored(predicted, ignored, background_weight)
    weight = tf.where(responsible, OBJECT_SCALE, background_weight)
    return tf.reduce_sum(weight * tf.square(tf.sigmoid(raw[..., 4]) - target)) / 2


def outside_of_ignored(predicted: tf.Tensor, ignored: tf.Tensor | None, weight: tf.Tensor) -> tf.Tensor:
    """The weight (B, GH, GW, A) of background, 0 where half of a predicted box or more lies inside an ignore region."""
    if ignored is None or ignored.shape[1] == 0:
        return weight
    rows, columns = predicted.shape[1:3]
    cells = tf.constant([columns, rows, columns, rows], tf.float32)
    regions = tf.reshape(tf.cast(ignored, tf.float32) * cells, (-1, 1, 1, 1, *ignored.shape[1:]))  # (B, 1, 1, 1, R, 4)
    share = box_ops.share_inside(tf.stop_gradient(predicted)[..., None, :], regions)
    return tf.where(tf.reduce_max(share, -1) >= IGNORE_SHARE, 0.0, weight)


def class_error(raw: tf.Tensor, truth: dict[str, tf.Tensor], class_weights: Sequence[float]) -> tf.Tensor:
    """Of each prediction the cross-entropy with its object's class, times the weight of that class (B, GH, GW, A)."""
    cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(truth['label'], raw[..., 5:])
    if not class_weights:
        return cross_entropy
    return cross_entropy * tf.gather(tf.constant(class_weights, tf.float32), truth['label'])


def squared_norm(x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.square(x), -1)
