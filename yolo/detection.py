"""From the network's raw output to detections, in batch on the graph."""

import tensorflow as tf

from yolo import boxes as box_ops

SCORE_THRESHOLD, IOU_THRESHOLD, MAX_DETECTIONS = 0.005, 0.45, 500


def decode(raw, anchors) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """What the raw output says at every place.

    raw (B, GH, GW, A, 5 + C); anchors (A, 2) w, h in grid cells. Returns boxes (B, GH, GW, A, 4) xmin, ymin, xmax,
    ymax relative 0..1 (not clipped to the image), objectness (B, GH, GW, A) and class probabilities
    (B, GH, GW, A, C). (YOLOv2 paper, section 2; Darknet src/region_layer.c, get_region_box.)
    """
    raw = tf.cast(raw, tf.float32)
    rows, columns = tf.shape(raw)[1], tf.shape(raw)[2]
    grid = tf.cast(tf.stack([columns, rows, columns, rows]), tf.float32)
    boxes = box_ops.predicted(raw, tf.cast(anchors, tf.float32)) / grid
    return boxes, tf.sigmoid(raw[..., 4]), tf.nn.softmax(raw[..., 5:])


def detect(raw, anchors, score_threshold: float = SCORE_THRESHOLD, iou_threshold: float = IOU_THRESHOLD,
           max_detections: int = MAX_DETECTIONS) -> dict[str, tf.Tensor]:  # fmt: skip
    """The detections of a batch: every class of every place with a score over the threshold, suppressed per class.

    A box is suppressed by a better one of its class in its image that it overlaps by more than `iou_threshold`.
    raw (B, GH, GW, A, 5 + C); anchors (A, 2) w, h in grid cells. Returns, D = max_detections and best score first:
    boxes (B, D, 4) xmin, ymin, xmax, ymax relative 0..1, clipped to the image; scores (B, D) objectness x class
    probability; classes (B, D) int32; count (B,) int32, how many of the D are detections. A count of D can mean that
    there were more.
    """
    boxes, objectness, probabilities = decode(raw, anchors)
    scores = objectness[..., None] * probabilities
    shape = tf.shape(scores)
    num_places, num_classes = shape[1] * shape[2] * shape[3], shape[4]
    found = tf.image.combined_non_max_suppression(
        tf.reshape(boxes, (shape[0], num_places, 1, 4)), tf.reshape(scores, (shape[0], num_places, num_classes)),
        max_output_size_per_class=max_detections, max_total_size=max_detections, iou_threshold=iou_threshold,
        score_threshold=score_threshold, clip_boxes=False)  # fmt: skip
    return {
        'boxes': tf.clip_by_value(found.nmsed_boxes, 0.0, 1.0),
        'scores': found.nmsed_scores,
        'classes': tf.cast(found.nmsed_classes, tf.int32),
        'count': found.valid_detections,
    }
