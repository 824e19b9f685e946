"""Evaluates a detector: VOC AP by class and mAP.

A trained YOLOv2 on a split of a folder of records, or the devkit's result files of any detector:

  python eval.py --data_dir=data/voc416 --split=test --model_dir=runs/voc --report_dir=runs/voc/report
  python eval.py --data_dir=data/voc416 --cfg=yolov2-voc.cfg --weights=yolov2-voc.weights --report_dir=report
  python eval.py --detections_dir=results/VOC2007/Main --voc_dir=VOCdevkit/VOC2007 --split=test --report_dir=report
"""

import functools
import os

import tensorflow as tf
from absl import app, flags, logging

from yolo import storage
from yolo.cli import flags as commands
from yolo.data import records, voc_folder
from yolo.detection import nms
from yolo.evaluation import (
    annotations,
    bootstrap,
    coco_ap,
    devkit_files,
    error_analysis,
    inference,
    report,
    result,
    summary,
)
from yolo.evaluation.voc_ap import average_precision, match
from yolo.geometry import letterbox
from yolo.models import model_folder
from yolo.models.build import DarknetModel
from yolo.models.darknet import load_whole
from yolo.training import schedule

# Flags that have no meaning without a model.
OF_A_MODEL = (
    'weights',
    'resize',
    'checkpoint',
    'image_size',
    'batch_size',
    'score_threshold',
    'nms_iou',
    'max_detections',
)
FLAGS = flags.FLAGS
flags.DEFINE_string('data_dir', None, 'Folder of records.')
flags.DEFINE_string('split', 'test', 'Split to evaluate on.')
flags.DEFINE_string(
    'detections_dir',
    None,
    "Folder of the devkit's result files, comp4_det_<split>_<class>.txt, in place of --data_dir and a model.",
)
flags.DEFINE_string('voc_dir', None, 'With it: the VOC folder (JPEGImages, Annotations, ImageSets) they are of.')
flags.DEFINE_list('labels', None, 'With it: the classes to look at; the default is all that the split has.')
flags.DEFINE_string('write_detections', None, "Folder to write the detections to as the devkit's result files.")
flags.DEFINE_string('model_dir', None, 'Folder of a run of train.py or of a converted model.')
flags.DEFINE_string('cfg', None, "Darknet's .cfg, in place of --model_dir; its classes are the records', in order.")
flags.DEFINE_string('weights', None, "Darknet's .weights, with --cfg.")
flags.DEFINE_enum(
    'resize',
    None,
    letterbox.RESIZES,
    'How the images came to their size; that must be how the records '
    'were made. The default is how the model was trained.',
)
flags.DEFINE_string(
    'report_dir', None, 'Folder for report.html, metrics.json and detections.npz; the default is report in --model_dir.'
)
flags.DEFINE_bool('coco', False, "COCO's AP, at IoU 0.5:0.05:0.95, as well; writes detections and objects as its JSON.")
flags.DEFINE_string(
    'compare',
    None,
    'metrics.json of another evaluation of the same images: prints by how much this '
    'one is better, with an interval from a bootstrap over images.',
)
flags.DEFINE_string('checkpoint', '', 'best, latest, or the path of one; the default is the best if there is one.')
flags.DEFINE_list(
    'image_size',
    None,
    'Sizes to bring the images to, multiples of 32, of the longer side: a table of '
    'accuracy and speed, and the report of the first. The default is that of the records; larger ones '
    'are these enlarged, so make records of the largest.',
)
flags.DEFINE_integer('batch_size', 16, 'Images at once.', lower_bound=1)
flags.DEFINE_float(
    'score_threshold',
    nms.SCORE_THRESHOLD,
    'Lowest score, objectness x class, of a detection.',
    lower_bound=0,
    upper_bound=1,
)
flags.DEFINE_float(
    'nms_iou',
    nms.IOU_THRESHOLD,
    'IoU over which a better box of its class suppresses a box.',
    lower_bound=0,
    upper_bound=1,
)
flags.DEFINE_integer('max_detections', nms.MAX_DETECTIONS, 'Most detections an image.', lower_bound=1)
flags.DEFINE_float('match_iou', 0.5, 'IoU from which on a detection finds an object.', lower_bound=0, upper_bound=1)


