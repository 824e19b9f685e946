"""The two losses, vectorised over batch, places and objects.

Both take raw (B, GH, GW, A, 5 + C), boxes (B, N, 4) xmin, ymin, xmax, ymax relative 0..1, labels (B, N) with -1 for
padding, anchors (A, 2) w, h in grid cells, and optionally the objects' places (B, N, 3) as `encode_targets` gives
them, which saves encoding them again.
"""

import tensorflow as tf

from yolo.geometry import boxes as box_ops
from yolo.geometry.targets import encode_targets, owners

OBJECT, NOOBJ, COORD, CLASS = 5.0, 1.0, 1.0, 1.0  # the scales of both losses
FREE_IOU = 0.6  # a prediction that overlaps any object by more is not taught that there is none
PULL_IMAGES, PULL = 12800, 0.01  # Darknet: the first images also pull every place to its anchor


def region_loss(raw, boxes, labels, anchors, seen, places=None) -> tf.Tensor:
    """Darknet's region loss, summed over the batch: a scalar whose gradient to raw is minus Darknet's delta.

    raw (B, GH, GW, A, 5 + C); boxes (B, N, 4) xmin, ymin, xmax, ymax relative 0..1; labels (B, N), -1 for padding;
    anchors (A, 2) w, h in grid cells; seen: images seen in training before this batch; below 12,800 every place is also
    pulled to its anchor; places (B, N, 3): what `encode_targets` gives, if that is known. ValueError for a grid of
    unknown size. (Darknet src/region_layer.c, forward_region_layer.)
    """
    return tf.add_n(list(region_terms(raw, boxes, labels, anchors, seen, places).values()))


def notebook_loss(raw, boxes, labels, anchors, places=None) -> tf.Tensor:
    """The Keras notebook's loss: a scalar, each part divided by its count over the whole batch.

    Under tf.distribute the counts are those of all replicas, so that the replicas' losses add up to the global one.
    raw (B, GH, GW, A, 5 + C); boxes (B, N, 4) xmin, ymin, xmax, ymax relative 0..1; labels (B, N), -1 for padding;
    anchors (A, 2) w, h in grid cells; places (B, N, 3): what `encode_targets` gives, if that is known. ValueError for a
    grid of unknown size. (The notebook's formulas.)
    """
    return tf.add_n(list(notebook_terms(raw, boxes, labels, anchors, 0, places).values()))


def region_terms(raw, boxes, labels, anchors, seen, places=None) -> dict[str, tf.Tensor]:
    """The parts of `region_loss`, scalars that add up to it: box, objectness, class."""
    raw, anchors = tf.cast(raw, tf.float32), tf.cast(anchors, tf.float32)
    truth = _truth_at_places(raw, boxes, labels, anchors, places)
    responsible = truth['responsible']
    predicted = box_ops.predicted(raw, anchors)
    best, own = _overlaps(predicted, truth)

    xy, t_wh, objectness = tf.sigmoid(raw[..., 0:2]), raw[..., 2:4], tf.sigmoid(raw[..., 4])
    goal_xy = tf.where(responsible[..., None], truth['offset'], 0.5)
    goal_wh = tf.where(responsible[..., None], tf.math.log(truth['size'] / anchors), 0.0)
    pull = tf.where(tf.cast(seen, tf.int64) < PULL_IMAGES, PULL, 0.0)
    weight = tf.where(responsible, COORD * (2 - truth['area']), pull)
    box = _square(xy - goal_xy) + _square(t_wh - goal_wh)  # (B, GH, GW, A)

    goal_o = tf.where(responsible, own, 0.0)  # a constant: the overlap itself is not learnt
    weight_o = tf.where(responsible, OBJECT, tf.where(best > FREE_IOU, 0.0, NOOBJ))
    crossed = tf.nn.sparse_softmax_cross_entropy_with_logits(truth['label'], raw[..., 5:])
    return {
        'box': tf.reduce_sum(weight * box) / 2,
        'objectness': tf.reduce_sum(weight_o * tf.square(objectness - goal_o)) / 2,
        'class': CLASS * tf.reduce_sum(tf.where(responsible, crossed, 0.0)),
    }


def notebook_terms(raw, boxes, labels, anchors, seen, places=None) -> dict[str, tf.Tensor]:
    """The parts of `notebook_loss`, scalars that add up to it: box, objectness, class. `seen` changes nothing here."""
    del seen
    raw, anchors = tf.cast(raw, tf.float32), tf.cast(anchors, tf.float32)
    truth = _truth_at_places(raw, boxes, labels, anchors, places)
    responsible = truth['responsible']
    mask = tf.cast(responsible, tf.float32)
    predicted = box_ops.predicted(raw, anchors)
    best, own = _overlaps(predicted, truth, stop=False)

    offset, size = tf.sigmoid(raw[..., 0:2]), box_ops.sizes(raw, anchors)
    goal_xy = tf.where(responsible[..., None], truth['offset'], tf.stop_gradient(offset))
    goal_wh = tf.where(responsible[..., None], truth['size'], tf.stop_gradient(size))
    box = COORD * tf.reduce_sum(mask * (_square(offset - goal_xy) + _square(size - goal_wh)))

    objectness, own = tf.sigmoid(raw[..., 4]), tf.where(responsible, own, 0.0)
    weight_o = tf.where(best < FREE_IOU, 1 - mask, 0.0) * NOOBJ + own * OBJECT
    crossed = tf.nn.sparse_softmax_cross_entropy_with_logits(truth['label'], raw[..., 5:])
    num = _sum_over_replicas(tf.reduce_sum(mask)) + 1e-6
    num_o = _sum_over_replicas(tf.reduce_sum(tf.cast(weight_o > 0, tf.float32))) + 1e-6
    return {
        'box': box / num / 2,
        'objectness': tf.reduce_sum(weight_o * tf.square(own - objectness)) / num_o / 2,
        'class': CLASS * tf.reduce_sum(mask * crossed) / num,
    }


