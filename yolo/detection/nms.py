"""Detections from the network's raw output: thresholds and non-maximum suppression, for a batch in the graph."""

import tensorflow as tf

from yolo.detection.decode import decode
from yolo.detection.thresholds import IOU_THRESHOLD, MAX_DETECTIONS, SCORE_THRESHOLD


def detect(
    raw,
    anchors,
    score_threshold: float = SCORE_THRESHOLD,
    iou_threshold: float = IOU_THRESHOLD,
    max_detections: int = MAX_DETECTIONS,
) -> dict[str, tf.Tensor]:
    """The detections in a batch: every class of every cell and anchor with a score over the threshold.

    A box is suppressed by a better one of its class in its image with an IoU over `iou_threshold`. Suppression is
    tf.image.combined_non_max_suppression, the decoding is ours.
    raw (B, GH, GW, A, 5 + C); anchors (A, 2) w, h in grid cells. Returns, D = max_detections and best score first:
    boxes (B, D, 4) xmin, ymin, xmax, ymax relative 0..1, clipped to the image; scores (B, D) objectness x class
    probability; classes (B, D) int32; count (B,) int32, how many of the D are detections. A count of D can mean that
    there were more.
    """
    boxes, objectness, probabilities = decode(raw, anchors)
    scores = objectness[..., None] * probabilities
    shape = tf.shape(scores)
    num_places, num_classes = shape[1] * shape[2] * shape[3], shape[4]
    selected = tf.image.combined_non_max_suppression(
        tf.reshape(boxes, (shape[0], num_places, 1, 4)),
        tf.reshape(scores, (shape[0], num_places, num_classes)),
        max_output_size_per_class=max_detections,
        max_total_size=max_detections,
        iou_threshold=iou_threshold,
        score_threshold=score_threshold,
        clip_boxes=False,
    )
    return {
        'boxes': tf.clip_by_value(selected.nmsed_boxes, 0.0, 1.0),
        'scores': selected.nmsed_scores,
        'classes': tf.cast(selected.nmsed_classes, tf.int32),
        'count': selected.valid_detections,
    }
