"""Evaluates a detector: VOC AP by class and mAP.

A trained YOLOv2 on a split of a folder of records, an exported one, or the devkit's result files of any detector:

  python eval.py --data_dir=data/voc416 --split=test --model_dir=runs/voc --report_dir=runs/voc/report
  python eval.py --data_dir=data/voc416 --split=test --model=exported/model.onnx --report_dir=report \
      --compare=runs/voc/report
  python eval.py --data_dir=data/voc416 --cfg=yolov2-voc.cfg --weights=yolov2-voc.weights --report_dir=report
  python eval.py --detections_dir=results/VOC2007/Main --voc_dir=VOCdevkit/VOC2007 --split=test --report_dir=report

All devices share the images (--strategy), and all processes that TF_CONFIG names; the first writes the report.
Exit status: 0, 1 after an error, 130 after Ctrl-C.
"""

import functools
import os
import sys

from absl import logging
from absl.flags import FlagValues

from yolo.cli import flags
from yolo.evaluation.settings import EvalSettings
from yolo.training.devices import Devices

# Settings that have no meaning without a model.
MODEL_SETTINGS = (
    'weights',
    'backend',
    'resize',
    'box_convention',
    'checkpoint',
    'image_size',
    'batch_size',
    'score_threshold',
    'nms_iou',
    'nms_scope',
    'nms',
    'max_detections',
    'strategy',
    'tpu',
    'cpu_devices',
    'join_timeout',
)


def evaluate(values: FlagValues) -> None:
    """Flags to library; ValueError if they do not fit the folders."""
    from yolo import storage
    from yolo.evaluation import advice, devkit_files, report, result, summary, suspects, suspects_page, tables

    asked = flags.read(values, EvalSettings)
    _check_sources(asked)
    report_dir = asked.report_dir or f'{asked.model_dir}/report'
    other = _other(asked, report_dir) if asked.compare else None
    if asked.write_detections:  # before the evaluation, so that it does not fail at its end
        devkit_files.check_names(asked.split, ())
        storage.make_folder(asked.write_detections)
    detected = _read(asked, values) if asked.detections_dir else _detect(asked, flags.read(values, Devices))
    if detected is None:  # another process has all of it and writes the report
        return
    evaluated, about, pictures = detected
    result.write(report_dir, evaluated)
    compared = None if other is None else result.aligned(evaluated, other, asked.compare)
    _say_what_follows(asked, evaluated)
    evaluation = summary.evaluate(evaluated, asked.match_iou, about, compared, asked.coco)
    print(tables.format_metrics(evaluation.metrics, asked.compare))
    print('\n'.join(advice.advise(evaluation.metrics)))
    print(result.write_metrics(report_dir, evaluation.metrics))
    write_files(asked, evaluated, report_dir)
    if asked.suspects:
        found = suspects.find(evaluated, asked.suspects)
        print(suspects_page.write(report_dir, f'Suspect annotations of {asked.split}', evaluated, found, pictures))
    analysis = evaluation.matches, evaluation.curves, evaluation.error_types
    title = f'Evaluation on {asked.split}'
    print(report.write_page(report_dir, title, evaluated, *analysis, evaluation.metrics, pictures))


def _check_sources(asked: EvalSettings) -> None:
    """ValueError if there is not exactly one thing to evaluate, or no folder for the report."""
    if asked.detections_dir:
        if asked.data_dir or asked.model_dir or asked.model or asked.cfg or not (asked.voc_dir and asked.report_dir):
            raise ValueError(
                '--detections_dir goes with --voc_dir and --report_dir, and without --data_dir and a model'
            )
        return
    if not asked.data_dir or asked.voc_dir or asked.labels or asked.ignore_labels:
        raise ValueError(
            'give either --data_dir and a model, or --detections_dir with --voc_dir (and --labels, --ignore_labels)'
        )
    if sum(map(bool, (asked.model_dir, asked.model, asked.cfg or asked.weights))) != 1:
        raise ValueError('give one of --model_dir, --model, or --cfg and --weights')
    if asked.held_out and not asked.model_dir:
        raise ValueError('--held_out goes with --model_dir: a run of train.py --folds')
    if bool(asked.cfg) != bool(asked.weights):
        raise ValueError('--cfg and --weights go together')
    if not asked.model_dir and not asked.report_dir:
        raise ValueError('--report_dir is missing: a folder for the report (with --model_dir it is report in there)')


def _say_what_follows(asked: EvalSettings, evaluated) -> None:
    """What is computed once all is detected: with many detections it takes some seconds, COCO's AP longest."""
    from yolo.evaluation import bootstrap

    kinds = ['AP', 'kinds of errors']
    kinds += ["COCO's AP by pycocotools (the longest)"] if asked.coco else []
    kinds += [f'{bootstrap.SAMPLES:,} samples of the images for --compare'] if asked.compare else []
    kinds += ['suspect annotations'] if asked.suspects else []
    num_detections, num_images = len(evaluated.detections.scores), len(evaluated.image_ids)
    logging.info('%s detections in %s images: %s', f'{num_detections:,}', f'{num_images:,}', ', '.join(kinds))


def write_files(asked: EvalSettings, evaluated, report_dir: str) -> None:
    """The detections in the formats of other programs, as far as they are asked for."""
    from yolo.evaluation import coco_ap, devkit_files

    if asked.coco:
        coco_ap.write(report_dir, evaluated)
    if asked.write_detections:
        devkit_files.write_detections(
            asked.write_detections, asked.split, evaluated.classes, evaluated.image_ids, evaluated.detections
        )


