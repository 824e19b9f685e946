"""Which annotations are most likely wrong: missing objects, boxes of nothing, wrong classes, bad boxes, duplicates.

A network says what it sees in images that it was not trained on; where it is sure and the annotation says otherwise,
one of the two is wrong. Each kind of suspect has a quantity of its own, which `calibration` turns into the probability
that the label is wrong, so that all kinds are ranked in one list.
"""

import dataclasses

import numpy as np

from yolo.evaluation import calibration, evidence
from yolo.evaluation.evidence import NONE, Evidence
from yolo.evaluation.result import EvaluationResult

KINDS = MISSING, NOTHING, CLASS, BOX, TWICE = ('missing', 'nothing', 'class', 'box', 'twice')
GOOD_FIT = 0.7  # IoU with the detection from which on a box is not suspected
TWICE_IOU = 0.8  # of two objects that are one, annotated twice
LEAST_PROBABILITY = 0.01  # less is not listed
CHANCE = 0.95  # an object is seen if its support is above this quantile of that of nothing
DOUBT = 0.5  # of a detection that fits the box: by how much of its score it speaks for it
SPREAD = 0.618034  # golden section: deterministic draws that fill an interval evenly
WORST_SHIFT, BEST_SHIFT = 0.2, 0.7  # IoU of a badly drawn box with the right one, in the sample


@dataclasses.dataclass(frozen=True)
class Suspects:
    """S suspects, the most likely wrong first.

    kinds (S,) index into KINDS; probabilities (S,) 0..1; images (S,); objects (S,) index into the ground truth, -1 for
    a missing one; detections (S,) the detection that speaks against it, -1 for none; reasons (S,): in words.
    """

    kinds: np.ndarray
    probabilities: np.ndarray
    images: np.ndarray
    objects: np.ndarray
    detections: np.ndarray
    reasons: tuple[str, ...]


def find(result: EvaluationResult, most: int) -> Suspects:
    """The `most` most likely wrong annotations of an evaluation, each object once; difficult objects are none.

    result: of images that the network was not trained on, with detections down to a low score.
    """
    found = evidence.gather(result)
    rows = [_missing(result, found), _nothing(result, found), _wrong_class(result, found), _bad_box(result, found)]
    rows.append(_twice(result, found))
    kinds = np.repeat(np.arange(len(KINDS)), [len(row[0]) for row in rows])
    probabilities, ties, objects, detections = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    images = np.where(
        objects >= 0,
        np.append(result.truth.images, NONE)[objects],
        np.append(result.detections.images, NONE)[detections],
    )
    order = np.lexsort((-ties, -probabilities))
    order = order[probabilities[order] >= LEAST_PROBABILITY]
    order = order[_first_of_object(objects[order])][:most]
    kinds, objects, detections = kinds[order], objects[order], detections[order]
    listed = zip(kinds.tolist(), objects.tolist(), detections.tolist(), strict=True)
    reasons = tuple(_reason(result, found, *row) for row in listed)
    return Suspects(kinds, probabilities[order], images[order], objects, detections, reasons)


Rows = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # probability, what decides a tie, object, detection


def _missing(result: EvaluationResult, found: Evidence) -> Rows:
    """Detections where no object is. A missing object would show the score that the annotated ones show."""
    detections = np.flatnonzero(found.is_unexplained)
    scores = result.detections.scores[detections]
    sample = _own_support(result, found)[~result.truth.difficult]
    return _rows(scores, sample, np.full(len(detections), NONE), detections)


def _nothing(result: EvaluationResult, found: Evidence) -> Rows:
    """Objects where nothing is detected. A box of nothing would show what a box laid into another image shows.

    Scores are relative to those that objects of the class usually have, and the word of a network that sees few objects
    of the class counts little: the probability is multiplied by the share that it sees.
    """
    objects = np.flatnonzero(~result.truth.difficult)
    usual = _usual_support(result, found)[result.truth.classes]
    null = evidence.null_support(result) / usual
    null = null[np.isfinite(null)]
    values = (found.any_support / usual)[objects]
    probabilities, *others = _rows(-values, -null, objects, found.near[objects])
    seen = values > np.quantile(np.append(null, 0), CHANCE)
    classes, num_classes = result.truth.classes[objects], len(result.classes)
    counts = np.bincount(classes, minlength=num_classes)
    shares = np.bincount(classes, seen, num_classes) / np.maximum(counts, 1)
    return probabilities * shares[classes], *others


