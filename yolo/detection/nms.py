"""Detections from the network's raw output: thresholds and non-maximum suppression, for a batch in the graph."""

import tensorflow as tf

from yolo.detection import fusion, suppression
from yolo.detection.decode import decode
from yolo.detection.options import GREEDY, NMS_KINDS, NMS_SCOPES, PER_CLASS, WBF
from yolo.detection.thresholds import IOU_THRESHOLD, MAX_DETECTIONS, SCORE_THRESHOLD


def detect(
    raw,
    anchors,
    score_threshold: float = SCORE_THRESHOLD,
    iou_threshold: float = IOU_THRESHOLD,
    max_detections: int = MAX_DETECTIONS,
    nms_scope: str = PER_CLASS,
    nms: str = GREEDY,
) -> dict[str, tf.Tensor]:
    """The detections in a batch: every class of every cell and anchor with a score over the threshold.

    A box is suppressed by a better one in its image, of its class or of all (`nms_scope`), with an IoU over
    `iou_threshold`; with nms='wbf' the better one becomes the mean of both, weighted by squared scores (`fusion`).
    raw (B, GH, GW, A, 5 + C); anchors (A, 2) w, h in grid cells. Returns, D = max_detections and best score first:
    boxes (B, D, 4) xmin, ymin, xmax, ymax relative 0..1, clipped to the image; scores (B, D) objectness x class
    probability; classes (B, D) int32; count (B,) int32, how many of the D are detections. A count of D can mean that
    there were more. ValueError for an unknown scope or nms.
    """
    found = detect_unclipped(raw, anchors, score_threshold, iou_threshold, max_detections, nms_scope, nms)
    return {**found, 'boxes': tf.clip_by_value(found['boxes'], 0.0, 1.0)}


def detect_unclipped(
    raw, anchors, score_threshold: float, iou_threshold: float, max_detections: int, nms_scope: str, nms: str = GREEDY
) -> dict[str, tf.Tensor]:
    """What `detect` returns, with boxes as they are decoded: clipped ones overlap more, and would not be kept again."""
    if nms_scope not in NMS_SCOPES:
        raise ValueError(f'nms_scope={nms_scope!r}: not one of {", ".join(NMS_SCOPES)}')
    if nms not in NMS_KINDS:
        raise ValueError(f'nms={nms!r}: not one of {", ".join(NMS_KINDS)}')
    boxes, objectness, probabilities = decode(raw, anchors)
    scores = objectness[..., None] * probabilities
    shape = tf.shape(scores)
    num_places, num_classes = shape[1] * shape[2] * shape[3], scores.shape[4]
    boxes = tf.reshape(boxes, (shape[0], num_places, 4))
    scores = tf.reshape(scores, (shape[0], num_places, num_classes))
    found = suppression.suppress(boxes, scores, score_threshold, iou_threshold, max_detections, nms_scope)
    return fusion.fuse(found, boxes, scores, score_threshold, iou_threshold, nms_scope) if nms == WBF else found