def run() -> None:
    """Flags to library; ValueError if they do not fit the folders."""
    if not FLAGS.match_iou > 0:
        raise ValueError('--match_iou=0: every detection would find every object; give more than 0')
    report_dir = FLAGS.report_dir or f'{FLAGS.model_dir}/report'
    other = _other(report_dir) if FLAGS.compare else None
    if FLAGS.write_detections:
        storage.make_folder(FLAGS.write_detections)  # before the work, lest it is lost
    found, about, pictures = _read() if FLAGS.detections_dir else _detect()
    result.write(report_dir, found)
    matches = match(found.truth, found.detections, len(found.classes), FLAGS.match_iou)
    curves = average_precision(found.truth, matches, len(found.classes))
    mistakes = error_analysis.classify(found.truth, matches, len(found.classes), FLAGS.match_iou)
    metrics = {
        **inference.summarize(found, curves),
        **about,
        **summary.describe(found, matches, curves, mistakes, FLAGS.match_iou),
    }
    for name, row in summary.by_class(found, matches, curves).items():
        metrics['per_class'][name] |= row
    if FLAGS.coco:
        metrics['coco'] = coco_ap.average_precision(found)
        coco_ap.write(report_dir, found)
    if other is not None:
        metrics['compared'] = _compare(found, other)
    print(inference.format_table(metrics))
    print(f'{metrics["num_images"]} images of {FLAGS.split}, {about.get("checkpoint", FLAGS.detections_dir)}')
    if about.get('num_images_left_out'):
        print(f'{about["num_images_left_out"]} images of the list could not be preprocessed and are not counted')
    if about.get('num_boxes_left_out'):
        print(f'{about["num_boxes_left_out"]} boxes were left out by preprocessing and are not counted')
    if about.get('num_images_at_max_detections'):
        print(f'{about["num_images_at_max_detections"]} images reached --max_detections={FLAGS.max_detections}')
    if 'image_sizes' in metrics:
        print(inference.format_sizes(metrics['image_sizes']))
    if FLAGS.coco:
        ap, ap_50, ap_75 = (inference.cell(metrics['coco'][name]) for name in ('ap', 'ap_50', 'ap_75'))
        print(f'COCO: AP {ap}, at IoU 0.5 {ap_50}, at 0.75 {ap_75}')
    if FLAGS.compare:
        print(f'against {FLAGS.compare}\n{bootstrap.format_table(found.classes, [*metrics["compared"].values()])}')
    print(inference.write_metrics(report_dir, metrics))
    if FLAGS.write_detections:
        devkit_files.write_detections(
            FLAGS.write_detections, FLAGS.split, found.classes, found.image_ids, found.detections
        )
    print(
        report.write_page(
            report_dir, f'Evaluation on {FLAGS.split}', found, matches, curves, mistakes, metrics, pictures
        )
    )


def _other(report_dir: str) -> result.EvaluationResult:
    """What --compare means."""
    other = result.read(FLAGS.compare)
    if os.path.abspath(result.folder_of(FLAGS.compare)) == os.path.abspath(report_dir):
        raise ValueError(f'--compare={FLAGS.compare} is where this report goes; give another --report_dir')
    return other


def _compare(found: result.EvaluationResult, other: result.EvaluationResult) -> dict:
    """AP by class against that of another evaluation."""
    detections = result.aligned(found, other, FLAGS.compare)
    rows = bootstrap.difference(
        found.truth, found.detections, detections, len(found.image_ids), len(found.classes), FLAGS.match_iou
    )
    return dict(zip([*found.classes, 'mAP'], rows, strict=True))


def _detect() -> tuple[result.EvaluationResult, dict, report.Pictures]:
    """What the model finds in the records."""
    if not FLAGS.data_dir or FLAGS.voc_dir or FLAGS.labels:
        raise ValueError('give either --data_dir and a model, or --detections_dir with --voc_dir (and --labels)')
    description = records.read_description(FLAGS.data_dir)
    if not description.split(FLAGS.split).num_images:
        raise ValueError(f'split {FLAGS.split!r} of {FLAGS.data_dir!r} has no images to evaluate on')
    model, path = load_model(description)
    thresholds = inference.Thresholds(FLAGS.score_threshold, FLAGS.nms_iou, FLAGS.max_detections, FLAGS.match_iou)
    sizes = _image_sizes(description)
    results, table = [], {}
    for size in sizes:
        predict = inference.make_predict(model, model.network.region.anchors, thresholds, size)
        found, about, ms = inference.find(predict, FLAGS.data_dir, FLAGS.split, FLAGS.batch_size, thresholds)
        results.append((found, {**about, 'image_size': list(size), 'ms_per_image': ms}))
        if len(sizes) > 1:
            table[f'{size[1]} x {size[0]}'] = {**inference.mean_ap(found, FLAGS.match_iou), 'ms_per_image': ms}
    found, about = results[0]
    if table:
        about['image_sizes'] = table
    pictures = functools.partial(inference.pictures, FLAGS.data_dir, FLAGS.split)
    return found, {**about, 'checkpoint': path}, pictures