def _other(asked: EvalSettings, report_dir: str):
    """The evaluation to compare with."""
    from yolo.evaluation import compared, result

    other = result.read(asked.compare)
    compared.warn(asked.compare, None if asked.detections_dir else _thresholds(asked))
    if os.path.abspath(result.folder_of(asked.compare)) == os.path.abspath(report_dir):
        raise ValueError(f'--compare={asked.compare} is where this report goes; give another --report_dir')
    return other


def _thresholds(asked: EvalSettings):
    """What counts as a detection of a model."""
    from yolo.evaluation.inference import Thresholds

    own = asked.score_threshold, asked.nms_iou, asked.max_detections, asked.nms_scope
    return Thresholds(*own, nms=asked.nms, match_iou=asked.match_iou)


def _detect(asked: EvalSettings, devices: Devices) -> tuple | None:
    """What the model detects in the records: EvaluationResult, facts for metrics.json, and pictures by number.

    None in a process that is not the first of several.
    """
    from yolo.data import records
    from yolo.evaluation import devkit_files, models, record_pictures
    from yolo.training import distribution, errors, held_out

    description = records.read_description(asked.data_dir)
    if not description.split(asked.split).num_images:
        raise ValueError(f'split {asked.split!r} of {asked.data_dir!r} has no images to evaluate on')
    if asked.write_detections:
        devkit_files.check_names(asked.split, description.classes)
    thresholds = _thresholds(asked)
    numbers = held_out.numbers(asked.model_dir, asked.data_dir, asked.split) if asked.held_out else None
    strategy = devices.make_strategy()
    model = models.load(asked, description, thresholds, strategy)
    workers = distribution.HostCollective(strategy)
    with errors.naming_lost(strategy):
        evaluated, about = _detect_at_sizes(asked, description, model, thresholds, devices, workers, numbers)
    pictures = functools.partial(record_pictures.read, asked.data_dir, asked.split, among=numbers)
    return (evaluated, {**about, 'checkpoint': model.path}, pictures) if workers.is_chief else None


def _detect_at_sizes(asked: EvalSettings, description, model, thresholds, devices: Devices, workers, numbers) -> tuple:
    """The EvaluationResult of the first size and facts for metrics.json, with a table of all sizes if there are.

    numbers (n,): of the images, None for all.
    """
    from yolo.evaluation import inference, models, resized, summary

    results, table = [], {}
    sizes = _image_sizes(asked, description, model)
    for size in sizes:
        backend = model.backend_at(size)
        models.check_devices(devices.strategy, devices.cpu_devices, backend, model)
        predict = inference.make_predict(backend, model.anchors, thresholds, model.box_convention)
        if workers.is_chief:
            resized.say(description, asked.split, size)
        evaluated, about, ms = inference.run_inference(
            predict, asked.data_dir, asked.split, asked.batch_size, thresholds, workers.is_chief, workers, numbers, size
        )
        about |= {'image_size': list(size), 'ms_per_image': ms, 'backend': backend.name}
        results.append((evaluated, about))
        if len(sizes) > 1:
            table[f'{size[1]} x {size[0]}'] = {**summary.mean_ap(evaluated, asked.match_iou), 'ms_per_image': ms}
    evaluated, about = results[0]
    if table:
        about['image_sizes'] = table
    return evaluated, about


def _image_sizes(asked: EvalSettings, description, model) -> list[tuple[int, int]]:
    """Heights and widths to evaluate at: those of --image_size, of an exported model, or else of the records."""
    from yolo.geometry import image_sizes

    if asked.image_size is None:
        return [model.image_size if model.inside else description.image_size]
    shown = ','.join(map(str, asked.image_size))
    try:
        sizes = [image_sizes.training_sizes(description.image_size, side, side)[0] for side in asked.image_size]
    except ValueError as error:
        raise ValueError(f'--image_size={shown}: multiples of 32, as 288,352,416') from error
    if not sizes:
        raise ValueError('--image_size is empty: multiples of 32, as 288,352,416')
    return sizes


def _read(asked: EvalSettings, values: FlagValues) -> tuple:
    """What the devkit's result files hold, in the same form as `_detect` returns it."""
    from yolo.data import labels
    from yolo.data.voc_folder import Source
    from yolo.evaluation import annotations, coverage, devkit_files
    from yolo.evaluation.result import EvaluationResult

    idle = [f'--{name}' for name in MODEL_SETTINGS if values[name].present]
    if idle:
        raise ValueError(f'{", ".join(idle)}: only for evaluating a model; --detections_dir holds detections already')
    source = Source(f'{asked.voc_dir}/Annotations', f'{asked.voc_dir}/JPEGImages')
    list_path = f'{asked.voc_dir}/ImageSets/Main/{asked.split}.txt'
    ignored = labels.read(asked.ignore_labels, '--ignore_labels') if asked.ignore_labels else ()
    image_ids, classes, objects, regions = annotations.read_truth(source, list_path, asked.labels, ignored)
    detections = devkit_files.read_detections(asked.detections_dir, asked.split, classes, image_ids)
    coverage.warn_of_another_list(asked.detections_dir, list_path, image_ids, objects, detections)
    about = {
        'split': asked.split,
        'thresholds': {'match_iou': asked.match_iou},
        'detections_dir': asked.detections_dir,
    }
    evaluated = EvaluationResult(tuple(classes), tuple(image_ids), objects, detections, regions)
    return evaluated, about, functools.partial(annotations.pictures, source, image_ids)


COMMAND = flags.Command('eval.py', __doc__ or '', (EvalSettings, Devices), evaluate)


def main() -> None:
    """The command line."""
    flags.run(COMMAND, sys.argv)


if __name__ == '__main__':
    main()
