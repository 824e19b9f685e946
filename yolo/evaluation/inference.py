"""Trained model and records -> detections -> VOC average precision."""

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from yolo import overlap, progress
from yolo.data import parsing, pipeline, records
from yolo.detection import host
from yolo.detection.detector import Backend
from yolo.evaluation import parts
from yolo.evaluation.ignore_regions import IgnoreRegions, no_regions
from yolo.evaluation.parts import Part, Workers
from yolo.evaluation.result import EvaluationResult
from yolo.evaluation.settings import match_iou_setting
from yolo.evaluation.summary import ap_metrics
from yolo.evaluation.voc_ap import AveragePrecision, voc_average_precision
from yolo.evaluation.voc_matching import Detections, GroundTruth, to_voc_pixels
from yolo.geometry.box_convention import VOC, to_photo
from yolo.geometry.letterbox import from_canvas

Canvas = tuple[tuple[int, int], str]  # height, width of stored images, and how photos were resized to it
Predict = Callable[[tf.Tensor], Mapping[str, Any]]  # images (B, H, W, C) uint8 -> what `detect` gives


@dataclasses.dataclass(frozen=True)
class Thresholds(host.Thresholds):
    """What counts as a detection, and from which overlap on a detection matches an object (match_iou)."""

    match_iou: float = match_iou_setting()


@dataclasses.dataclass(frozen=True)
class OnHost:
    """Detection by a backend, whose outputs the host turns into detections: a Predict in two steps.

    network: images (B, H, W, C) uint8 -> outputs; finish: outputs -> what `host.detect` gives; box_convention: of the
    network, one of BOX_CONVENTIONS. Any other Predict is taken for that of a network that is trained here: VOC.
    """

    network: Predict
    finish: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    box_convention: str = VOC

    def __call__(self, images: tf.Tensor) -> Mapping[str, Any]:
        """Both steps."""
        return self.finish(self.network(images))


def make_predict(backend: Backend, anchors, thresholds: Thresholds, box_convention: str = VOC) -> OnHost:
    """Detection by a backend: images (B, H, W, C) uint8 of its size -> what `host.detect` gives.

    anchors (A, 2) w, h in grid cells.
    """

    def network(batch: tf.Tensor) -> dict[str, np.ndarray]:
        return backend(np.asarray(batch))

    return OnHost(network, functools.partial(host.detect, anchors=anchors, thresholds=thresholds), box_convention)


def evaluate(predict: Predict, data_dir: str, split: str, batch_size: int, thresholds: Thresholds) -> dict:
    """Metrics of a split for `metrics.json`: VOC AP by class and mAP, over 11 points and as area, counts, thresholds.

    predict: see `make_predict` and `graph.make_predict`. APs of classes without objects are None and not in the means.
    """
    return evaluate_with_curves(predict, data_dir, split, batch_size, thresholds)[0]


def evaluate_with_curves(
    predict: Predict,
    data_dir: str,
    split: str,
    batch_size: int,
    thresholds: Thresholds,
    workers: Workers | None = None,
) -> tuple[dict, AveragePrecision]:
    """What `evaluate` gives, and the precision-recall curves behind it; workers: see `run_inference`."""
    result, settings, _ = run_inference(predict, data_dir, split, batch_size, thresholds, workers=workers)
    curves = voc_average_precision(result.truth, result.detections, len(result.classes), thresholds.match_iou)
    return {**ap_metrics(result, curves), **settings}, curves


