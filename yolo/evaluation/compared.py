"""What `eval.py --compare` warns of: evaluations whose difference may come of something else than the detectors."""

import dataclasses
import posixpath
from typing import Any

from absl import logging

from yolo import descriptions, storage
from yolo.detection import host, options
from yolo.detection.best_f1 import METRICS_FILE

# Of thresholds that evaluations by earlier versions do not have: what they did.
EARLIER = {'nms_scope': options.PER_CLASS, 'nms': options.GREEDY}
FLAGS = {'score': 'score_threshold', 'suppression_iou': 'nms_iou'}  # of thresholds whose flags have other names


def warn(metrics_path: str, thresholds: host.Thresholds | None) -> None:
    """Warns if another evaluation is of Darknet's .weights by an earlier version, or made with other thresholds.

    metrics_path: its metrics.json or the folder of that; thresholds: of this evaluation, None if it is of detections in
    files. ValueError if that file is damaged.
    """
    path = posixpath.join(metrics_path, METRICS_FILE) if storage.is_folder(metrics_path) else metrics_path
    if not storage.exists(path):
        return
    try:
        metrics = descriptions.parse(storage.read(path, descriptions.MOST_BYTES))
    except ValueError as error:
        raise ValueError(f'{path} is damaged ({error}); evaluate that detector again') from error
    if not isinstance(metrics, dict):
        return
    _warn_of_short_boxes(path, metrics)
    if thresholds is not None:
        _warn_of_thresholds(path, metrics.get('thresholds'), thresholds)


def _warn_of_short_boxes(path: str, metrics: dict[str, Any]) -> None:
    """Warns of an evaluation of Darknet's .weights by an earlier version, which added no pixel to their boxes."""
    model = metrics.get('checkpoint') if 'box_convention' not in metrics else None
    if isinstance(model, str) and model.endswith('.weights'):
        logging.warning(
            '%s: an earlier version evaluated %s; if Darknet trained it on VOC, its boxes are a pixel short there, and '
            'the difference may come of that: evaluate it again',
            path,
            model,
        )


def _warn_of_thresholds(path: str, theirs: Any, thresholds: host.Thresholds) -> None:
    """Warns of thresholds that differ; nothing is known of those behind detections in files."""
    if not isinstance(theirs, dict) or 'suppression_iou' not in theirs:
        return
    theirs = {**EARLIER, **theirs}
    differ = [
        (FLAGS.get(field.name, field.name), theirs[field.name], getattr(thresholds, field.name))
        for field in dataclasses.fields(host.Thresholds)
        if field.name in theirs and theirs[field.name] != getattr(thresholds, field.name)
    ]
    if differ:
        there, here = (', '.join(f'{name}={row[i]}' for name, *row in differ) for i in (0, 1))
        logging.warning('%s is of %s, this evaluation of %s: the difference may come of that', path, there, here)
