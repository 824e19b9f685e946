"""All that evaluation says beyond AP, as the part of `metrics.json` that it is."""

import numpy as np

from yolo import analysis, errors
from yolo.average_precision import AveragePrecision, Matches
from yolo.evaluation import Found


def describe(found: Found, matches: Matches, curves: AveragePrecision, mistakes: errors.Errors,
             iou_threshold: float) -> dict:  # fmt: skip
    """Kinds of errors with count and cost, confusion of classes, mAP by size and by number of objects.

    errors: for each of errors.KINDS its count and its cost in mAP (area); confusion: rows of true classes, columns of
    those of detections with analysis.sure_scores, then nothing; by_size, by_number: mAP (area) and number of objects.
    """
    num_classes = len(found.classes)
    costs = errors.costs(found.truth, matches, mistakes, num_classes)
    counts = {name: int((mistakes.kinds == number).sum()) for number, name in enumerate(errors.KINDS)}
    counts['missed'] = int(mistakes.missed.sum())
    thresholds = analysis.sure_scores(found.truth, found.detections, curves, iou_threshold)
    return {
        'errors': {name: {'count': counts[name], 'cost': costs[name]} for name in errors.KINDS},
        'confusion': analysis.confusion(found.truth, found.detections, thresholds, num_classes, iou_threshold).tolist(),
        'by_size': analysis.by_size(found.truth, found.detections, num_classes, iou_threshold),
        'by_number': analysis.by_number(found.truth, found.detections, num_classes, iou_threshold),
    }


def by_class(found: Found, matches: Matches, curves: AveragePrecision) -> dict[str, dict]:
    """For each class its operating point of best F1, the scores of right and wrong detections in twentieths of their
    range, and the best precision at recalls 0, 0.01 ... 1 or more."""
    rows = {}
    for k, (name, point) in enumerate(zip(found.classes, analysis.operating_points(curves), strict=True)):
        right, wrong, scores = analysis.score_histogram(matches, k)
        rows[name] = {'best_f1': point, 'scores_right': right, 'scores_wrong': wrong, 'score_range': scores,
                      'precision_by_recall': _precision_by_recall(curves.precision[k], curves.recall[k])}  # fmt: skip
    return rows


def _precision_by_recall(precision: np.ndarray, recall: np.ndarray) -> list[float]:
    best = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0)
    return best[np.searchsorted(recall, np.linspace(0, 1, 101))].tolist()