def _wrong_class(result: EvaluationResult, found: Evidence) -> Rows:
    """Objects that detections of another class fit. A wrong name would show what it does if an object is renamed."""
    objects = np.flatnonzero(~result.truth.difficult)
    num_classes = len(result.classes)
    if num_classes == 1:
        return _rows(np.zeros(0), np.zeros(0), objects[:0], objects[:0])
    own, support = result.truth.classes[objects], found.support[objects]
    rival = _without(support, own).argmax(1)
    values = _lead(support, own)
    renamed = (own + 1 + np.arange(len(own)) % (num_classes - 1)) % num_classes
    detections = found.supporter[objects, rival]
    kept = detections >= 0
    return _rows(values[kept], _lead(support, renamed), objects[kept], detections[kept])


def _bad_box(result: EvaluationResult, found: Evidence) -> Rows:
    """Objects that the best detection of their class fits badly. The sample: right boxes, shifted."""
    objects = np.flatnonzero(~result.truth.difficult & (found.near >= 0))
    scores, iou = result.detections.scores[found.near[objects]], found.near_iou[objects]
    shift = WORST_SHIFT + (BEST_SHIFT - WORST_SHIFT) * (np.arange(len(objects)) * SPREAD % 1)
    support = _own_support(result, found)[objects]
    values = scores * (1 - iou) - DOUBT * support
    sample = scores * (1 - iou * shift) - DOUBT * np.where(iou * shift >= evidence.FITS, support, 0)
    kept = iou < GOOD_FIT
    return _rows(values[kept], sample, objects[kept], found.near[objects][kept])


def _twice(result: EvaluationResult, found: Evidence) -> Rows:
    """Of two objects in one place the one whose class is detected with the lower score, or else the later one."""
    truth = result.truth
    pairs = evidence.find_pairs(truth, truth.images, truth.boxes)
    support = _own_support(result, found)
    first, second = pairs.objects, pairs.detections
    is_worse = (support[first] < support[second]) | ((support[first] == support[second]) & (first > second))
    is_one = (pairs.iou >= TWICE_IOU) & (first != second) & is_worse & ~truth.difficult[first]
    objects = first[is_one]
    return pairs.iou[is_one], pairs.iou[is_one], objects, np.full(len(objects), NONE)


def _rows(values: np.ndarray, sample: np.ndarray, objects: np.ndarray, detections: np.ndarray) -> Rows:
    """Probabilities of candidates by their values; ties are decided by the share of the sample below a value."""
    probabilities = calibration.probabilities(values, sample)
    below = np.searchsorted(np.sort(sample), values) / max(1, len(sample))
    return probabilities, below, objects, detections


def _own_support(result: EvaluationResult, found: Evidence) -> np.ndarray:
    """The support (T,) of each object by detections of its class."""
    return found.support[np.arange(len(result.truth.classes)), result.truth.classes]


def _usual_support(result: EvaluationResult, found: Evidence) -> np.ndarray:
    """The mean of any_support (C,) of the objects of each class, as if one more were there that has the mean of all."""
    classes, num_classes = result.truth.classes, len(result.classes)
    mean = max(float(found.any_support.mean()) if len(classes) else 0.0, 1e-6)
    sums = np.bincount(classes, found.any_support, num_classes) + mean
    return sums / (np.bincount(classes, minlength=num_classes) + 1)


def _without(support: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Support (T, C) without that of a class of each object."""
    return np.where(np.arange(support.shape[1]) == classes[:, None], NONE, support)


def _lead(support: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """By how much the best other class is ahead of one of each object: (T,)."""
    return _without(support, classes).max(1) - support[np.arange(len(classes)), classes]


def _first_of_object(objects: np.ndarray) -> np.ndarray:
    """The places (N,) in a list of objects where each comes for the first time, and all of no object (-1)."""
    _, first = np.unique(objects, return_index=True)
    return np.union1d(first[objects[first] >= 0], np.flatnonzero(objects < 0))


def _reason(result: EvaluationResult, found: Evidence, kind: int, t: int, d: int) -> str:
    """Why an object or a place is suspected, in words."""
    detections, classes = result.detections, result.classes
    name = classes[result.truth.classes[t]] if t >= 0 else ''
    if KINDS[kind] == MISSING:
        detected = classes[detections.classes[d]]
        return f'{detected} is detected with score {detections.scores[d]:.2f} where no object is annotated'
    if KINDS[kind] == NOTHING:
        usual = _usual_support(result, found)[result.truth.classes[t]]
        return (
            f'annotated as {name}, but the best detection here has score {found.any_support[t]:.3f}; '
            f'objects of {name} have {usual:.2f} on average'
        )
    if KINDS[kind] == CLASS:
        own = found.support[t, result.truth.classes[t]]
        return (
            f'annotated as {name}, detected as {classes[detections.classes[d]]} with score '
            f'{detections.scores[d]:.2f}, as {name} with {own:.2f}'
        )
    if KINDS[kind] == BOX:
        return (
            f'{name} is detected with score {detections.scores[d]:.2f} in another box: its IoU with the annotated one '
            f'is {found.near_iou[t]:.2f}'
        )
    return f'annotated as {name} in the place of another object'
