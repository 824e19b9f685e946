"""VOC average precision in NumPy, over 11 points and as the area; the tests compare it with the devkit's numbers."""

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np

from yolo.evaluation.voc_matching import (
    Detections,
    GroundTruth,
    Matches,
    checked,
    match_in_given_order,
    order_by_score,
    select,
)

RECALLS = np.arange(11) * 0.1  # as Octave makes 0:0.1:1: the fourth is 0.30000000000000004, over a recall of 3 / 10
DETECTIONS_AT_ONCE = 200_000  # matched at a time, where the detections come image by image: fits the processor's cache


@dataclasses.dataclass(frozen=True)
class AveragePrecision:
    """Results by class, and their means over the classes that have objects (NaN if none has).

    ap_11pt, ap_area (C,) float64, NaN for a class without objects; num_objects (C,) those that are not difficult;
    num_difficult, num_detections (C,); precision, recall, scores: for each class the curve (K,), best score first,
    over the detections that count: true and false positives, but not the ignored detections of difficult objects.
    """

    ap_11pt: np.ndarray
    ap_area: np.ndarray
    num_objects: np.ndarray
    num_difficult: np.ndarray
    num_detections: np.ndarray
    precision: list[np.ndarray]
    recall: list[np.ndarray]
    scores: list[np.ndarray]
    map_11pt: float
    map_area: float


Truth = GroundTruth  # its name in version 0.1

# Some images' detections in any order, and which of them are true positives (D,) and ignored (D,).
MatchedPart = tuple[Detections, np.ndarray, np.ndarray]


def voc_average_precision(
    truth: GroundTruth, detections: Detections, num_classes: int, iou_threshold: float = 0.5
) -> AveragePrecision:
    """The devkit's AP of every class, over 11 points (VOC 2007) and as the area (from VOC 2010 on).

    Detections of a class are taken by falling score, equal scores in the order given. Each goes to the object of its
    image with the highest overlap, the first one on a tie. An overlap of `iou_threshold` or more is a true positive
    if that object is not yet taken, a false positive if it is, and ignored if the object is difficult; less is a
    false positive. ValueError, with the index, for arrays that do not fit together, classes out of range, and scores
    or boxes that are not finite. (VOCdevkit, VOCcode/VOCevaldet.m.)
    """
    truth, detections = checked(truth, num_classes), checked(detections, num_classes)
    return _average_precision(truth, _match_parts(truth, detections, iou_threshold), num_classes)


def average_precision(truth: GroundTruth, matches: Matches, num_classes: int) -> AveragePrecision:
    """The AP of every class, once it is known which detections are true positives."""
    matched_parts = [(matches.sorted_detections, matches.is_true_positive, matches.is_ignored)]
    return _average_precision(checked(truth, num_classes), matched_parts, num_classes)


def area_under(is_true_positive: np.ndarray, num_objects: int) -> float:
    """The AP (area) of the detections (K,) of one class, best score first, none of them ignored."""
    return _ap_area(*_curve(is_true_positive, num_objects))


def _match_parts(truth: GroundTruth, detections: Detections, iou_threshold: float) -> Iterator[MatchedPart]:
    for objects, part in _parts_of_images(truth, detections):
        _, _, is_true_positive, is_ignored = match_in_given_order(objects, part, iou_threshold)
        yield part, is_true_positive, is_ignored


def _parts_of_images(truth: GroundTruth, detections: Detections) -> Iterator[tuple[GroundTruth, Detections]]:
    """Objects and detections in parts of some images each, if the detections come image by image; else all at once."""
    if not len(detections.images) or np.any(detections.images[1:] < detections.images[:-1]):
        yield truth, detections
        return
    order = np.argsort(truth.images, kind='stable')
    starts = np.unique(detections.images[::DETECTIONS_AT_ONCE])  # the image that each part begins with
    ends = np.append(starts[1:], detections.images[-1] + 1)
    truth_bounds = np.searchsorted(truth.images[order], [starts, ends]).T  # (parts, 2)
    bounds = np.searchsorted(detections.images, [starts, ends]).T
    for (first_object, end_object), (first, end) in zip(truth_bounds, bounds, strict=True):
        part = Detections(*(array[first:end] for array in vars(detections).values()))  # views, no copies
        yield select(truth, order[first_object:end_object]), part


