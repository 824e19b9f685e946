"""COCO's way: detections and annotations as its JSON, and AP at IoU 0.5:0.05:0.95 by pycocotools."""

import contextlib
import io
import json

import numpy as np

from yolo import storage
from yolo.evaluation.ignore_regions import ANY_CLASS
from yolo.evaluation.result import EvaluationResult
from yolo.evaluation.voc_matching import Detections, GroundTruth

NAMES = (
    'ap',
    'ap_50',
    'ap_75',
    'ap_small',
    'ap_medium',
    'ap_large',
    'ar_1',
    'ar_10',
    'ar_100',
    'ar_small',
    'ar_medium',
    'ar_large',
)


def annotations(result: EvaluationResult) -> dict:
    """The objects as COCO's annotation file; difficult ones have `ignore`, ignore regions are crowds.

    A region of any class is a crowd of each.
    """
    truth, regions = result.truth, result.regions
    is_any = np.flatnonzero(regions.classes == ANY_CLASS)
    own = np.flatnonzero(regions.classes != ANY_CLASS)
    classes = np.arange(len(result.classes))
    chosen = np.concatenate([own, np.repeat(is_any, len(classes))])
    crowds = GroundTruth(
        regions.images[chosen],
        np.concatenate([regions.classes[own], np.tile(classes, len(is_any))]),
        regions.boxes[chosen],
        np.zeros(len(chosen), bool),
    )
    rows = [*_rows(truth, is_crowd=0), *_rows(crowds, is_crowd=1)]
    return {
        'images': [{'id': number, 'file_name': name} for number, name in enumerate(result.image_ids)],
        'categories': [{'id': number, 'name': name} for number, name in enumerate(result.classes)],
        'annotations': [{'id': number, **row} for number, row in enumerate(rows, 1)],
    }


def _rows(items: GroundTruth, is_crowd: int) -> list[dict]:
    """Objects as COCO's annotations, without their ids; difficult ones are to be ignored."""
    columns = items.images.tolist(), items.classes.tolist(), _boxes(items), items.difficult.astype(int).tolist()
    return [
        {
            'image_id': image,
            'category_id': k,
            'bbox': box,
            'area': box[2] * box[3],
            'iscrowd': is_crowd,
            'ignore': ignore,
        }
        for image, k, box, ignore in zip(*columns, strict=True)
    ]


def results(result: EvaluationResult) -> list[dict]:
    """The detections as COCO's result file; images and classes by the numbers of `annotations`."""
    detections = result.detections
    return [
        {'image_id': image, 'category_id': k, 'bbox': box, 'score': score}
        for image, k, box, score in zip(
            detections.images.tolist(),
            detections.classes.tolist(),
            _boxes(detections),
            detections.scores.tolist(),
            strict=True,
        )
    ]


def _boxes(items: GroundTruth | Detections) -> list[list[float]]:
    """x, y, width, height from 0, of boxes in VOC pixels (1-based, inclusive)."""
    low = items.boxes[:, :2] - 1
    return np.concatenate([low, items.boxes[:, 2:] - low], 1).tolist()


def write(folder: str, result: EvaluationResult) -> tuple[str, str]:
    """Writes `coco_annotations.json` and `coco_detections.json`, and returns their paths."""
    paths = f'{folder}/coco_annotations.json', f'{folder}/coco_detections.json'
    storage.make_folder(folder)
    for path, content in zip(paths, (annotations(result), results(result)), strict=True):
        storage.write(path, json.dumps(content) + '\n')
    return paths


def average_precision(result: EvaluationResult) -> dict[str, float | None]:
    """COCO's twelve numbers of a detector, by pycocotools; None for what there are no objects of.

    AP is the mean over IoU 0.5, 0.55 ... 0.95, over 101 recalls, classes, and at most 100 detections of a class in an
    image. Difficult objects are ignored as `coco_evaluator.Evaluator` says.
    """
    from pycocotools.coco import COCO

    from yolo.evaluation.coco_evaluator import Evaluator

    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does
        truth = COCO()
        truth.dataset = annotations(result)
        truth.createIndex()
        rows = results(result)
        detections = truth.loadRes(rows) if rows else COCO()
        if not rows:
            detections.dataset = {**truth.dataset, 'annotations': []}
            detections.createIndex()
        evaluator = Evaluator(truth, detections, 'bbox')
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return {name: None if value < 0 else float(value) for name, value in zip(NAMES, evaluator.stats, strict=True)}
