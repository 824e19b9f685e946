"""Weighted boxes fusion in NumPy, after the suppression: boxes averaged by weights in place of the best one alone.

A box that greedy suppression keeps becomes the mean of itself and of all boxes that it suppresses: those of its class
(or of all, by `nms_scope`) with an IoU over the threshold of the suppression. Their weights are their squared scores
(the scores alone moved boxes of small objects too far, see docs/results.md). Its score and class stay those of the
best, so that detections and their order are those of greedy suppression. A box that two kept ones suppress counts for
both.

(Solovyev et al., "Weighted boxes fusion", 2021, for the mean by scores. Theirs joins the boxes of several models,
compares with the mean while it grows, and averages the scores too; from one network the score would then fall with the
number of its boxes. Here what is suppressed is decided first, as in YOLOv5's `merge`, and all means are taken at once.)
"""

import numpy as np

from yolo.detection.options import PER_CLASS

PAIRS = 1 << 19  # of a kept box and another that are compared at a time


def fuse(
    boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, kept: np.ndarray, iou: float, scope: str
) -> np.ndarray:
    """The mean boxes (D, 4), of the type of boxes, of the D detections that `host.suppress` kept.

    boxes (K, 4) corners, scores (K,), classes (K,); kept (D,): indices into them; iou, scope: as it was given them.
    """
    fused = np.array(boxes[kept])
    rows = max(1, PAIRS // max(1, len(boxes)))
    for start in range(0, len(kept), rows):
        some = kept[start : start + rows]
        may_join = classes[some][:, None] == classes if scope == PER_CLASS else np.ones((len(some), len(boxes)), bool)
        fused[start : start + rows] = _means(boxes[some], boxes, np.where(may_join, scores**2, 0), iou)
    return fused


def _means(own: np.ndarray, boxes: np.ndarray, weights: np.ndarray, iou: float) -> np.ndarray:
    """Each of own (R, 4), moved to the mean of boxes (K, 4) with an IoU over the threshold, with weights (R, K)."""
    own, boxes = np.asarray(own, np.float64), np.asarray(boxes, np.float64)
    weights = np.where(_iou(own[:, None], boxes) > iou, weights, 0)
    joins, total = weights > 0, weights.sum(1, keepdims=True)
    offsets = np.where(joins[..., None], weights[..., None] * (boxes - own[:, None]), 0).sum(1)
    return own + np.divide(offsets, total, out=np.zeros_like(own), where=total > 0)


def _iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of corners (..., 4) with corners (..., 4), broadcast; 0 where both have no area."""
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.prod(np.maximum(sides, 0), -1)
    union = _area(a) + _area(b) - shared
    return np.divide(shared, union, out=np.zeros_like(union), where=union > 0)


def _area(boxes: np.ndarray) -> np.ndarray:
    """Area (...) of corners (..., 4)."""
    return np.prod(np.maximum(boxes[..., 2:] - boxes[..., :2], 0), -1)
