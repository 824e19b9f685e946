"""The score thresholds at which each class has its best F1, from the `metrics.json` of an evaluation."""

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from yolo import descriptions, storage
from yolo.detection.options import GREEDY

WORD = 'best_f1'  # in place of a score threshold
METRICS_FILE, OF_A_RUN = 'metrics.json', 'report/metrics.json'
ADVICE = 'run eval.py for this model first, or give --metrics=PATH'


def class_thresholds(
    path: str, classes: Sequence[str], otherwise: float, checkpoint: str = '', nms: str = ''
) -> tuple[float, ...]:
    """The threshold (C,) of each class: scores above it are those that the best F1 of the evaluation counted.

    path: of a metrics.json, or of a folder that has one; otherwise: for a class whose evaluation had no true positive;
    checkpoint, nms: the weights, and what becomes of suppressed boxes, that the thresholds are for. It is warned of
    such a class, and of an evaluation of another checkpoint or with another nms. ValueError, with the way out, if
    there is no such file, it is damaged, or has other classes.
    """
    path = posixpath.join(path, METRICS_FILE) if storage.is_folder(path) else path
    if not storage.exists(path):
        raise ValueError(f'there is no {path}, which has the thresholds of best F1; {ADVICE}')
    try:
        metrics = descriptions.parse(storage.read(path, descriptions.MOST_BYTES))
        points = {name: row['best_f1'] for name, row in metrics['per_class'].items()}
        scores = {name: _score(point, name) for name, point in points.items() if point is not None}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f'{error.args[0]!r} is missing' if isinstance(error, KeyError) else error
        raise ValueError(f'{path}: not the metrics of an evaluation ({reason}); {ADVICE}') from error
    if points.keys() != set(classes):
        there, own = ', '.join(points) or 'none', ', '.join(classes) or 'no names of classes'
        raise ValueError(f'{path} has the classes {there}, the model has {own}; {ADVICE}')
    _warn(path, [name for name in classes if name not in scores], otherwise, metrics.get('checkpoint'), checkpoint)
    warn_of_nms(path, measured_nms(metrics), nms)
    return tuple(scores.get(name, otherwise) for name in classes)


def measured_nms(metrics: Mapping[str, Any]) -> str:
    """What became of suppressed boxes in an evaluation; those by earlier versions do not say it, and were greedy."""
    thresholds = metrics.get('thresholds')
    return thresholds.get('nms', GREEDY) if isinstance(thresholds, dict) else GREEDY


def warn_of_nms(path: str, measured: str, nms: str) -> None:
    """Warns if the thresholds of best F1 in path were measured with another nms than they are for."""
    if nms and nms != measured:
        text = '%s: its thresholds of best F1 were measured with nms=%s, here is nms=%s: take that, or evaluate again'
        logging.warning(text, path, measured, nms)


def _warn(path: str, without: Sequence[str], otherwise: float, evaluated: Any, checkpoint: str) -> None:
    if without:
        reason = 'the evaluation had no true positive'
        logging.warning('%s: no threshold of best F1 for %s (%s): %g', path, ', '.join(without), reason, otherwise)
    if checkpoint and isinstance(evaluated, str) and not is_same(evaluated, checkpoint):
        logging.warning('%s is of %s, not of %s: evaluate that one with eval.py', path, evaluated, checkpoint)


def is_same(checkpoint: str, other: str) -> bool:
    """Whether two paths are of one checkpoint of a run, whose folder may have been moved in between."""
    return checkpoint.split('/')[-2:] == other.split('/')[-2:]


def _score(point: dict[str, Any], name: str) -> float:
    """Just below the lowest score that counted, as detections are those with a score above their threshold."""
    score = point['score']
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        raise ValueError(f'per_class.{name}.best_f1.score is {score!r}: not a number from 0 to 1')
    return float(np.nextafter(np.float32(score), np.float32(0)))
