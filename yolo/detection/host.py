"""From a network's output to detections in NumPy: the code behind every backend. It loads no TensorFlow.

The graph has its own in `decode` and `nms`, for the device; both give the same detections.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import cv2
import numpy as np

from yolo import settings
from yolo.detection import host_fusion, options, thresholds
from yolo.detection.options import GREEDY, PER_CLASS, WBF
from yolo.geometry.limits import MOST_EXPONENT


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """Lowest score of a detection, IoU over which a better box suppresses it, and how many an image may have.

    nms_scope: whether a box is suppressed by better ones of its own class, or of all; class_scores (C,): the lowest
    score of each class, in place of `score`; nms: whether what is suppressed goes, or is averaged into the better box
    (`host_fusion`). ValueError for values out of the bounds that the flags have.
    """

    score: float = options.score_threshold_setting(thresholds.SCORE_THRESHOLD)
    suppression_iou: float = options.nms_iou_setting()
    max_detections: int = options.max_detections_setting(thresholds.MAX_DETECTIONS)
    nms_scope: str = options.nms_scope_setting()
    class_scores: tuple[float, ...] | None = settings.recorded(None, low=0, high=1)
    nms: str = options.nms_setting()

    def __post_init__(self) -> None:
        settings.check(self)

    def scores(self, num_classes: int) -> np.ndarray:
        """The lowest score (C,) of each class; ValueError if there are thresholds for another number of classes."""
        if self.class_scores is None:
            return np.full(num_classes, self.score, np.float32)
        if len(self.class_scores) != num_classes:
            raise ValueError(f'{len(self.class_scores)} thresholds of classes for {num_classes} classes')
        return np.asarray(self.class_scores, np.float32)


class Candidates(NamedTuple):
    """Places that may hold objects: their image's number (M,), boxes (M, 4) as in a record, scores (M, C)."""

    images: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray


def detect(outputs: Mapping[str, np.ndarray], anchors, thresholds: Thresholds) -> dict[str, np.ndarray]:
    """The detections in a batch, as `yolo.detect` gives them, from what a network gives.

    outputs: one of raw (B, GH, GW, A, 5 + C); boxes (B, N, 4) xmin, ymin, xmax, ymax relative 0..1 and scores
    (B, N, C); or detections: boxes (B, D, 4), scores (B, D), classes (B, D) and count (B,), of which those under the
    thresholds are left out (ValueError with nms='wbf': nothing is left to average). anchors (A, 2) w, h in grid cells,
    for raw. Returns boxes (B, D, 4) clipped to the image, scores (B, D), classes (B, D) int32 and count (B,) int32,
    D = max_detections, best score first.
    """
    if 'count' in outputs:
        return _over_thresholds(outputs, thresholds)
    candidates = _decode(outputs['raw'], anchors, thresholds) if 'raw' in outputs else _flatten(outputs, thresholds)
    batch_size = len(next(iter(outputs.values())))
    images = _at_least(candidates, thresholds)
    return _pad([_suppress(each, thresholds) for each in _by_image(images, batch_size)], thresholds.max_detections)