def run_inference(
    predict: Predict,
    data_dir: str,
    split: str,
    batch_size: int,
    thresholds: Thresholds,
    show_progress: bool = False,
    workers: Workers | None = None,
    numbers: np.ndarray | None = None,
    size: tuple[int, int] | None = None,
) -> tuple[EvaluationResult, dict, float]:
    """The objects and the detections of a split, the settings that belong into its metrics, and milliseconds an image.

    While a thread has the network compute a batch, this one turns the outputs of the batch before into detections in
    pixels. The time is that of both steps: the median over the batches but the first, in which the graph is made, by
    the images that all processes take at once. workers: the processes that share the split, all of which get all of it;
    batch_size: over all of them, rounded up. show_progress: as `progress.counter` does. numbers (n,): of the images to
    take, None for all; size: height, width of the images, None for those of the network.
    """
    description = records.read_description(data_dir)
    shard = pipeline.InputShard(workers.index, workers.count) if workers else pipeline.InputShard()
    images = shard.images(description.split(split).num_images if numbers is None else len(numbers))
    canvas = description.stored_size(split), description.resize
    batches = pipeline.evaluation_batches(data_dir, split, -(-batch_size // shard.count), shard, numbers, size)
    counter = progress.counter(len(images), 'images', split, is_quiet=not show_progress)
    with pipeline.naming_damage(data_dir, split), counter as advance:
        own = _detect_all(predict, batches, images.start, canvas, thresholds, advance)
    whole = parts.of_all(parts.join(own), workers)
    result = EvaluationResult(description.classes, *parts.known(whole))
    settings = _settings(description, split, thresholds, int(whole['at_limit'].sum()))
    settings['box_convention'] = _convention_of(predict)
    return result, settings, 1000 * float(np.median(whole['seconds'])) / batch_size


def _detect_all(
    predict: Predict,
    batches: tf.data.Dataset,
    first: int,
    canvas: Canvas,
    thresholds: Thresholds,
    advance: Callable[[int], None],
) -> list[Part]:
    """The parts of all batches, whose first image has the number `first`; the first batch of several is not timed."""
    own: list[Part] = []
    number = first
    computed = overlap.in_order(functools.partial(_compute, predict), batches, threads=1, bound=2, early=False)
    with contextlib.closing(computed):
        for batch, outputs, seconds in computed:
            own.append(_finish(predict, batch, outputs, seconds, number, canvas, thresholds))
            advance(len(own[-1]['image_ids']))
            number += len(own[-1]['image_ids'])
    if len(own) == 1:
        own[0] = _finish(predict, *_compute(predict, batch), first, canvas, thresholds)
    elif own:
        own[0]['seconds'] = np.zeros(0)
    return own


def _compute(
    predict: Predict, batch: Mapping[str, tf.Tensor]
) -> tuple[Mapping[str, tf.Tensor], dict[str, np.ndarray], float]:
    """The batch, what the network gives for it, and seconds."""
    network = predict.network if isinstance(predict, OnHost) else predict
    start = time.perf_counter()
    outputs = {name: np.asarray(value) for name, value in network(batch['image']).items()}
    return batch, outputs, time.perf_counter() - start


def _finish(
    predict: Predict,
    batch: Mapping[str, tf.Tensor],
    outputs: Mapping[str, np.ndarray],
    seconds: float,
    offset: int,
    canvas: Canvas,
    thresholds: Thresholds,
) -> Part:
    """The part of a batch whose first image has the number `offset`; seconds: that the network took."""
    start = time.perf_counter()
    detected = predict.finish(outputs) if isinstance(predict, OnHost) else outputs
    seconds += time.perf_counter() - start
    arrays = {name: value.numpy() for name, value in batch.items() if name != 'image'}
    return parts.make(
        [image_id.decode() for image_id in arrays['image_id'][arrays['real']]],
        _ground_truth(arrays, offset, canvas),
        _detections(detected, arrays, offset, canvas, _convention_of(predict)),
        _ignore_regions(arrays, offset, canvas),
        at_limit=arrays['real'] & (detected['count'] == thresholds.max_detections),
        seconds=np.array([seconds]),
    )


def _convention_of(predict: Predict) -> str:
    return predict.box_convention if isinstance(predict, OnHost) else VOC


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


def _ground_truth(batch: dict[str, np.ndarray], offset: int, canvas: Canvas) -> GroundTruth:
    """The objects of a batch whose first image has the number `offset`."""
    row, column = np.nonzero((batch['labels'] >= 0) & batch['real'][:, None])
    boxes = from_canvas(batch['boxes'][row, column], batch['size'][row], *canvas)
    boxes = to_voc_pixels(boxes, batch['size'][row], exact=True)
    return GroundTruth(row + offset, batch['labels'][row, column], boxes, batch['difficult'][row, column])


def _ignore_regions(batch: dict[str, np.ndarray], offset: int, canvas: Canvas) -> IgnoreRegions:
    """The ignore regions of a batch whose first image has the number `offset`."""
    if 'regions' not in batch:
        return no_regions()
    row, column = np.nonzero((batch['region_labels'] > parsing.NO_REGION) & batch['real'][:, None])
    boxes = from_canvas(batch['regions'][row, column], batch['size'][row], *canvas)
    boxes = to_voc_pixels(boxes, batch['size'][row], exact=True)
    return IgnoreRegions(row + offset, batch['region_labels'][row, column], boxes)


def _detections(
    detected: Mapping[str, np.ndarray], batch: dict[str, np.ndarray], offset: int, canvas: Canvas, box_convention: str
) -> Detections:
    """The detections of a batch whose first image has the number `offset`."""
    scores, classes = detected['scores'], detected['classes']  # (B, D), padded
    is_detection = np.arange(scores.shape[1]) < detected['count'][:, None]
    row, column = np.nonzero(is_detection & batch['real'][:, None])
    boxes = to_photo(detected['boxes'][row, column], batch['size'][row], *canvas, box_convention)
    boxes = to_voc_pixels(boxes, batch['size'][row])
    return Detections(row + offset, classes[row, column], scores[row, column], boxes)
