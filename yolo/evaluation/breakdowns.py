"""What lies behind a mAP: operating points, AP by size and by number of objects, confusion, scores."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from yolo.evaluation.voc_ap import AveragePrecision, Detections, Matches, Truth, average_precision, match

SIZES = {'small': (0, 32**2), 'medium': (32**2, 96**2), 'large': (96**2, np.inf)}  # COCO's: pixels of the box
NUM_OBJECTS = {'1': (1, 1), '2-4': (2, 4), '5-9': (5, 9), '10-19': (10, 19), '20+': (20, np.inf)}
NUM_BINS = 20  # of a histogram of scores


def operating_points(curves: AveragePrecision) -> list[dict | None]:
    """For each class the score of best F1, and precision, recall and F1 from it on; None if nothing is right."""
    found: list[dict | None] = []
    for precision, recall, scores in zip(curves.precision, curves.recall, curves.scores, strict=True):
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        last = np.append(scores[1:] != scores[:-1], True)[: len(scores)]  # equal scores are taken all or none
        f1 = np.where(last, f1, 0)
        best = int(f1.argmax()) if len(f1) else 0
        found.append(
            None
            if not len(f1) or f1[best] == 0
            else {
                'score': float(scores[best]),
                'precision': float(precision[best]),
                'recall': float(recall[best]),
                'f1': float(f1[best]),
            }
        )
    return found


def sure_scores(truth: Truth, detections: Detections, curves: AveragePrecision, iou_threshold: float) -> list[float]:
    """For each class the score from which on its detections count as sure: that of best F1.

    A class of which nothing is right has that of all classes taken for one; without any, no score is enough (infinity).
    """
    same = dataclasses.replace(truth, classes=0 * truth.classes)
    matches = match(same, dataclasses.replace(detections, classes=0 * detections.classes), 1, iou_threshold)
    shared = operating_points(average_precision(same, matches, 1))[0]
    return [(point or shared or {'score': float('inf')})['score'] for point in operating_points(curves)]


def by_size(truth: Truth, detections: Detections, num_classes: int, iou_threshold: float) -> dict[str, dict]:
    """mAP (area) over objects of a size: of `SIZES`, area of the box in pixels of the original image.

    As COCO does it: objects of other sizes count neither as found nor as missed, nor do detections of other sizes that
    find nothing.
    """
    area = _area(truth.boxes)
    found = {}
    for name, (low, high) in SIZES.items():
        inside = (area >= low) & (area < high)
        others = dataclasses.replace(truth, difficult=truth.difficult | ~inside)
        matches = match(others, detections, num_classes, iou_threshold)
        size = _area(matches.ranked.boxes)
        nothing = ~matches.right & ~matches.ignored & ((size < low) | (size >= high))
        matches = dataclasses.replace(matches, ignored=matches.ignored | nothing)
        found[name] = _row(others, matches, num_classes)
    return found


def by_number(truth: Truth, detections: Detections, num_classes: int, iou_threshold: float) -> dict[str, dict]:
    """mAP (area) over images with so many objects, of `NUM_OBJECTS`."""
    num_images = 1 + int(np.concatenate([truth.images, detections.images]).max(initial=-1))
    counts = np.bincount(truth.images, minlength=num_images)
    found = {}
    for name, (low, high) in NUM_OBJECTS.items():
        chosen = (counts >= low) & (counts <= high)
        objects = Truth(*(array[chosen[truth.images]] for array in vars(truth).values()))
        own = Detections(*(array[chosen[detections.images]] for array in vars(detections).values()))
        found[name] = _row(objects, match(objects, own, num_classes, iou_threshold), num_classes)
        found[name]['num_images'] = int(chosen.sum())
    return found


def _row(truth: Truth, matches: Matches, num_classes: int) -> dict:
    value = average_precision(truth, matches, num_classes)
    return {
        'map_area': None if np.isnan(value.map_area) else value.map_area,
        'num_objects': int(value.num_objects.sum()),
    }


def _area(boxes: np.ndarray) -> np.ndarray:
    """Pixels of boxes (N, 4) in VOC pixels, whose both ends count."""
    return np.prod(boxes[:, 2:] - boxes[:, :2] + 1, 1)


def confusion(
    truth: Truth, detections: Detections, thresholds: Sequence[float], num_classes: int, iou_threshold: float
) -> np.ndarray:
    """How often a class is taken for another, (C + 1, C + 1): rows are true classes, columns detected ones.

    Detections of at least their class's threshold go, best score first, to the object of any class that each overlaps
    most, if by `iou_threshold` or more and it is not taken. The last row is detections that have none, the last column
    objects that have none. Difficult objects, and detections of these, are left out.
    """
    sure = detections.scores >= np.asarray(thresholds)[detections.classes]
    kept = Detections(*(array[sure] for array in vars(detections).values()))
    same = dataclasses.replace(truth, classes=0 * truth.classes)
    matches = match(same, dataclasses.replace(kept, classes=0 * kept.classes), 1, iou_threshold)
    order = np.argsort(-kept.scores, kind='stable')
    classes = kept.classes[order]
    table = np.zeros((num_classes + 1, num_classes + 1), int)
    right, free = matches.right, ~(matches.right | matches.ignored)
    np.add.at(table, (truth.classes[matches.objects[right]], classes[right]), 1)
    np.add.at(table, (np.full(free.sum(), num_classes), classes[free]), 1)
    missed = ~truth.difficult
    missed[matches.objects[right]] = False
    np.add.at(table, (truth.classes[missed], np.full(missed.sum(), num_classes)), 1)
    return table


def score_histogram(matches: Matches, k: int) -> tuple[list[int], list[int], tuple[float, float]]:
    """How many detections of a class are right, and how many wrong, by score in twentieths of a range, and that range.

    It is 0 to 1, or as much more as the scores of all classes need.
    """
    own, scores = matches.ranked.classes == k, matches.ranked.scores
    low, high = min(scores.min(initial=0), 0.0), max(scores.max(initial=1), 1.0)
    edges = np.linspace(low, high, NUM_BINS + 1)
    right, wrong = matches.right & own, own & ~matches.right & ~matches.ignored
    counts = [np.histogram(scores[which], edges)[0].tolist() for which in (right, wrong)]
    return counts[0], counts[1], (float(low), float(high))