def decode(raw: np.ndarray, anchors) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (B, N, 4), as in a record and not clipped, and scores (B, N, C) of all places; N = GH GW A.

    raw (B, GH, GW, A, 5 + C); anchors (A, 2) w, h in grid cells. (Darknet src/region_layer.c, get_region_box.)
    """
    every = Thresholds(score=0.0)
    candidates = _decode(raw, anchors, every, everywhere=True)
    return candidates.boxes.reshape(len(raw), -1, 4), candidates.scores.reshape(len(raw), -1, raw.shape[-1] - 5)


def _decode(raw: np.ndarray, anchors, thresholds: Thresholds, everywhere: bool = False) -> Candidates:
    """The places whose objectness alone is over a threshold: no class can be over it elsewhere."""
    raw, anchors = np.asarray(raw, np.float32), np.asarray(anchors, np.float32)
    _, rows, columns, _, values = raw.shape
    objectness = _sigmoid(raw[..., 4])
    lowest = thresholds.scores(values - 5).min(initial=1)
    at = np.nonzero(np.ones_like(objectness, bool) if everywhere else objectness > lowest)
    images, row, column, anchor = at
    places = raw[at]  # (M, 5 + C)
    centres = _sigmoid(places[:, :2]) + np.stack([column, row], -1)
    half = np.exp(np.minimum(places[:, 2:4], MOST_EXPONENT)) * anchors[anchor] / 2
    boxes = np.concatenate([centres - half, centres + half], -1) / np.array([columns, rows] * 2)
    return Candidates(images, boxes.astype(np.float32), objectness[at][:, None] * _softmax(places[:, 5:]))


def _flatten(outputs: Mapping[str, np.ndarray], thresholds: Thresholds) -> Candidates:
    """The places with a score over the lowest threshold."""
    boxes, scores = np.asarray(outputs['boxes'], np.float32), np.asarray(outputs['scores'], np.float32)
    at = np.nonzero(scores.max(-1) > thresholds.scores(scores.shape[-1]).min())
    return Candidates(at[0], boxes[at], scores[at])


def _at_least(candidates: Candidates, thresholds: Thresholds) -> tuple[np.ndarray, ...]:
    """Image, box, score and class (K, ...) of every class of every place with a score over its threshold."""
    place, classes = np.nonzero(candidates.scores > thresholds.scores(candidates.scores.shape[-1]))
    return candidates.images[place], candidates.boxes[place], candidates.scores[place, classes], classes


def _by_image(found: tuple[np.ndarray, ...], batch_size: int) -> list[tuple[np.ndarray, ...]]:
    """Boxes, scores and classes of each image; those of one image follow each other already."""
    ends = np.searchsorted(found[0], np.arange(1, batch_size))
    return list(zip(*(np.split(values, ends) for values in found[1:]), strict=True))


def _suppress(found: tuple[np.ndarray, ...], thresholds: Thresholds) -> tuple[np.ndarray, ...]:
    """The boxes (K, 4), scores and classes of an image that no better box suppresses, best first."""
    boxes, scores, classes = found
    kept, boxes = select(boxes, scores, classes, thresholds)
    return boxes, scores[kept], classes[kept]


def select(
    boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, limits: Thresholds
) -> tuple[np.ndarray, np.ndarray]:
    """What remains of boxes (K, 4) corners: their indices (D,), at most max_detections, best first; their boxes (D, 4).

    With nms='wbf' these are means, see `host_fusion`.
    """
    iou, scope = limits.suppression_iou, limits.nms_scope
    kept = suppress(boxes, scores, classes, iou, scope)[: limits.max_detections]
    if limits.nms == WBF:
        return kept, host_fusion.fuse(boxes, scores, classes, kept, iou, scope)
    return kept, boxes[kept]


def suppress(boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, iou: float, scope: str) -> np.ndarray:
    """The indices of the boxes (K, 4) corners that no better one overlaps by more than `iou`, best score first.

    scope: one of options.NMS_SCOPES. The greedy suppression is OpenCV's.
    """
    if scope not in options.NMS_SCOPES:
        raise ValueError(f'nms_scope={scope!r}: not one of {", ".join(options.NMS_SCOPES)}')
    corners, scores = np.asarray(boxes, np.float64), np.asarray(scores, np.float32)
    rectangles = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], -1)
    groups = [np.arange(len(scores))]
    if scope == PER_CLASS:  # OpenCV's own suppression by class is slow: it compares the boxes of all classes
        groups = [np.flatnonzero(classes == each) for each in np.unique(classes)]
    kept = [group[_suppress_group(rectangles[group], scores[group], iou)] for group in groups if len(group)]
    best = np.concatenate([np.zeros(0, int), *kept])
    return best[np.argsort(-scores[best], kind='stable')]


def _suppress_group(rectangles: np.ndarray, scores: np.ndarray, iou: float) -> np.ndarray:
    """The indices of the boxes (K, 4) left, top, width, height that no better one overlaps by more than `iou`."""
    return np.asarray(cv2.dnn.NMSBoxes(cast(Any, rectangles), cast(Any, scores), 0.0, iou), int)


def _over_thresholds(outputs: Mapping[str, np.ndarray], thresholds: Thresholds) -> dict[str, np.ndarray]:
    """Detections that a network suppressed itself, but for those that score too low."""
    if thresholds.nms != GREEDY:
        raise ValueError(
            f'nms={thresholds.nms!r}: the network suppressed boxes itself, and none are left to average; '
            f'nms={GREEDY!r}, or a network whose output is raw or boxes'
        )
    images = []
    lowest = thresholds.class_scores
    for boxes, scores, classes, count in zip(
        *(np.asarray(outputs[name]) for name in ('boxes', 'scores', 'classes', 'count')), strict=True
    ):
        boxes, scores, classes = boxes[:count], scores[:count], classes[:count]
        enough = scores > (thresholds.score if lowest is None else np.asarray(lowest)[classes.astype(int)])
        images.append(_suppress((boxes[enough], scores[enough], classes[enough]), thresholds))
    return _pad(images, thresholds.max_detections)


def _pad(images: list[tuple[np.ndarray, ...]], length: int) -> dict[str, np.ndarray]:
    """Detections of each image, padded with zeros to `length`."""
    padded = {
        'boxes': np.zeros((len(images), length, 4), np.float32),
        'scores': np.zeros((len(images), length), np.float32),
        'classes': np.zeros((len(images), length), np.int32),
        'count': np.array([len(scores) for _, scores, _ in images], np.int32),
    }
    for i, (boxes, scores, classes) in enumerate(images):
        padded['boxes'][i, : len(scores)] = np.clip(boxes, 0, 1)
        padded['scores'][i, : len(scores)] = scores
        padded['classes'][i, : len(scores)] = classes
    return padded


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.maximum(x, -80)))  # e^80 is finite in float32


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)
