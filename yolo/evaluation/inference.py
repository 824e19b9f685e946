"""Trained model and records -> detections -> VOC average precision."""

import dataclasses
import json
import math
import posixpath
import time
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from yolo import storage
from yolo.data import pipeline, records
from yolo.detection import keras_backend
from yolo.detection.keras_backend import make_predict as make_predict
from yolo.evaluation.result import EvaluationResult
from yolo.evaluation.voc_ap import AveragePrecision, Detections, Truth, to_voc_pixels, voc_average_precision
from yolo.geometry.letterbox import from_canvas, inner_pixels


@dataclasses.dataclass(frozen=True)
class Thresholds(keras_backend.Thresholds):
    """What counts as a detection, and the IoU from which on it finds an object."""

    match_iou: float = 0.5


def evaluate(predict, data_dir: str, split: str, batch_size: int, thresholds: Thresholds) -> dict:
    """Metrics of a split, ready for `metrics.json`: VOC AP by class and mAP both ways, counts, thresholds.

    predict: as `make_predict` gives it. Average precisions of classes without objects are None and not in the means.
    """
    return evaluate_with_curves(predict, data_dir, split, batch_size, thresholds)[0]


def evaluate_with_curves(
    predict, data_dir: str, split: str, batch_size: int, thresholds: Thresholds
) -> tuple[dict, AveragePrecision]:
    """What `evaluate` gives, and the precision-recall curves behind it."""
    found, about, _ = find(predict, data_dir, split, batch_size, thresholds)
    curves = voc_average_precision(found.truth, found.detections, len(found.classes), thresholds.match_iou)
    return {**summarize(found, curves), **about}, curves


def find(
    predict, data_dir: str, split: str, batch_size: int, thresholds: Thresholds
) -> tuple[EvaluationResult, dict, float]:
    """The objects and the detections of a split, what else belongs into its metrics, and milliseconds an image.

    The time is that from pixels to detections, the median over the batches but the first, when the graph is made.
    """
    description = records.read_description(data_dir)
    truths, detections, seconds, at_limit = [], [], [], 0
    image_ids: list[str] = []
    first: tf.Tensor | None = None
    for batch in pipeline.evaluation_batches(data_dir, split, batch_size):
        start = time.perf_counter()
        detected = {name: value.numpy() for name, value in predict(batch['image']).items()}
        seconds.append(time.perf_counter() - start)
        first = batch['image'] if len(seconds) == 1 else None
        batch = {name: value.numpy() for name, value in batch.items() if name != 'image'}
        truths.append(_truth(batch, len(image_ids), description))
        detections.append(_detections(detected, batch, len(image_ids), description))
        at_limit += int(np.sum(batch['real'] & (detected['count'] == thresholds.max_detections)))
        image_ids += [image_id.decode() for image_id in batch['image_id'][batch['real']]]
    if first is not None:  # that batch was the only one
        start = time.perf_counter()
        predict(first)['count'].numpy()
        seconds.append(time.perf_counter() - start)
    about = {
        'num_images_left_out': description.split(split).images_left_out,
        'num_boxes_left_out': description.split(split).boxes_left_out,
        'num_images_at_max_detections': at_limit,
        'thresholds': dataclasses.asdict(thresholds),
        'split': split,
        'image_size': list(description.image_size),
        'resize': description.resize,
    }
    found = EvaluationResult(description.classes, tuple(image_ids), _join(Truth, truths), _join(Detections, detections))
    return found, about, 1000 * float(np.median(seconds[1:] or seconds)) / batch_size


def pictures(data_dir: str, split: str, numbers: Sequence[int]) -> dict[int, tuple[np.ndarray, tuple[int, int]]]:
    """Some images of a split of records, by number: (H, W, 3) uint8 BGR as stored, and original height and width."""
    description = records.read_description(data_dir)
    wanted, shown, start = set(numbers), {}, 0
    for batch in pipeline.evaluation_batches(data_dir, split, 16):
        for i in np.flatnonzero(batch['real']):
            if start + i in wanted:
                size = batch['size'][i].numpy().tolist()
                left, top, width, height = inner_pixels(size, description.image_size, description.resize).tolist()
                image = batch['image'][i].numpy()[top : top + height, left : left + width, ::-1]  # without bars
                shown[int(start + i)] = image, (size[0], size[1])
        start += int(np.sum(batch['real']))
    return shown


