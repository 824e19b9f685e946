"""What lies behind a mAP: operating points, AP by size and by number of objects, confusion, scores."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from yolo.evaluation import coco_matching
from yolo.evaluation.ignore_regions import IgnoreRegions, no_regions, shares
from yolo.evaluation.voc_ap import AveragePrecision, average_precision
from yolo.evaluation.voc_matching import Detections, GroundTruth, Matches, areas, checked, match, select

SIZES = {'small': (0, 32**2), 'medium': (32**2, 96**2), 'large': (96**2, np.inf)}  # COCO's: pixels of the box
NUM_OBJECTS = {'1': (1, 1), '2-4': (2, 4), '5-9': (5, 9), '10-19': (10, 19), '20+': (20, np.inf)}
NUM_BINS = 20  # of a histogram of scores


def operating_points(curves: AveragePrecision) -> list[dict | None]:
    """For each class the score threshold of best F1, with its precision, recall and F1; None without true positives."""
    return [_best_f1(*curve) for curve in zip(curves.precision, curves.recall, curves.scores, strict=True)]


def _best_f1(precision: np.ndarray, recall: np.ndarray, scores: np.ndarray) -> dict | None:
    """The operating point of a curve (K,)."""
    if not len(scores):
        return None
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    is_last_of_score = np.append(scores[1:] != scores[:-1], True)  # a threshold takes equal scores all or none
    f1 = np.where(is_last_of_score, f1, 0)
    best = int(f1.argmax())
    if f1[best] == 0:
        return None
    values = {'score': scores, 'precision': precision, 'recall': recall, 'f1': f1}
    return {name: float(value[best]) for name, value in values.items()}


def operating_scores(
    truth: GroundTruth, detections: Detections, curves: AveragePrecision, iou_threshold: float
) -> list[float]:
    """For each class the score threshold of best F1.

    A class without true positives gets the threshold for all classes merged into one, or infinity if there is none.
    """
    truth, detections = _as_one_class(truth), _as_one_class(detections)
    all_classes = average_precision(truth, match(truth, detections, 1, iou_threshold), 1)
    fallback = operating_points(all_classes)[0] or {'score': float('inf')}
    return [(point or fallback)['score'] for point in operating_points(curves)]


def _as_one_class(items):
    """GroundTruth or Detections, all of class 0."""
    return dataclasses.replace(items, classes=np.zeros_like(items.classes))


def by_size(
    truth: GroundTruth,
    detections: Detections,
    num_classes: int,
    iou_threshold: float,
    regions: IgnoreRegions | None = None,
) -> dict[str, dict[str, float | None]]:
    """mAP (area) over the objects of each of SIZES: area of the box in pixels of the original image.

    As COCO does it: objects of other sizes are ignored, and so are detections of other sizes that match nothing. A
    detection goes to an object that counts before any that is ignored (`coco_matching`). An area of exactly 32 x 32 or
    96 x 96 is of the larger size here, and of both in COCO; there is no limit of 100 detections an image and class.
    regions: those by which the detections are marked. A detection lies in one with half of its area, as everywhere
    here; in COCO with a share of iou_threshold.
    """
    truth, detections = checked(truth, num_classes), checked(detections, num_classes)
    area = areas(truth.boxes)
    pairs = coco_matching.find_pairs(truth, detections, iou_threshold)
    region_shares = shares(pairs.sorted_detections, regions or no_regions())
    detected_area = areas(pairs.sorted_detections.boxes)
    rows = {}
    for name, (low, high) in SIZES.items():
        objects = dataclasses.replace(truth, difficult=truth.difficult | (area < low) | (area >= high))
        matches = coco_matching.match(truth, pairs, objects.difficult, region_shares)
        has_other_size = (detected_area < low) | (detected_area >= high)
        is_ignored = matches.is_ignored | (matches.is_false_positive & has_other_size)
        rows[name] = _mean_ap(objects, dataclasses.replace(matches, is_ignored=is_ignored), num_classes)
    return rows


def by_number(
    truth: GroundTruth, detections: Detections, num_classes: int, iou_threshold: float
) -> dict[str, dict[str, float | None]]:
    """mAP (area) over the images with each of NUM_OBJECTS."""
    num_images = 1 + int(np.concatenate([truth.images, detections.images]).max(initial=-1))
    counts = np.bincount(truth.images, minlength=num_images)
    rows = {}
    for name, (low, high) in NUM_OBJECTS.items():
        is_chosen = (counts >= low) & (counts <= high)
        objects = select(truth, is_chosen[truth.images])
        own = select(detections, is_chosen[detections.images])
        row = _mean_ap(objects, match(objects, own, num_classes, iou_threshold), num_classes)
        rows[name] = {**row, 'num_images': int(is_chosen.sum())}
    return rows


def _mean_ap(truth: GroundTruth, matches: Matches, num_classes: int) -> dict[str, float | None]:
    curves = average_precision(truth, matches, num_classes)
    map_area = None if np.isnan(curves.map_area) else curves.map_area
    return {'map_area': map_area, 'num_objects': int(curves.num_objects.sum())}


def confusion(
    truth: GroundTruth, detections: Detections, thresholds: Sequence[float], num_classes: int, iou_threshold: float
) -> np.ndarray:
    """How often a class is confused with another, (C + 1, C + 1): rows are true classes, columns detected ones.

    Detections with at least the threshold of their class are matched, best score first, to the object of any class
    that each overlaps most, if that is `iou_threshold` or more and the object is not matched yet. The last row counts
    detections without an object, the last column objects without a detection. Difficult objects, and detections that
    match them, are left out.
    """
    is_selected = detections.scores >= np.asarray(thresholds)[detections.classes]
    selected = select(detections, is_selected)
    matches = match(_as_one_class(truth), _as_one_class(selected), 1, iou_threshold)
    classes = selected.classes[np.argsort(-selected.scores, kind='stable')]  # (D,) of the sorted detections
    matched = matches.best_object[matches.is_true_positive]
    is_missed = ~truth.difficult
    is_missed[matched] = False
    table = np.zeros((num_classes + 1, num_classes + 1), int)
    np.add.at(table, (truth.classes[matched], classes[matches.is_true_positive]), 1)
    np.add.at(table[num_classes], classes[matches.is_false_positive], 1)
    np.add.at(table[:, num_classes], truth.classes[is_missed], 1)
    return table


def most_confused(metrics: dict, most: int) -> list[tuple[str, str, int, float]]:
    """The pairs of a true and another detected class with the most objects: names, objects, share of the true class.

    metrics: with `per_class` and `confusion`.
    """
    names, table = list(metrics['per_class']), np.array(metrics['confusion'])
    totals = table.sum(1)
    pairs = [(int(table[i, j]), i, j) for i, j in np.argwhere(table[:-1, :-1] > 0).tolist() if i != j]
    pairs.sort(key=lambda pair: (-pair[0], pair[1:]))
    return [(names[i], names[j], count, count / int(totals[i])) for count, i, j in pairs[:most]]


def score_histogram(matches: Matches, k: int) -> tuple[list[int], list[int], tuple[float, float]]:
    """How many true and how many false positives of a class have a score in each twentieth of a range; and that range.

    The range is 0 to 1, or larger if the scores of all classes need it.
    """
    is_own, scores = matches.sorted_detections.classes == k, matches.sorted_detections.scores
    low, high = min(scores.min(initial=0), 0.0), max(scores.max(initial=1), 1.0)
    edges = np.linspace(low, high, NUM_BINS + 1)
    true_positives, false_positives = (
        np.histogram(scores[is_own & is_counted], edges)[0].tolist()
        for is_counted in (matches.is_true_positive, matches.is_false_positive)
    )
    return true_positives, false_positives, (float(low), float(high))
