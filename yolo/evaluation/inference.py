"""Trained model and records -> detections -> VOC average precision."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from yolo.data import images as image_files
from yolo.data import pipeline, records
from yolo.detection import host
from yolo.detection.detector import Backend
from yolo.evaluation.result import EvaluationResult
from yolo.evaluation.settings import match_iou_setting
from yolo.evaluation.summary import ap_metrics
from yolo.evaluation.voc_ap import AveragePrecision, voc_average_precision
from yolo.evaluation.voc_matching import Detections, GroundTruth, to_voc_pixels
from yolo.geometry.letterbox import from_canvas, inner_pixels

Predict = Callable[[tf.Tensor], Mapping[str, Any]]  # images (B, H, W, 3) uint8 RGB -> what `detect` gives


@dataclasses.dataclass(frozen=True)
class Thresholds(host.Thresholds):
    """What counts as a detection, and from which overlap on a detection matches an object (match_iou)."""

    match_iou: float = match_iou_setting()


def make_predict(backend: Backend, anchors, thresholds: Thresholds, size: tuple[int, int]) -> Predict:
    """Detection by a backend: images (B, H, W, 3) uint8 RGB -> what `host.detect` gives.

    anchors (A, 2) w, h in grid cells; size: height, width in pixels that images are resized to, bilinear.
    """

    def predict(batch: tf.Tensor) -> dict[str, np.ndarray]:
        images = np.asarray(batch)
        if images.shape[1:3] != size:
            images = np.stack([image_files.resize(image, size) for image in images])
        return host.detect(backend(images), anchors, thresholds)

    return predict


def evaluate(predict: Predict, data_dir: str, split: str, batch_size: int, thresholds: Thresholds) -> dict:
    """Metrics of a split for `metrics.json`: VOC AP by class and mAP, over 11 points and as area, counts, thresholds.

    predict: see `make_predict` and `graph.make_predict`. APs of classes without objects are None and not in the means.
    """
    return evaluate_with_curves(predict, data_dir, split, batch_size, thresholds)[0]


def evaluate_with_curves(
    predict: Predict, data_dir: str, split: str, batch_size: int, thresholds: Thresholds
) -> tuple[dict, AveragePrecision]:
    """What `evaluate` gives, and the precision-recall curves behind it."""
    result, settings, _ = run_inference(predict, data_dir, split, batch_size, thresholds)
    curves = voc_average_precision(result.truth, result.detections, len(result.classes), thresholds.match_iou)
    return {**ap_metrics(result, curves), **settings}, curves


def run_inference(
    predict: Predict, data_dir: str, split: str, batch_size: int, thresholds: Thresholds, progress: bool = False
) -> tuple[EvaluationResult, dict, float]:
    """The objects and the detections of a split, the settings that belong into its metrics, and milliseconds an image.

    The time is from pixels to detections, the median over the batches but the first, in which the graph is made.
    progress: shows a bar with images and images/s, on a terminal.
    """
    description = records.read_description(data_dir)
    num_images = description.split(split).num_images
    truths, detections, seconds, at_limit = [], [], [], 0
    image_ids: list[str] = []
    bar = tqdm(total=num_images, desc=split, unit=' images', disable=None if progress else True, dynamic_ncols=True)
    with pipeline.naming_damage(data_dir, split), bar:
        for batch in pipeline.evaluation_batches(data_dir, split, batch_size):
            images = batch.pop('image')
            detected, time_taken = _timed(predict, images)
            seconds.append(time_taken)
            batch = {name: value.numpy() for name, value in batch.items()}
            truths.append(_ground_truth(batch, len(image_ids), description))
            detections.append(_detections(detected, batch, len(image_ids), description))
            at_limit += int(np.sum(batch['real'] & (detected['count'] == thresholds.max_detections)))
            image_ids += [image_id.decode() for image_id in batch['image_id'][batch['real']]]
            bar.update(int(np.sum(batch['real'])))
    if len(seconds) == 1:  # the only batch was the first
        seconds.append(_timed(predict, images)[1])
    result = EvaluationResult(
        description.classes, tuple(image_ids), _concatenate(GroundTruth, truths), _concatenate(Detections, detections)
    )
    settings = _settings(description, split, thresholds, at_limit)
    return result, settings, 1000 * float(np.median(seconds[1:])) / batch_size


def _timed(predict: Predict, images: tf.Tensor) -> tuple[dict[str, np.ndarray], float]:
    """Detections of a batch, and seconds."""
    start = time.perf_counter()
    detected = {name: np.asarray(value) for name, value in predict(images).items()}
    return detected, time.perf_counter() - start


def _settings(description: records.Description, split: str, thresholds: Thresholds, at_limit: int) -> dict:
    """What the metrics hold besides the APs."""
    return {
        'num_images_left_out': description.split(split).images_left_out,
        'num_boxes_left_out': description.split(split).boxes_left_out,
        'num_images_at_max_detections': at_limit,
        'thresholds': {name: value for name, value in dataclasses.asdict(thresholds).items() if value is not None},
        'split': split,
        'image_size': list(description.image_size),
        'resize': description.resize,
    }


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


def _ground_truth(batch: dict[str, np.ndarray], offset: int, description: records.Description) -> GroundTruth:
    """The objects of a batch whose first image has the number `offset`."""
    row, column = np.nonzero((batch['labels'] >= 0) & batch['real'][:, None])
    boxes = from_canvas(batch['boxes'][row, column], batch['size'][row], description.image_size, description.resize)
    boxes = to_voc_pixels(boxes, batch['size'][row], exact=True)
    return GroundTruth(row + offset, batch['labels'][row, column], boxes, batch['difficult'][row, column])


def _detections(
    detected: dict[str, np.ndarray], batch: dict[str, np.ndarray], offset: int, description: records.Description
) -> Detections:
    """The detections of a batch whose first image has the number `offset`."""
    scores, classes = detected['scores'], detected['classes']  # (B, D), padded
    is_detection = np.arange(scores.shape[1]) < detected['count'][:, None]
    row, column = np.nonzero(is_detection & batch['real'][:, None])
    boxes = from_canvas(detected['boxes'][row, column], batch['size'][row], description.image_size, description.resize)
    boxes = to_voc_pixels(boxes, batch['size'][row])
    return Detections(row + offset, classes[row, column], scores[row, column], boxes)


def _concatenate(kind, parts: list):
    """One GroundTruth or Detections of many."""
    names = [field.name for field in dataclasses.fields(kind)]
    return kind(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