def summarize(found: EvaluationResult, curves: AveragePrecision) -> dict:
    """The part of the metrics that AP is."""
    return {
        'map_11pt': _number(curves.map_11pt),
        'map_area': _number(curves.map_area),
        'per_class': {
            name: {
                'ap_11pt': _number(curves.ap_11pt[i]),
                'ap_area': _number(curves.ap_area[i]),
                'num_objects': int(curves.num_objects[i]),
                'num_difficult': int(curves.num_difficult[i]),
                'num_detections': int(curves.num_detections[i]),
            }
            for i, name in enumerate(found.classes)
        },
        'num_images': len(found.image_ids),
    }


def mean_ap(found: EvaluationResult, match_iou: float) -> dict[str, float | None]:
    """mAP both ways, None without objects."""
    curves = voc_average_precision(found.truth, found.detections, len(found.classes), match_iou)
    return {'map_11pt': _number(curves.map_11pt), 'map_area': _number(curves.map_area)}


def _truth(batch: dict[str, np.ndarray], offset: int, description: records.Description) -> Truth:
    row, column = np.nonzero((batch['labels'] >= 0) & batch['real'][:, None])
    boxes = from_canvas(batch['boxes'][row, column], batch['size'][row], description.image_size, description.resize)
    boxes = to_voc_pixels(boxes, batch['size'][row], exact=True)
    return Truth(row + offset, batch['labels'][row, column], boxes, batch['difficult'][row, column])


def _detections(
    found: dict[str, np.ndarray], batch: dict[str, np.ndarray], offset: int, description: records.Description
) -> Detections:
    is_one = np.arange(found['scores'].shape[1]) < found['count'][:, None]
    row, column = np.nonzero(is_one & batch['real'][:, None])
    boxes = from_canvas(found['boxes'][row, column], batch['size'][row], description.image_size, description.resize)
    boxes = to_voc_pixels(boxes, batch['size'][row])
    return Detections(row + offset, found['classes'][row, column], found['scores'][row, column], boxes)


def _join(kind, parts: list):
    """One Truth or Detections of many."""
    names = [field.name for field in dataclasses.fields(kind)]
    return kind(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def write_metrics(report_dir: str, metrics: dict) -> str:
    """Writes `metrics.json` into a folder and returns its path."""
    storage.make_folder(report_dir)
    path = posixpath.join(report_dir, 'metrics.json')
    storage.write(path, json.dumps(metrics, indent=1) + '\n')
    return path


def format_table(metrics: dict) -> str:
    """The metrics as a table to read: a line a class, then the means."""
    width = max([12, *(len(name) for name in metrics['per_class'])])
    lines = [f'{"class":<{width}}  AP 11-point  AP area  objects  difficult  detections']
    for name, row in metrics['per_class'].items():
        lines.append(
            f'{name:<{width}}  {cell(row["ap_11pt"]):>11}  {cell(row["ap_area"]):>7}  '
            f'{row["num_objects"]:>7}  {row["num_difficult"]:>9}  {row["num_detections"]:>10}'
        )
    lines.append(f'{"mAP":<{width}}  {cell(metrics["map_11pt"]):>11}  {cell(metrics["map_area"]):>7}')
    return '\n'.join(lines)


def format_sizes(sizes: dict[str, dict]) -> str:
    """Accuracy and speed by size of the images as lines to read."""
    return '\n'.join(
        f'{name:>10} pixels  mAP {cell(row["map_11pt"])} (11-point) {cell(row["map_area"])} (area)  '
        f'{row["ms_per_image"]:8.2f} ms an image  {1000 / row["ms_per_image"]:7.1f} images/s'
        for name, row in sizes.items()
    )


def cell(value: float | None) -> str:
    """A number of a table."""
    return '-' if value is None else f'{value:.4f}'