TERMS = {'region': region_terms, 'notebook': notebook_terms}
STATISTICS = ('overlap', 'recalled', 'objectness_with', 'num_with', 'objectness_without', 'num_without')
RECALL_IOU = 0.5


def statistics(raw, boxes, labels, anchors, places=None) -> dict[str, tf.Tensor]:
    """What Darknet prints of training, as sums that are scalars: at responsible places the IoU with their object
    (overlap), how many are above 0.5 (recalled), objectness, and their number; at all others objectness and number.

    raw (B, GH, GW, A, 5 + C); boxes (B, N, 4) xmin, ymin, xmax, ymax relative 0..1; labels (B, N), -1 for padding;
    anchors (A, 2) w, h in grid cells. (Darknet src/region_layer.c, forward_region_layer.)
    """
    raw, anchors = tf.stop_gradient(tf.cast(raw, tf.float32)), tf.cast(anchors, tf.float32)
    truth = _truth_at_places(raw, boxes, labels, anchors, places)
    own = box_ops.iou(box_ops.predicted(raw, anchors), truth['own_corners'])
    objectness, mask = tf.sigmoid(raw[..., 4]), tf.cast(truth['responsible'], tf.float32)
    sums = (
        mask * own,
        mask * tf.cast(own > RECALL_IOU, tf.float32),
        mask * objectness,
        mask,
        (1 - mask) * objectness,
        1 - mask,
    )
    return {name: tf.reduce_sum(value) for name, value in zip(STATISTICS, sums, strict=True)}


def _truth_at_places(raw, boxes, labels, anchors, places) -> dict[str, tf.Tensor]:
    """The object that each place answers for: responsible, offset, size (cells), area (relative), label.

    All (B, GH, GW, A, ...); places without an object get harmless values. Also the objects: corners (B, N, 4) cells.
    """
    rows, columns, num_anchors = raw.shape[1], raw.shape[2], raw.shape[3]
    if rows is None or columns is None:
        raise ValueError(f'the losses need a grid of known size, not raw of shape {raw.shape}')
    boxes, labels = tf.cast(boxes, tf.float32), tf.cast(labels, tf.int32)
    if places is None:
        places = encode_targets(boxes, labels, anchors, (rows, columns))
    owner = owners(places, (rows, columns), num_anchors)  # (B, GH, GW, A)
    responsible = owner >= 0
    cells = tf.constant([columns, rows, columns, rows], tf.float32)
    valid = places[..., :1] >= 0
    corners = tf.where(valid, boxes, 0.0) * cells  # (B, N, 4): padding has no area and overlaps nothing
    # One more object, of no consequence, so that an image without any can be gathered from as well.
    centres = tf.pad(box_ops.to_centres(corners), [[0, 0], [0, 1], [0, 0]])
    at = tf.where(responsible, owner, tf.shape(boxes)[1])
    mine = tf.gather(centres, at, batch_dims=1)  # (B, GH, GW, A, 4)
    label = tf.gather(tf.pad(tf.maximum(labels, 0), [[0, 0], [0, 1]]), at, batch_dims=1)
    size = tf.where(responsible[..., None], mine[..., 2:], 1.0)
    return {
        'responsible': responsible,
        'offset': mine[..., :2] - box_ops.cell_corners((rows, columns)),
        'size': size,
        'area': tf.reduce_prod(mine[..., 2:], -1) / (rows * columns),
        'label': label,
        'own_corners': box_ops.to_corners(mine),
        'corners': corners,
    }


def _overlaps(predicted, truth, stop: bool = True) -> tuple[tf.Tensor, tf.Tensor]:
    """Best IoU of each predicted box with any object, and its IoU with the object it answers for; (B, GH, GW, A).

    The first is always a constant for the gradient, the second if `stop`.
    """
    everything = tf.reshape(truth['corners'], (-1, 1, 1, 1, *truth['corners'].shape[1:]))  # (B, 1, 1, 1, N, 4)
    if truth['corners'].shape[1] == 0:
        best = tf.zeros_like(predicted[..., 0])
    else:
        best = tf.reduce_max(box_ops.iou(tf.stop_gradient(predicted)[..., None, :], everything), -1)
    own = box_ops.iou(tf.stop_gradient(predicted) if stop else predicted, truth['own_corners'])
    return best, own


def _square(x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.square(x), -1)


def _sum_over_replicas(value: tf.Tensor) -> tf.Tensor:
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)