def _image_sizes(description: records.Description) -> list[tuple[int, int]]:
    """Heights and widths to evaluate at: those of the records, or of --image_size."""
    if FLAGS.image_size is None:
        return [description.image_size]
    try:
        sides = [int(text) for text in FLAGS.image_size]
        sizes = [schedule.training_sizes(description.image_size, side, side)[0] for side in sides]
    except ValueError as error:
        raise ValueError(f'--image_size={",".join(FLAGS.image_size)}: multiples of 32, as 288,352,416') from error
    if not sizes:
        raise ValueError('--image_size is empty: multiples of 32, as 288,352,416')
    stored = max(description.image_size)
    if max(sides) > stored:
        logging.warning(
            '--image_size=%s: the records hold images of %d pixels, larger ones are these enlarged, which '
            'costs some accuracy; preprocess with --image_size=%d to know it',
            ','.join(FLAGS.image_size),
            stored,
            max(sides),
        )
    return sizes


def _read() -> tuple[result.EvaluationResult, dict, report.Pictures]:
    """What files say that was found."""
    if FLAGS.data_dir or FLAGS.model_dir or FLAGS.cfg or not (FLAGS.voc_dir and FLAGS.report_dir):
        raise ValueError('--detections_dir goes with --voc_dir and --report_dir, and without --data_dir and a model')
    idle = [f'--{name}' for name in OF_A_MODEL if FLAGS[name].present]
    if idle:
        raise ValueError(f'{", ".join(idle)}: that is for a model, and --detections_dir has what was detected')
    source = voc_folder.Source(f'{FLAGS.voc_dir}/Annotations', f'{FLAGS.voc_dir}/JPEGImages')
    image_ids, classes, objects = annotations.read_truth(
        source, f'{FLAGS.voc_dir}/ImageSets/Main/{FLAGS.split}.txt', FLAGS.labels or ()
    )
    detections = devkit_files.read_detections(FLAGS.detections_dir, FLAGS.split, classes, image_ids)
    about = {'split': FLAGS.split, 'thresholds': {'match_iou': FLAGS.match_iou}, 'detections_dir': FLAGS.detections_dir}
    found = result.EvaluationResult(tuple(classes), tuple(image_ids), objects, detections)
    return found, about, functools.partial(annotations.pictures, source, image_ids)


def load_model(description: records.Description) -> tuple[DarknetModel, str]:
    """The model that the flags mean and where it is from; ValueError if it is not for these classes or images."""
    if bool(FLAGS.model_dir) == bool(FLAGS.cfg or FLAGS.weights):
        raise ValueError('give either --model_dir or --cfg and --weights')
    if FLAGS.model_dir:
        model, info, path = model_folder.load_trained(FLAGS.model_dir, FLAGS.checkpoint)
    else:
        if not (FLAGS.cfg and FLAGS.weights and FLAGS.report_dir):
            raise ValueError('--cfg and --weights go together, and with --report_dir')
        model, path = load_whole(FLAGS.cfg, FLAGS.weights), FLAGS.weights
        info = model_folder.ModelInfo((), FLAGS.resize or description.resize)
    number, theirs = model.network.region.classes, ','.join(description.classes)
    if info.classes and description.classes != info.classes:
        ours = ','.join(info.classes)
        raise ValueError(
            f'{FLAGS.data_dir!r} has the classes {theirs}, but the model was trained on {ours}; '
            f'preprocess with --labels={ours}'
        )
    if number != len(description.classes):
        raise ValueError(f'{FLAGS.data_dir!r} has {len(description.classes)} classes ({theirs}), the network {number}')
    if (FLAGS.resize or info.resize) != description.resize:
        raise ValueError(
            f'the images of {FLAGS.data_dir!r} were brought to their size by {description.resize}, '
            f'{"--resize" if FLAGS.resize else "the model was trained"} says '
            f'{FLAGS.resize or info.resize}; preprocess with --resize={FLAGS.resize or info.resize}, or '
            f'evaluate as they are with --resize={description.resize}'
        )
    return model, path


def main(argv: list[str]) -> None:
    """Runs, and turns bad input into a line."""
    commands.refuse_words(argv)
    with commands.errors_as_lines(tf.errors.OpError):
        run()


if __name__ == '__main__':
    app.run(main)
