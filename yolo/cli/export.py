"""Exports a trained model for other programs: SavedModel, ONNX, TFLite in float32, float16 and int8.

  python -m yolo export --model_dir=runs/voc --out_dir=exported --formats=saved_model,onnx,tflite,tflite_fp16
  python -m yolo export --model_dir=runs/voc --out_dir=exported --formats=tflite_int8 --calibration_data=data/voc416
  python -m yolo export --cfg=yolov2-voc.cfg --weights=yolov2-voc.weights --labels=voc --out_dir=exported

Beside each file is its description, FILE.json. Evaluate it with eval.py --model=FILE, try it with
yolo predict --model=FILE. Exit status: 0, 1 after an error (what was there before is as it was), 130 after Ctrl-C.
"""

import dataclasses

from absl.flags import FlagValues

from yolo.cli import flags
from yolo.export.settings import ExportSettings

DYNAMIC = 'dynamic'


def export(values: FlagValues) -> None:
    """Flags to library."""
    from yolo.data import image_settings, labels
    from yolo.export import draft, exporting, sources
    from yolo.models import conversion, folding

    asked = flags.read(values, ExportSettings)
    size = image_settings.parse_image_size(asked.image_size) if asked.image_size else None
    wanted = draft.Options(
        asked.output or '',
        size,
        None,
        asked.score_threshold,
        asked.nms_iou,
        asked.max_detections,
        asked.nms_scope,
    )
    number = parse_batch_size(asked.batch_size)
    plan = exporting.make_plan(asked.formats, wanted, number, asked.batch_size == DYNAMIC)
    exporting.check_plan(plan, bool(asked.calibration_data))
    conversion.check_sources(asked.cfg, asked.weights, asked.model_dir, asked.keras)
    model, info, source = sources.read(
        asked.cfg, asked.weights, asked.model_dir, asked.keras, asked.checkpoint, asked.box_convention
    )
    conversion.set_box_convention(model, asked.box_convention, source.model)
    best = sources.best_thresholds(source, info.classes)
    plan = {kind: dataclasses.replace(each, class_thresholds=best) for kind, each in plan.items()}
    info = dataclasses.replace(
        info, classes=labels.read(asked.labels) if asked.labels else info.classes, resize=asked.resize or info.resize
    )
    conversion.check_classes(model, info.classes)
    images = read_calibration(asked, plan, model.network, info, size)
    paths = exporting.export(folding.fold(model), info, plan, asked.out_dir, source, images)
    for path in paths:
        print(path)


def read_calibration(asked: ExportSettings, plan, network, info, size: tuple[int, int] | None):
    """The images that int8 needs, where it is asked for; info: a ModelInfo; size: height, width, None for its own."""
    from yolo.detection import exported
    from yolo.export import calibration

    if exported.TFLITE_INT8 not in plan:
        return None
    images = calibration.read_images(
        asked.calibration_data,
        asked.calibration_split,
        asked.calibration_images,
        (*(size or network.image_size), network.channels),
        info.resize,
        network.region.classes,
        info.grey_range if asked.model_dir else None,  # files of Darknet and Keras do not say it
    )
    return calibration.Calibration(images, asked.int8_input)


def parse_batch_size(text: str) -> int | None:
    """The number that --batch_size gives, None if it gives none; ValueError for anything but a number or dynamic."""
    from yolo import settings

    if text in ('', DYNAMIC):
        return None
    try:
        number = settings.parse(text, int)
    except ValueError as error:
        raise ValueError(f'--batch_size={text}: {error}; give a number or {DYNAMIC}') from error
    if not 1 <= number <= 1 << 16:
        raise ValueError(f'--batch_size={text}: must be 1 to {1 << 16:,}, or {DYNAMIC}')
    return number


COMMAND = flags.Command('yolo export', __doc__ or '', (ExportSettings,), export)
