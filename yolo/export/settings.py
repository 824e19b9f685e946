"""The settings of an export, each with its default, bounds and help in one place."""

import dataclasses

from yolo.detection import exported
from yolo.detection.options import (
    box_convention_setting,
    checkpoint_setting,
    max_detections_setting,
    model_dir_setting,
    nms_iou_setting,
    nms_scope_setting,
    score_threshold_setting,
    weights_setting,
)
from yolo.detection.thresholds import PHOTO_MAX_DETECTIONS, PHOTO_SCORE_THRESHOLD
from yolo.geometry.letterbox import RESIZES
from yolo.settings import setting

MODEL, FILES, INSIDE, INT8 = 'Model', 'What to write', 'Thresholds, in a model with output detections', 'For int8'


@dataclasses.dataclass(frozen=True)
class ExportSettings:
    """A trained model, and the files to make of it."""

    model_dir: str = model_dir_setting(MODEL)
    checkpoint: str = checkpoint_setting(MODEL)
    cfg: str = setting('', "Darknet's .cfg, in place of --model_dir.", group=MODEL)
    weights: str = weights_setting(MODEL)
    keras: str = setting('', '.keras file, in place of --model_dir.', group=MODEL)
    labels: str = setting(
        '',
        'Class names: a comma list, a file with one a line, or voc.',
        group=MODEL,
        unset='those of --model_dir, else class 0, class 1 ...',
    )
    resize: str = setting(
        None,
        "How images are resized to the network's size.",
        group=MODEL,
        choices=RESIZES,
        unset='as the model was trained, else stretch',
    )
    box_convention: str = box_convention_setting(MODEL)
    out_dir: str = setting(None, 'Folder for the files.', group=FILES, required=True)
    formats: tuple[str, ...] = setting(
        (exported.SAVED_MODEL, exported.ONNX, exported.TFLITE),
        f'Any of {", ".join(exported.FORMATS)}.',
        group=FILES,
    )
    output: str = setting(
        None,
        'What the model gives: raw (the last convolution), boxes (decoded: all boxes and their scores), or detections '
        '(thresholds and suppression inside; not in TFLite).',
        group=FILES,
        choices=exported.OUTPUTS,
        unset='detections for a SavedModel, boxes for ONNX and TFLite, raw for int8',
    )
    image_size: str = setting(
        '', 'Pixels of its images: a number or WIDTHxHEIGHT, multiples of 32.', group=FILES, unset="the network's"
    )
    batch_size: str = setting(
        '',
        'Images at once: a number, or dynamic (not for TFLite).',
        group=FILES,
        unset='1; dynamic for a SavedModel',
    )
    score_threshold: float = score_threshold_setting(PHOTO_SCORE_THRESHOLD, INSIDE)
    nms_iou: float = nms_iou_setting(INSIDE)
    max_detections: int = max_detections_setting(PHOTO_MAX_DETECTIONS, INSIDE)
    nms_scope: str = nms_scope_setting(INSIDE)
    calibration_data: str = setting(
        '', 'Folder of records whose images show the int8 model the range of its numbers.', group=INT8
    )
    calibration_split: str = setting('trainval', 'Split of --calibration_data.', group=INT8)
    calibration_images: int = setting(200, 'How many of its images.', group=INT8, low=1, high=100_000)
    int8_input: str = setting(
        'uint8', 'Type of the images that the int8 model takes.', group=INT8, choices=('uint8', 'int8')
    )
