"""All that evaluation says beyond AP, as the part of `metrics.json` that it is."""

import numpy as np

from yolo.evaluation import breakdowns, error_analysis
from yolo.evaluation.result import EvaluationResult
from yolo.evaluation.voc_ap import AveragePrecision, Matches


def describe(
    found: EvaluationResult,
    matches: Matches,
    curves: AveragePrecision,
    mistakes: error_analysis.Errors,
    iou_threshold: float,
) -> dict:
    """Kinds of errors with count and cost, confusion of classes, mAP by size and by number of objects.

    errors: for each of error_analysis.KINDS its count and its cost in mAP (area); confusion: rows of true classes, columns of
    those of detections with breakdowns.sure_scores, then nothing; by_size, by_number: mAP (area) and number of objects.
    """
    num_classes = len(found.classes)
    costs = error_analysis.costs(found.truth, matches, mistakes, num_classes)
    counts = {name: int((mistakes.kinds == number).sum()) for number, name in enumerate(error_analysis.KINDS)}
    counts['missed'] = int(mistakes.missed.sum())
    thresholds = breakdowns.sure_scores(found.truth, found.detections, curves, iou_threshold)
    return {
        'errors': {name: {'count': counts[name], 'cost': costs[name]} for name in error_analysis.KINDS},
        'confusion': breakdowns.confusion(
            found.truth, found.detections, thresholds, num_classes, iou_threshold
        ).tolist(),
        'by_size': breakdowns.by_size(found.truth, found.detections, num_classes, iou_threshold),
        'by_number': breakdowns.by_number(found.truth, found.detections, num_classes, iou_threshold),
    }


def by_class(found: EvaluationResult, matches: Matches, curves: AveragePrecision) -> dict[str, dict]:
    """For each class its operating point of best F1, the scores of right and wrong detections in twentieths of their
    range, and the best precision at recalls 0, 0.01 ... 1 or more."""
    rows = {}
    for k, (name, point) in enumerate(zip(found.classes, breakdowns.operating_points(curves), strict=True)):
        right, wrong, scores = breakdowns.score_histogram(matches, k)
        rows[name] = {
            'best_f1': point,
            'scores_right': right,
            'scores_wrong': wrong,
            'score_range': scores,
            'precision_by_recall': _precision_by_recall(curves.precision[k], curves.recall[k]),
        }
    return rows


def _precision_by_recall(precision: np.ndarray, recall: np.ndarray) -> list[float]:
    best = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0)
    return best[np.searchsorted(recall, np.linspace(0, 1, 101))].tolist()
