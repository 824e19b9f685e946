"""From detections to everything that `metrics.json` holds."""

import dataclasses
import math

import numpy as np

from yolo.evaluation import bootstrap, breakdowns, coco_ap, error_analysis
from yolo.evaluation.error_analysis import ERROR_TYPES, ErrorTypes
from yolo.evaluation.result import EvaluationResult
from yolo.evaluation.voc_ap import AveragePrecision, average_precision, precision_at, voc_average_precision
from yolo.evaluation.voc_matching import Detections, Matches, match

RECALLS = np.linspace(0, 1, 101)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """metrics: what `metrics.json` holds; matches, curves, error_types: what the report is drawn from."""

    metrics: dict
    matches: Matches
    curves: AveragePrecision
    error_types: ErrorTypes


def evaluate(
    result: EvaluationResult,
    match_iou: float,
    settings: dict | None = None,
    other: Detections | None = None,
    coco: bool = False,
) -> Evaluation:
    """All metrics of some detections.

    match_iou: from this overlap on a detection matches an object; settings: how the detections were made, taken over
    into the metrics; other: detections of another detector to compare with, of the same images and classes by the same
    numbers (`result.aligned`); coco: COCO's metrics as well.
    """
    num_classes = len(result.classes)
    matches = match(result.truth, result.detections, num_classes, match_iou)
    curves = average_precision(result.truth, matches, num_classes)
    error_types = error_analysis.classify(result.truth, matches, num_classes, match_iou)
    metrics = {
        **ap_metrics(result, curves),
        **(settings or {}),
        'errors': _error_metrics(result, matches, error_types),
        **_breakdown_metrics(result, curves, match_iou),
    }
    for name, row in _class_metrics(result, matches, curves).items():
        metrics['per_class'][name] |= row
    if coco:
        metrics['coco'] = coco_ap.average_precision(result)
    if other is not None:
        metrics['compared'] = compare(result, other, match_iou)
    return Evaluation(metrics, matches, curves, error_types)


def ap_metrics(result: EvaluationResult, curves: AveragePrecision) -> dict:
    """mAP and AP over 11 points and as area, None without objects, and counts of objects, detections and images."""
    return {
        'map_11pt': _or_none(curves.map_11pt),
        'map_area': _or_none(curves.map_area),
        'per_class': {
            name: {
                'ap_11pt': _or_none(curves.ap_11pt[k]),
                'ap_area': _or_none(curves.ap_area[k]),
                'num_objects': int(curves.num_objects[k]),
                'num_difficult': int(curves.num_difficult[k]),
                'num_detections': int(curves.num_detections[k]),
            }
            for k, name in enumerate(result.classes)
        },
        'num_images': len(result.image_ids),
        **({'num_ignore_regions': len(result.regions.images)} if len(result.regions.images) else {}),
    }


def mean_ap(result: EvaluationResult, match_iou: float) -> dict[str, float | None]:
    """mAP over 11 points and as area, None without objects."""
    curves = voc_average_precision(result.truth, result.detections, len(result.classes), match_iou)
    return {'map_11pt': _or_none(curves.map_11pt), 'map_area': _or_none(curves.map_area)}


def compare(result: EvaluationResult, other: Detections, match_iou: float) -> dict[str, dict | None]:
    """By how much the AP (area) of each class, and the `mAP`, is above that of other detections of the same images."""
    num_images, num_classes = len(result.image_ids), len(result.classes)
    rows = bootstrap.difference(result.truth, result.detections, other, num_images, num_classes, match_iou)
    return dict(zip([*result.classes, 'mAP'], rows, strict=True))


def _error_metrics(result: EvaluationResult, matches: Matches, error_types: ErrorTypes) -> dict[str, dict]:
    """For each type of error how many there are and by how much they lower the mAP (area)."""
    costs = error_analysis.costs(result.truth, matches, error_types, len(result.classes))
    counts = {name: int(np.sum(error_types.types == number)) for number, name in enumerate(ERROR_TYPES)}
    counts['missed'] = int(error_types.is_missed.sum())
    return {name: {'count': counts[name], 'cost': costs[name]} for name in ERROR_TYPES}


def _breakdown_metrics(result: EvaluationResult, curves: AveragePrecision, match_iou: float) -> dict:
    """confusion: rows of true classes, columns of detected ones, last for none; by_size, by_number: mAP and objects."""
    truth, detections, num_classes = result.truth, result.detections, len(result.classes)
    thresholds = breakdowns.operating_scores(truth, detections, curves, match_iou)
    return {
        'confusion': breakdowns.confusion(truth, detections, thresholds, num_classes, match_iou).tolist(),
        'by_size': breakdowns.by_size(truth, detections, num_classes, match_iou, result.regions),
        'by_number': breakdowns.by_number(truth, detections, num_classes, match_iou),
    }


def _class_metrics(result: EvaluationResult, matches: Matches, curves: AveragePrecision) -> dict[str, dict]:
    """For each class its operating point of best F1, histograms of scores, and its curve at 101 recalls."""
    rows = {}
    for k, (name, point) in enumerate(zip(result.classes, breakdowns.operating_points(curves), strict=True)):
        true_positives, false_positives, score_range = breakdowns.score_histogram(matches, k)
        rows[name] = {
            'best_f1': point,
            'scores_right': true_positives,
            'scores_wrong': false_positives,
            'score_range': score_range,
            'precision_by_recall': precision_at(RECALLS, curves.precision[k], curves.recall[k]).tolist(),
        }
    return rows


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
