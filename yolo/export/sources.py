"""The trained models that can be exported, and what is known of where they come from."""

import posixpath
from typing import Any

from absl import logging

from yolo import descriptions, storage
from yolo.detection import best_f1, options, thresholds
from yolo.detection.exported import Source
from yolo.geometry.box_convention import VOC
from yolo.models import conversion, model_folder
from yolo.models.build import DarknetModel
from yolo.models.model_folder import ModelInfo

COPIED = ('map_11pt', 'map_area', 'split', 'num_images', 'image_size', 'thresholds')


def read(
    cfg: str = '',
    weights: str = '',
    model_dir: str = '',
    keras: str = '',
    checkpoint: str = '',
    box_convention: str | None = None,
) -> tuple[DarknetModel, ModelInfo, Source]:
    """The model, its class names and resizing as far as they are known, and the source as its description names it.

    As of `conversion.read_model`. Of a run's folder the mAP is taken over, if eval.py measured it with the weights
    that are exported, by greedy suppression, and with the box_convention that they are exported with, None for the
    model's own.
    """
    if not model_dir:
        model, info = conversion.read_model(cfg, weights, model_dir, keras)
        return model, info, Source(posixpath.basename(keras or cfg), posixpath.basename(weights), model.seen)
    model, info, path = model_folder.load_trained(model_dir, checkpoint)
    name = posixpath.relpath(path, model_dir) if storage.is_local(path) else path
    metrics = _metrics(model_dir, path, box_convention or model.network.box_convention)
    return model, info, Source(model_dir, name, model.seen, metrics)


def best_thresholds(source: Source, classes: tuple[str, ...]) -> tuple[float, ...] | None:
    """The score threshold of best F1 of each class, if eval.py measured the weights that are exported, else None.

    classes: the names that they were evaluated with.
    """
    if not source.metrics or not classes:
        return None
    path = posixpath.join(source.model, best_f1.OF_A_RUN)
    return best_f1.class_thresholds(path, classes, thresholds.PHOTO_SCORE_THRESHOLD)


def _metrics(model_dir: str, checkpoint: str, box_convention: str) -> dict[str, Any]:
    """The mAP that eval.py measured with a checkpoint of a run, of boxes by a convention; empty if it did not."""
    path = posixpath.join(model_dir, best_f1.OF_A_RUN)
    if not storage.exists(path):
        return {}
    try:
        metrics = descriptions.parse(storage.read(path, descriptions.MOST_BYTES))
    except ValueError as error:
        raise ValueError(f'{path} is damaged ({error}); evaluate the run again, or remove it') from error
    evaluated = metrics.get('checkpoint') if isinstance(metrics, dict) else None
    if not isinstance(evaluated, str) or not best_f1.is_same(evaluated, checkpoint):
        return {}
    if metrics.get('box_convention', VOC) != box_convention:  # earlier versions knew no other
        return {}
    nms = best_f1.measured_nms(metrics)
    if nms != options.GREEDY:
        logging.warning(
            '%s was measured with nms=%s, exported models are for nms=%s: its mAP and thresholds of best F1 are not '
            'taken over; evaluate the run again without --nms',
            path,
            nms,
            options.GREEDY,
        )
        return {}
    return {name: metrics[name] for name in COPIED if name in metrics}
