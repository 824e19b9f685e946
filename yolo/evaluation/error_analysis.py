"""What keeps the AP down: the type of every error, and by how much each type lowers the mAP.

The types and their costs are those of TIDE (Bolya et al., "TIDE: A General Toolbox for Identifying Object Detection
Errors", 2020), with the devkit's rules of overlap, of difficult objects and of AP (the area).
"""

import dataclasses

import numpy as np

from yolo.evaluation.voc_ap import area_under
from yolo.evaluation.voc_matching import NO_OBJECT, Detections, GroundTruth, Matches, best_objects, select

ERROR_TYPES = ('class', 'localisation', 'both', 'duplicate', 'background', 'missed')
BACKGROUND_IOU = 0.1  # less counts as no overlap
NO_ERROR = -1


@dataclasses.dataclass(frozen=True)
class ErrorTypes:
    """The errors of detections (D, by falling score) and of objects (T).

    types (D,) index into ERROR_TYPES, -1 for a detection that is no error; targets (D,) the object that should have
    been detected, for errors of class or localisation, -1 for all other detections; is_missed (T,) bool: no detection
    matches the object, and it is the target of none.
    """

    types: np.ndarray
    targets: np.ndarray
    is_missed: np.ndarray


def classify(truth: GroundTruth, matches: Matches, num_classes: int, iou_threshold: float = 0.5) -> ErrorTypes:
    """The type of every error.

    A false positive has the first of these types that fits: localisation, it overlaps an object of its class by 0.1
    to `iou_threshold`; class, it overlaps an object of another class by that or more; duplicate, it overlaps an object
    of its class by that or more, which a detection with a higher score matches; background, it overlaps no object by
    0.1; else both (class and localisation). Difficult objects are left out.
    """
    counted = np.flatnonzero(~truth.difficult)
    same, same_iou = _best_objects_among(truth, counted, matches.sorted_detections)
    other, other_iou = _best_objects_of_other_classes(truth, counted, matches, num_classes)
    type_of = {
        'localisation': (same_iou >= BACKGROUND_IOU) & (same_iou < iou_threshold),
        'class': other_iou >= iou_threshold,
        'duplicate': same_iou >= iou_threshold,
        'background': np.maximum(same_iou, other_iou) < BACKGROUND_IOU,
    }
    numbers = [ERROR_TYPES.index(name) for name in type_of]
    types = np.select(list(type_of.values()), numbers, ERROR_TYPES.index('both'))  # the first that fits
    types = np.where(matches.is_false_positive, types, NO_ERROR)
    is_localisation, is_class = (types == ERROR_TYPES.index(name) for name in ('localisation', 'class'))
    targets = np.select([is_localisation, is_class], [same, other], NO_OBJECT)
    is_missed = ~truth.difficult
    is_missed[matches.best_object[matches.is_true_positive]] = False
    is_missed[targets[targets >= 0]] = False
    return ErrorTypes(types, targets, is_missed)


def _best_objects_among(
    truth: GroundTruth, objects: np.ndarray, detections: Detections
) -> tuple[np.ndarray, np.ndarray]:
    """As best_objects, (D,) and (D,), but among some of the objects (N,) alone."""
    best, overlap = best_objects(select(truth, objects), detections)
    return np.where(best >= 0, np.append(objects, NO_OBJECT)[best], NO_OBJECT), overlap


def _best_objects_of_other_classes(
    truth: GroundTruth, objects: np.ndarray, matches: Matches, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """The object of another class that each false positive overlaps most (D,), and that overlap (D,)."""
    best = np.full(len(matches.overlap), NO_OBJECT)
    overlap = np.full(len(matches.overlap), -np.inf)
    one_class = dataclasses.replace(truth, classes=np.zeros_like(truth.classes))
    for k in range(num_classes):
        own = np.flatnonzero(matches.is_false_positive & (matches.sorted_detections.classes == k))
        others = objects[truth.classes[objects] != k]
        detections = select(matches.sorted_detections, own)
        detections = dataclasses.replace(detections, classes=np.zeros_like(detections.classes))
        best[own], overlap[own] = _best_objects_among(one_class, others, detections)
    return best, overlap


@dataclasses.dataclass(frozen=True)
class _Corrected:
    """What an AP is computed from: detections (D, by falling score) and which objects count (T,)."""

    classes: np.ndarray  # (D,)
    is_true_positive: np.ndarray  # (D,) bool
    is_counted: np.ndarray  # (D,) bool: neither ignored nor removed
    objects: np.ndarray  # (T,) bool


def costs(truth: GroundTruth, matches: Matches, error_types: ErrorTypes, num_classes: int) -> dict[str, float]:
    """By how much the mAP (area) would rise if the errors of one type were corrected, for each of ERROR_TYPES.

    class, localisation: for each object without a true positive, the best detection that it is the target of (of both
    types: an object is detected once) becomes a true positive, and the other errors of the type are removed; both,
    duplicate, background: they are removed; missed: these objects are not counted, and a class of which all were
    missed has an AP of 1. All are 0 without objects. (As tidecv, the paper's own program, but for the AP's
    interpolation and such a class: tidecv leaves it out of the mean, or gives it an AP of 0 if there are detections of
    it, so that a detector that detects nothing would lose nothing by that.)
    """
    given = _Corrected(
        matches.sorted_detections.classes, matches.is_true_positive, ~matches.is_ignored, ~truth.difficult
    )
    before = _mean_ap(truth, given, num_classes)
    return {
        name: _mean_ap(truth, _correct(given, truth, matches, error_types, name), num_classes) - before
        for name in ERROR_TYPES
    }


def _correct(given: _Corrected, truth: GroundTruth, matches: Matches, error_types: ErrorTypes, name: str) -> _Corrected:
    """The same without the errors of a type."""
    if name == 'missed':
        return dataclasses.replace(given, objects=given.objects & ~error_types.is_missed)
    is_of_type = error_types.types == ERROR_TYPES.index(name)
    is_corrected = is_of_type & _is_best_of_target(matches, error_types)  # errors without a target are only removed
    target_classes = np.append(truth.classes, NO_OBJECT)[error_types.targets]  # (D,)
    return dataclasses.replace(
        given,
        classes=np.where(is_corrected, target_classes, given.classes),
        is_true_positive=given.is_true_positive | is_corrected,
        is_counted=(given.is_counted & ~is_of_type) | is_corrected,
    )


def _is_best_of_target(matches: Matches, error_types: ErrorTypes) -> np.ndarray:
    """(D,) bool: of the detections with the same target the best score, where the target has no true positive."""
    has_true_positive = np.zeros(len(error_types.is_missed), bool)  # (T,)
    has_true_positive[matches.best_object[matches.is_true_positive]] = True
    candidates = np.flatnonzero(error_types.targets >= 0)  # best score first
    candidates = candidates[~has_true_positive[error_types.targets[candidates]]]
    _, first_of_target = np.unique(error_types.targets[candidates], return_index=True)
    is_best = np.zeros(len(error_types.targets), bool)
    is_best[candidates[first_of_target]] = True
    return is_best


def _mean_ap(truth: GroundTruth, corrected: _Corrected, num_classes: int) -> float:
    """The mean of the areas over the classes that have objects."""
    values = []
    for k in range(num_classes):
        if not np.any(~truth.difficult & (truth.classes == k)):
            continue
        num_objects = int(np.sum(corrected.objects & (truth.classes == k)))
        own = corrected.is_true_positive[corrected.is_counted & (corrected.classes == k)]
        values.append(area_under(own, num_objects) if num_objects else 1.0)
    return float(np.mean(values)) if values else 0.0
