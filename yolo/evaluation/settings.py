"""The settings of an evaluation, each with its default, bounds and help in one place."""

import dataclasses
from typing import Any

from yolo.backends.runtimes import backend_setting
from yolo.detection.options import (
    box_convention_setting,
    checkpoint_setting,
    max_detections_setting,
    model_dir_setting,
    nms_iou_setting,
    nms_scope_setting,
    nms_setting,
    score_threshold_setting,
    weights_setting,
)
from yolo.detection.thresholds import MAX_DETECTIONS, SCORE_THRESHOLD
from yolo.geometry.letterbox import MOST_SIDE, RESIZES
from yolo.settings import setting

DATA, MODEL, FILES = 'Data', 'Model', 'Detections from files, in place of a model'
DETECTION, OUTPUT = 'What counts as a detection', 'What to write'


def match_iou_setting(group: str = '') -> Any:
    """From which IoU with an object on a detection is right."""
    help = 'Lowest IoU with an object at which a detection is a true positive.'
    return setting(0.5, help, group=group, above=0, high=1)


@dataclasses.dataclass(frozen=True)
class EvalSettings:
    """What to evaluate, on what, and how."""

    data_dir: str = setting('', 'Folder of records.', group=DATA)
    split: str = setting('test', 'Split to evaluate on.', group=DATA)
    held_out: bool = setting(
        False,
        'Evaluate only on the images that the run in --model_dir left out of its training (train.py --folds).',
        group=DATA,
    )
    model_dir: str = model_dir_setting(MODEL)
    model: str = setting(
        '',
        'Any other model, in place of --model_dir: a SavedModel, .onnx or .tflite of yolo export, or a .keras file.',
        group=MODEL,
    )
    backend: str = backend_setting(MODEL)
    checkpoint: str = checkpoint_setting(MODEL)
    cfg: str = setting(
        '', "Darknet's .cfg, in place of --model_dir; its classes are the records', in order.", group=MODEL
    )
    weights: str = weights_setting(MODEL)
    resize: str = setting(
        None,
        'Resizing that the records must have; give theirs to evaluate a model that was trained with the other one.',
        group=MODEL,
        choices=RESIZES,
        unset='as the model was trained',
    )
    box_convention: str = box_convention_setting(MODEL)
    image_size: tuple[int, ...] = setting(
        None,
        'Sizes to resize the images to, multiples of 32, of the longer side: a table of accuracy and speed, and the '
        'report of the first. Images that are stored larger are resized once more, smaller ones enlarged: make records '
        'of the largest.',
        group=MODEL,
        low=32,
        high=MOST_SIDE,
        unset='that of the exported model, or of the network of the records',
    )
    batch_size: int = setting(16, 'Images at once.', group=MODEL, low=1, high=1 << 16)
    detections_dir: str = setting(
        '', "Folder of the devkit's result files, comp4_det_<split>_<class>.txt.", group=FILES
    )
    voc_dir: str = setting('', 'VOC folder of these images (JPEGImages, Annotations, ImageSets).', group=FILES)
    labels: tuple[str, ...] = setting(
        (), 'Classes to evaluate.', group=FILES, unset='all that the annotations of the split have'
    )
    ignore_labels: str = setting(
        '',
        'Names in the annotations that are no classes but ignore regions: what is detected there is neither right nor '
        'wrong. A comma list, or a file with one a line. (Records have theirs already.)',
        group=FILES,
        unset='none',
    )
    score_threshold: float = score_threshold_setting(SCORE_THRESHOLD, DETECTION)
    nms_iou: float = nms_iou_setting(DETECTION)
    nms_scope: str = nms_scope_setting(DETECTION)
    nms: str = nms_setting(DETECTION)
    max_detections: int = max_detections_setting(MAX_DETECTIONS, DETECTION)
    match_iou: float = match_iou_setting(DETECTION)
    report_dir: str = setting(
        '',
        'Folder for report.html, metrics.json and detections.npz.',
        group=OUTPUT,
        unset='report in --model_dir',
    )
    suspects: int = setting(
        0,
        'How many annotations that are most likely wrong to write, best first: suspects.html with pictures and '
        'corrections, suspects.csv; 0 for none. On images that the model was not trained on.',
        group=OUTPUT,
        low=0,
        high=10_000,
    )
    coco: bool = setting(
        False,
        "COCO's AP at IoU 0.5:0.05:0.95 too; writes detections and objects as COCO's JSON.",
        group=OUTPUT,
    )
    compare: str = setting(
        '',
        'metrics.json of another evaluation of the same images: prints by how much this one is better, with a '
        'bootstrap interval over images.',
        group=OUTPUT,
    )
    write_detections: str = setting('', "Folder to write the detections to as the devkit's result files.", group=OUTPUT)