def _average_precision(truth: GroundTruth, matched_parts: Iterable[MatchedPart], num_classes: int) -> AveragePrecision:
    """Of detections in parts; among equal scores those of the earlier part are first."""
    scores, is_true_positive, num_detections = _sorted_by_class(matched_parts, num_classes)
    num_objects = np.bincount(truth.classes[~truth.difficult], minlength=num_classes)
    curves = [_curve(own, num) for own, num in zip(is_true_positive, num_objects, strict=True)]
    has_objects = num_objects > 0
    ap_11pt = np.where(has_objects, [_ap_11pt(precision, recall) for precision, recall in curves], np.nan)
    ap_area = np.where(has_objects, [_ap_area(precision, recall) for precision, recall in curves], np.nan)
    return AveragePrecision(
        ap_11pt=ap_11pt,
        ap_area=ap_area,
        num_objects=num_objects,
        num_difficult=np.bincount(truth.classes[truth.difficult], minlength=num_classes),
        num_detections=num_detections,
        precision=[precision for precision, _ in curves],
        recall=[recall for _, recall in curves],
        scores=scores,
        map_11pt=float(ap_11pt[has_objects].mean()) if has_objects.any() else float('nan'),
        map_area=float(ap_area[has_objects].mean()) if has_objects.any() else float('nan'),
    )


def _sorted_by_class(
    matched_parts: Iterable[MatchedPart], num_classes: int
) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """For each class the scores (K,), best first, and true positives (K,) of the detections that are not ignored.

    The last is the number of all detections (C,), ignored ones as well.
    """
    num_detections = np.zeros(num_classes, np.int64)
    scores: list[list[np.ndarray]] = [[np.empty(0)] for _ in range(num_classes)]
    is_true_positive: list[list[np.ndarray]] = [[np.empty(0, bool)] for _ in range(num_classes)]
    for detections, part_true_positive, part_ignored in matched_parts:
        classes = detections.classes.astype(np.min_scalar_type(num_classes))  # few bits are sorted in linear time
        counts = np.bincount(classes, minlength=num_classes)
        num_detections += counts
        for k, own in enumerate(np.split(np.argsort(classes, kind='stable'), np.cumsum(counts)[:-1])):
            counted = own[~part_ignored[own]]
            scores[k].append(detections.scores[counted])
            is_true_positive[k].append(part_true_positive[counted])
    all_scores = [np.concatenate(parts) for parts in scores]
    orders = [order_by_score(own) for own in all_scores]
    sorted_scores = [own[order] for own, order in zip(all_scores, orders, strict=True)]
    sorted_true = [np.concatenate(parts)[order] for parts, order in zip(is_true_positive, orders, strict=True)]
    return sorted_scores, sorted_true, num_detections


def _curve(is_true_positive: np.ndarray, num_objects: int) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall (K,) after each of the detections (K,), best score first."""
    true_positives = np.cumsum(is_true_positive)
    return true_positives / np.arange(1, len(is_true_positive) + 1), true_positives / max(num_objects, 1)


def precision_envelope(precision: np.ndarray) -> np.ndarray:
    """The best precision at each recall or any higher one (..., K)."""
    return np.maximum.accumulate(precision[..., ::-1], -1)[..., ::-1]


def precision_at(recalls: np.ndarray, precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    """The best precision of a curve (K,) at each of some recalls or more, 0 where it is not reached."""
    return np.append(precision_envelope(precision), 0)[np.searchsorted(recall, recalls)]


def _ap_11pt(precision: np.ndarray, recall: np.ndarray) -> float:
    """Mean over 11 recalls of the best precision at that recall or more."""
    return float(precision_at(RECALLS, precision, recall).mean())


def _ap_area(precision: np.ndarray, recall: np.ndarray) -> float:
    """Area under the curve after it was made to fall only."""
    return float(np.sum(np.diff(recall, prepend=0) * precision_envelope(precision)))
