"""Evaluates a trained YOLOv2 on a split of a folder of records: VOC AP by class and mAP.

  python eval.py --data_dir=data/voc416 --split=test --model_dir=runs/voc --report_dir=runs/voc/report
"""

import sys

from absl import app, flags, logging

from yolo import checkpoints, detection, evaluation, records

FLAGS = flags.FLAGS
flags.DEFINE_string('data_dir', None, 'Folder of records.', required=True)
flags.DEFINE_string('split', 'test', 'Split to evaluate on.')
flags.DEFINE_string('model_dir', None, 'Folder of a run of train.py.', required=True)
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
    model, config, path = checkpoints.load_trained(FLAGS.model_dir, FLAGS.checkpoint)
    description = records.read_description(FLAGS.data_dir)
    if description.classes != config.classes:
        ours, theirs = ','.join(config.classes), ','.join(description.classes)
        raise ValueError(f'{FLAGS.data_dir!r} has the classes {theirs}, but the model was trained on {ours}; '
                         f'preprocess with --labels={ours}')
    thresholds = evaluation.Thresholds(FLAGS.score_threshold, FLAGS.nms_iou, FLAGS.max_detections, FLAGS.match_iou)
    predict = evaluation.make_predict(model, config.anchors, thresholds)
    metrics = evaluation.evaluate(predict, FLAGS.data_dir, FLAGS.split, FLAGS.batch_size, thresholds)
    metrics['checkpoint'] = path
    print(evaluation.format_table(metrics))
    print(f'{metrics["num_images"]} images of {FLAGS.split}, {path}')
    if metrics['num_images_left_out']:
        print(f'{metrics["num_images_left_out"]} images of the list could not be preprocessed and are not counted')
    if metrics['num_images_at_max_detections']:
        print(f'{metrics["num_images_at_max_detections"]} images reached --max_detections={FLAGS.max_detections}')
    print(evaluation.write_metrics(FLAGS.report_dir or f'{FLAGS.model_dir}/report', metrics))


def main(argv: list[str]) -> None:
    """Runs, and turns bad input into a line."""
    if len(argv) > 1:
        raise app.UsageError(f'unexpected arguments: {" ".join(argv[1:])}')
    try:
        run()
    except ValueError as error:
        logging.error('%s', error)
        sys.exit(1)


if __name__ == '__main__':
    app.run(main)
