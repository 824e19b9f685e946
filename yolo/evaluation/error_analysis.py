"""What keeps the AP down: every false positive and every missed object by its kind, and what each kind costs.

The kinds and their costs are those of TIDE (Bolya et al., "TIDE: A General Toolbox for Identifying Object Detection
Errors", 2020), with the devkit's rules of overlap, of difficult objects and of AP (the area).
"""

import dataclasses

import numpy as np

from yolo.evaluation.voc_ap import Detections, Matches, Truth, area_under, best_objects

KINDS = ('class', 'localisation', 'both', 'duplicate', 'background', 'missed')
BACKGROUND_IOU = 0.1  # an overlap of less is none
NOTHING = -1


@dataclasses.dataclass(frozen=True)
class Errors:
    """The errors of a set of detections, D of them by falling score, and T objects.

    kinds (D,) index into KINDS, -1 for what is no error; targets (D,) the object that an error of class or localisation
    is about, -1 for other kinds; missed (T,) bool: objects that no detection found, nor meant by such an error.
    """

    kinds: np.ndarray
    targets: np.ndarray
    missed: np.ndarray


def classify(truth: Truth, matches: Matches, num_classes: int, iou_threshold: float = 0.5) -> Errors:
    """The kind of every error.

    A false positive is of the first of these kinds that fits: localisation, it overlaps an object of its class by 0.1
    to `iou_threshold`; class, it overlaps an object of another class by that or more; duplicate, an object of its class
    that a better detection took; background, it overlaps none by 0.1; else both. Difficult objects count for none.
    """
    ranked = matches.ranked
    wrong = ~(matches.right | matches.ignored)
    counted = np.flatnonzero(~truth.difficult)
    own, own_iou = _best(truth, counted, ranked, truth.classes, ranked.classes)
    other, other_iou = np.full(len(wrong), NOTHING), np.full(len(wrong), -np.inf)
    for k in range(num_classes):  # objects of all classes but one, as if they were of one
        mine = np.flatnonzero(wrong & (ranked.classes == k))
        rest = counted[truth.classes[counted] != k]
        some = Detections(*(array[mine] for array in vars(ranked).values()))
        other[mine], other_iou[mine] = _best(truth, rest, some, 0 * truth.classes, 0 * some.classes)
    any_iou = np.maximum(own_iou, other_iou)
    conditions = [
        (own_iou >= BACKGROUND_IOU) & (own_iou < iou_threshold),
        other_iou >= iou_threshold,
        own_iou >= iou_threshold,
        any_iou < BACKGROUND_IOU,
    ]
    names = ('localisation', 'class', 'duplicate', 'background')
    kinds = np.select(conditions, [KINDS.index(name) for name in names], KINDS.index('both'))
    kinds = np.where(wrong, kinds, NOTHING)
    targets = np.full(len(wrong), NOTHING)
    for name, objects in (('localisation', own), ('class', other)):
        of_kind = kinds == KINDS.index(name)
        targets[of_kind] = objects[of_kind]
    missed = ~truth.difficult
    missed[matches.objects[matches.right]] = False
    missed[targets[targets >= 0]] = False
    return Errors(kinds, targets, missed)


def _best(
    truth: Truth, objects: np.ndarray, detections: Detections, object_classes: np.ndarray, classes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The one of some objects that each detection overlaps most, and that overlap."""
    some = Truth(truth.images[objects], object_classes[objects], truth.boxes[objects], truth.difficult[objects])
    best, overlap = best_objects(some, dataclasses.replace(detections, classes=classes))
    return np.where(best >= 0, np.append(objects, NOTHING)[best], NOTHING), overlap


def costs(truth: Truth, matches: Matches, errors: Errors, num_classes: int) -> dict[str, float]:
    """By how much the mAP (area) would rise if the errors of one kind were mended, for each of KINDS.

    Mended are: class and localisation, the best detection that is about an object that is not found becomes right (the
    best of both kinds: an object is found once), the others go; both, duplicate and background, they go; missed, the
    objects are not counted, and a class of which all were missed has an AP of 1. 0 without objects. (As tidecv, the
    paper's own program, but for AP's interpolation and such a class: there it is not in the mean any more, or has an AP
    of 0 if there are detections of it, so that a detector that finds nothing would lose nothing by that.)
    """
    before = _mean_ap(truth, matches.ranked.classes, matches.right, ~matches.ignored, ~truth.difficult, num_classes)
    return {name: _mean_ap(truth, *_mended(truth, matches, errors, name), num_classes) - before for name in KINDS}


def _mended(
    truth: Truth, matches: Matches, errors: Errors, name: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Classes and right (D,), which of them count (D,), which objects count (T,), without the errors of a kind."""
    classes, right, counts = matches.ranked.classes.copy(), matches.right.copy(), ~matches.ignored
    objects = ~truth.difficult
    if name == 'missed':
        return classes, right, counts, objects & ~errors.missed
    of_kind = errors.kinds == KINDS.index(name)
    counts &= ~of_kind
    if name in ('class', 'localisation'):
        found = np.zeros(len(objects), bool)
        found[matches.objects[matches.right]] = True
        candidates = np.flatnonzero(errors.targets >= 0)  # of both kinds, best score first
        candidates = candidates[~found[errors.targets[candidates]]]
        best = candidates[np.unique(errors.targets[candidates], return_index=True)[1]]
        best = best[of_kind[best]]
        counts[best] = right[best] = True
        classes[best] = truth.classes[errors.targets[best]]
    return classes, right, counts, objects


def _mean_ap(
    truth: Truth, classes: np.ndarray, right: np.ndarray, counts: np.ndarray, objects: np.ndarray, num_classes: int
) -> float:
    """The mean of the areas, over the classes that have objects; (D,) by falling score, (T,) bool of objects."""
    values = []
    for k in range(num_classes):
        num = int(np.sum(objects & (truth.classes == k)))
        if np.any(~truth.difficult & (truth.classes == k)):
            values.append(area_under(right[counts & (classes == k)], num) if num else 1.0)
    return float(np.mean(values)) if values else 0.0
