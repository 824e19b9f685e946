"""The two losses, Darknet's and the notebook's, vectorised over batch, grid and objects.

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

from collections.abc import Sequence

import tensorflow as tf

from yolo.geometry import boxes as box_ops
from yolo.geometry.targets import encode_targets, responsible_objects
from yolo.models.replicas import sum_over_replicas

OBJECT_SCALE, NOOBJECT_SCALE, COORD_SCALE, CLASS_SCALE = 5.0, 1.0, 1.0, 1.0  # of both losses, named as in a .cfg
IGNORE_SHARE = 0.5  # of a prediction, from which on it lies inside an ignore region
IGNORE_IOU = 0.6  # Darknet's `thresh`: a prediction with more IoU with any object is not trained as background
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
    truth = _truth_of_predictions(raw, boxes, labels, anchors, places)
    responsible = truth['responsible']
    predicted = box_ops.predicted(raw, anchors)
    best_iou, own_iou = _overlaps(predicted, truth)

    xy, t_wh, objectness = tf.sigmoid(raw[..., 0:2]), raw[..., 2:4], tf.sigmoid(raw[..., 4])
    target_xy = tf.where(responsible[..., None], truth['offset'], 0.5)
    target_wh = tf.where(responsible[..., None], tf.math.log(truth['size'] / anchors), 0.0)
    pull = tf.where(tf.cast(seen, tf.int64) < ANCHOR_PULL_IMAGES, ANCHOR_PULL_SCALE, 0.0)
    box_weight = tf.where(responsible, COORD_SCALE * (2 - truth['area']), pull)
    box_error = _squared_norm(xy - target_xy) + _squared_norm(t_wh - target_wh)  # (B, GH, GW, A)

    target_objectness = tf.where(responsible, own_iou, 0.0)  # a constant: no gradient flows through the IoU
    background_weight = tf.where(best_iou > IGNORE_IOU, 0.0, NOOBJECT_SCALE)
    background_weight = _outside_of_ignored(predicted, ignored, background_weight)
    objectness_weight = tf.where(responsible, OBJECT_SCALE, background_weight)
    objectness_error = tf.square(objectness - target_objectness)
    class_error = _class_error(raw, truth, class_weights)
    return {
        'box': tf.reduce_sum(box_weight * box_error) / 2,
        'objectness': tf.reduce_sum(objectness_weight * objectness_error) / 2,
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
    truth = _truth_of_predictions(raw, boxes, labels, anchors, places)
    responsible = truth['responsible']
    mask = tf.cast(responsible, tf.float32)
    predicted = box_ops.predicted(raw, anchors)
    best_iou, own_iou = _overlaps(predicted, truth, stop_gradient=False)

    offset, size = tf.sigmoid(raw[..., 0:2]), box_ops.sizes(raw, anchors)
    target_xy = tf.where(responsible[..., None], truth['offset'], tf.stop_gradient(offset))
    target_wh = tf.where(responsible[..., None], truth['size'], tf.stop_gradient(size))
    box_error = _squared_norm(offset - target_xy) + _squared_norm(size - target_wh)  # (B, GH, GW, A)
    box = COORD_SCALE * tf.reduce_sum(mask * box_error)

    objectness, own_iou = tf.sigmoid(raw[..., 4]), tf.where(responsible, own_iou, 0.0)
    background = tf.where(best_iou < IGNORE_IOU, 1 - mask, 0.0)
    background = _outside_of_ignored(predicted, ignored, background)
    objectness_weight = background * NOOBJECT_SCALE + own_iou * OBJECT_SCALE
    objectness_error = tf.square(own_iou - objectness)
    class_error = _class_error(raw, truth, class_weights)
    counts = tf.stack([tf.reduce_sum(mask), tf.reduce_sum(tf.cast(objectness_weight > 0, tf.float32))])
    if across_replicas:
        [counts] = sum_over_replicas([tf.stop_gradient(counts)])
    num_objects, num_weighted = tf.unstack(counts + 1e-6)
    return {
        'box': box / num_objects / 2,
        'objectness': tf.reduce_sum(objectness_weight * objectness_error) / num_weighted / 2,
        'class': CLASS_SCALE * tf.reduce_sum(mask * class_error) / num_objects,
    }


TERMS = {'region': region_terms, 'notebook': notebook_terms}
STATISTICS = ('overlap', 'recalled', 'objectness_with', 'num_with', 'objectness_without', 'num_without')
RECALL_IOU = 0.5


def statistics(raw, boxes, labels, anchors, places=None) -> dict[str, tf.Tensor]:
    """What Darknet prints while it trains, as sums over the batch (scalars).

    Over predictions that are responsible for an object: IoU with it (overlap), how many have more than 0.5 (recalled),
    objectness, their number; over all others: objectness, their number.

    raw (B, GH, GW, A, 5 + C); boxes (B, N, 4) xmin, ymin, xmax, ymax relative 0..1; labels (B, N), -1 for padding;
    anchors (A, 2) w, h in grid cells. (Darknet src/region_layer.c, forward_region_layer.)
    """
    raw, anchors = tf.stop_gradient(tf.cast(raw, tf.float32)), tf.cast(anchors, tf.float32)
    truth = _truth_of_predictions(raw, boxes, labels, anchors, places)
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


def _truth_of_predictions(raw, boxes, labels, anchors, places) -> dict[str, tf.Tensor]:
    """The object that each prediction is responsible for, all (B, GH, GW, A, ...), and the objects of each image.

    responsible: whether there is one; offset: of its centre in the cell; size: in cells; area: relative; label;
    own_corners: its box in cells. Without an object the values are harmless. corners (B, N, 4): all objects, in cells.
    """
    rows, columns, num_anchors = raw.shape[1], raw.shape[2], raw.shape[3]
    if rows is None or columns is None:
        raise ValueError(f'the losses need a grid of known size, not raw of shape {raw.shape}')
    boxes, labels = tf.cast(boxes, tf.float32), tf.cast(labels, tf.int32)
    if places is None:
        places = encode_targets(boxes, labels, anchors, (rows, columns))
    owner = responsible_objects(places, (rows, columns), num_anchors)  # (B, GH, GW, A)
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


def _overlaps(predicted, truth, stop_gradient: bool = True) -> tuple[tf.Tensor, tf.Tensor]:
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


def _outside_of_ignored(predicted: tf.Tensor, ignored: tf.Tensor | None, weight: tf.Tensor) -> tf.Tensor:
    """The weight (B, GH, GW, A) of background, 0 where half of a predicted box or more lies inside an ignore region."""
    if ignored is None or ignored.shape[1] == 0:
        return weight
    rows, columns = predicted.shape[1:3]
    cells = tf.constant([columns, rows, columns, rows], tf.float32)
    regions = tf.reshape(tf.cast(ignored, tf.float32) * cells, (-1, 1, 1, 1, *ignored.shape[1:]))  # (B, 1, 1, 1, R, 4)
    share = box_ops.share_inside(tf.stop_gradient(predicted)[..., None, :], regions)
    return tf.where(tf.reduce_max(share, -1) >= IGNORE_SHARE, 0.0, weight)


def _class_error(raw: tf.Tensor, truth: dict[str, tf.Tensor], class_weights: Sequence[float]) -> tf.Tensor:
    """Of each prediction the cross-entropy with its object's class, times the weight of that class (B, GH, GW, A)."""
    cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(truth['label'], raw[..., 5:])
    if not class_weights:
        return cross_entropy
    return cross_entropy * tf.gather(tf.constant(class_weights, tf.float32), truth['label'])


def _squared_norm(x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.square(x), -1)
