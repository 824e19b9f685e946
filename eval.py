"""Evaluates a trained YOLOv2 on a split of a folder of records: VOC AP by class and mAP.

  python eval.py --data_dir=data/voc416 --split=test --model_dir=runs/voc --report_dir=runs/voc/report
  python eval.py --data_dir=data/voc416 --cfg=yolov2-voc.cfg --weights=yolov2-voc.weights --report_dir=report
"""

import tensorflow as tf
from absl import app, flags

from yolo import checkpoints, commands, detection, evaluation, letterbox, records
from yolo.darknet import load_whole
from yolo.network import DarknetModel

FLAGS = flags.FLAGS
flags.DEFINE_string('data_dir', None, 'Folder of records.', required=True)
flags.DEFINE_string('split', 'test', 'Split to evaluate on.')
flags.DEFINE_string('model_dir', None, 'Folder of a run of train.py or of a converted model.')
flags.DEFINE_string('cfg', None, "Darknet's .cfg, in place of --model_dir; its classes are the records', in order.")
flags.DEFINE_string('weights', None, "Darknet's .weights, with --cfg.")
flags.DEFINE_enum('resize', None, letterbox.RESIZES, 'How the images came to their size; that must be how the records '
                  'were made. The default is how the model was trained.')  # fmt: skip
flags.DEFINE_string('report_dir', None, 'Folder for metrics.json; the default is report in --model_dir.')
flags.DEFINE_string('checkpoint', '', 'best, latest, or the path of one; the default is the best if there is one.')
flags.DEFINE_integer('batch_size', 16, 'Images at once.', lower_bound=1)
flags.DEFINE_float('score_threshold', detection.SCORE_THRESHOLD, 'Lowest score, objectness x class, of a detection.',
                   lower_bound=0, upper_bound=1)  # fmt: skip
flags.DEFINE_float('nms_iou', detection.IOU_THRESHOLD, 'IoU over which a better box of its class suppresses a box.',
                   lower_bound=0, upper_bound=1)  # fmt: skip
flags.DEFINE_integer('max_detections', detection.MAX_DETECTIONS, 'Most detections an image.', lower_bound=1)
flags.DEFINE_float('match_iou', 0.5, 'IoU from which on a detection finds an object.', lower_bound=0, upper_bound=1)


def run() -> None:
    """Flags to library; ValueError if they do not fit the folders."""
    if not FLAGS.match_iou > 0:
        raise ValueError('--match_iou=0: every detection would find every object; give more than 0')
    description = records.read_description(FLAGS.data_dir)
    if not description.split(FLAGS.split).num_images:
        raise ValueError(f'split {FLAGS.split!r} of {FLAGS.data_dir!r} has no images to evaluate on')
    model, path = load_model(description)
    thresholds = evaluation.Thresholds(FLAGS.score_threshold, FLAGS.nms_iou, FLAGS.max_detections, FLAGS.match_iou)
    predict = evaluation.make_predict(model, model.network.region.anchors, thresholds)
    metrics = evaluation.evaluate(predict, FLAGS.data_dir, FLAGS.split, FLAGS.batch_size, thresholds)
    metrics['checkpoint'] = path
    print(evaluation.format_table(metrics))
    print(f'{metrics["num_images"]} images of {FLAGS.split}, {path}')
    if metrics['num_images_left_out']:
        print(f'{metrics["num_images_left_out"]} images of the list could not be preprocessed and are not counted')
    if metrics['num_images_at_max_detections']:
        print(f'{metrics["num_images_at_max_detections"]} images reached --max_detections={FLAGS.max_detections}')
    print(evaluation.write_metrics(FLAGS.report_dir or f'{FLAGS.model_dir}/report', metrics))


def load_model(description: records.Description) -> tuple[DarknetModel, str]:
    """The model that the flags mean and where it is from; ValueError if it is not for these classes or images."""
    if bool(FLAGS.model_dir) == bool(FLAGS.cfg or FLAGS.weights):
        raise ValueError('give either --model_dir or --cfg and --weights')
    if FLAGS.model_dir:
        model, info, path = checkpoints.load_trained(FLAGS.model_dir, FLAGS.checkpoint)
    else:
        if not (FLAGS.cfg and FLAGS.weights and FLAGS.report_dir):
            raise ValueError('--cfg and --weights go together, and with --report_dir')
        model, path = load_whole(FLAGS.cfg, FLAGS.weights), FLAGS.weights
        info = checkpoints.ModelInfo((), FLAGS.resize or description.resize)
    number, theirs = model.network.region.classes, ','.join(description.classes)
    if info.classes and description.classes != info.classes:
        ours = ','.join(info.classes)
        raise ValueError(f'{FLAGS.data_dir!r} has the classes {theirs}, but the model was trained on {ours}; '
                         f'preprocess with --labels={ours}')
    if number != len(description.classes):
        raise ValueError(f'{FLAGS.data_dir!r} has {len(description.classes)} classes ({theirs}), the network {number}')
    if (FLAGS.resize or info.resize) != description.resize:
        raise ValueError(f'the images of {FLAGS.data_dir!r} were brought to their size by {description.resize}, '
                         f'{"--resize" if FLAGS.resize else "the model was trained"} says '
                         f'{FLAGS.resize or info.resize}; preprocess with --resize={FLAGS.resize or info.resize}, or '
                         f'evaluate as they are with --resize={description.resize}')
    return model, path


def main(argv: list[str]) -> None:
    """Runs, and turns bad input into a line."""
    commands.refuse_words(argv)
    with commands.errors_as_lines(tf.errors.OpError):
        run()


if __name__ == '__main__':
    app.run(main)
