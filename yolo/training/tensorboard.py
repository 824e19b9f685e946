"""Evaluations, pictures, precision-recall curves and a profile for TensorBoard (progress.py writes the losses)."""

import contextlib
import itertools
import posixpath

import numpy as np
import tensorflow as tf
from tensorboard.plugins.pr_curve import metadata

from yolo import storage
from yolo.data import grey, pipeline
from yolo.data.draw import draw_detections
from yolo.evaluation.voc_ap import AveragePrecision
from yolo.geometry.letterbox import COLOUR
from yolo.training.config import TrainConfig

NUM_PICTURES = 4
PICTURE_SCORE = 0.25
NUM_THRESHOLDS = 201  # of a precision-recall curve: scores 0, 0.005 ... 1


def write_evaluation(config: TrainConfig, predict, metrics: dict, curves: AveragePrecision, writer, step: int) -> None:
    """Writes mAP, AP and precision-recall curve of every class, and pictures."""
    with writer.as_default(step):
        for name in ('map_11pt', 'map_area'):
            if metrics[name] is not None:
                tf.summary.scalar(name, metrics[name])
        for number, (name, row) in enumerate(metrics['per_class'].items()):
            if row['ap_11pt'] is None:
                continue
            tf.summary.scalar(f'ap_11pt/{name}', row['ap_11pt'])
            about = metadata.create_summary_metadata(name, 'precision over recall', NUM_THRESHOLDS)
            tf.summary.write(f'precision_recall/{name}', precision_recall_table(curves, number), metadata=about)
    write_pictures(config, predict, config.eval_split, writer, step)


def read_curve(model_dir: str) -> list[tuple[int, float]]:
    """The evaluations of a run so far: steps, and mAP (area) on --eval_split; [] if it has written none."""
    points: dict[int, float] = {}
    folder = posixpath.join(model_dir, 'tensorboard')
    names = storage.names(folder) if storage.is_folder(folder) else []
    for path in sorted(posixpath.join(folder, name) for name in names if 'tfevents' in name):
        with contextlib.suppress(tf.errors.DataLossError):  # the last record of a run that was killed
            for serialized in tf.data.TFRecordDataset(path).as_numpy_iterator():
                event = tf.compat.v1.Event.FromString(serialized)
                for value in event.summary.value:
                    if value.tag == 'map_area':
                        points[event.step] = float(tf.make_ndarray(value.tensor))
    return sorted(points.items())


def precision_recall_table(curves: AveragePrecision, class_index: int) -> np.ndarray:
    """The table from which TensorBoard draws a PR curve: (6, 201) float32, a column for each score from 0 to 1.

    Rows: true positives, false positives, true negatives (0: detection has none), false negatives, precision, recall.
    """
    scores = curves.scores[class_index]  # (D,) falling
    num_objects = int(curves.num_objects[class_index])
    true_positives_of_first = np.append(0, np.round(curves.recall[class_index] * num_objects))  # (D + 1,)
    num_detections = np.searchsorted(-scores, -np.linspace(0, 1, NUM_THRESHOLDS), 'right')  # with that score or more
    true_positives = true_positives_of_first[num_detections]
    precision = np.where(num_detections > 0, true_positives / np.maximum(num_detections, 1), 1.0)
    rows = [
        true_positives,
        num_detections - true_positives,
        np.zeros_like(true_positives),
        num_objects - true_positives,
        precision,
        true_positives / num_objects,
    ]
    return np.stack(rows).astype(np.float32)


def write_pictures(config: TrainConfig, predict, split: str, writer, step: int) -> None:
    """Writes a few images of a split with true boxes on the left and predictions on the right."""
    with writer.as_default(step):
        tf.summary.image('truth_left_predictions_right', _pictures(config, predict, split), max_outputs=NUM_PICTURES)
    writer.flush()


def _pictures(config: TrainConfig, predict, split: str) -> np.ndarray:
    """The first images of a split, each with true boxes and with detections: (n, H, 2 W, 3) uint8."""
    with pipeline.naming_damage(config.data_dir, split):
        batch = next(iter(pipeline.evaluation_batches(config.data_dir, split, config.batch_size)))
    detections = predict(batch['image'])
    batch = {name: value.numpy() for name, value in batch.items()}
    pictures = []
    for i in itertools.islice(np.flatnonzero(batch['real']), NUM_PICTURES):
        boxes, labels = batch['boxes'][i], batch['labels'][i]
        image = grey.to_channels(batch['image'][i], COLOUR)
        is_object = labels >= 0
        truth = draw_detections(image, boxes[is_object], labels[is_object], None, config.classes)
        boxes, labels, scores = (detections[name][i] for name in ('boxes', 'classes', 'scores'))
        is_shown = scores >= PICTURE_SCORE
        predicted = draw_detections(image, boxes[is_shown], labels[is_shown], scores[is_shown], config.classes)
        pictures.append(np.concatenate([truth, predicted], 1))
    return np.stack(pictures)


class Profiler:
    """TensorFlow's profile of the steps that `profile_steps` names, first and last."""

    def __init__(self, config: TrainConfig, is_chief: bool):
        self.folder = posixpath.join(config.model_dir, 'tensorboard')
        self.steps = config.profile_steps if is_chief else ()
        self.running = False

    def before(self, step: int) -> None:
        """Begins or ends the profile if that is due before this step, also where a run continues between the two."""
        if not self.steps:
            return
        if self.steps[0] <= step <= self.steps[1] and not self.running:
            tf.profiler.experimental.start(self.folder)
            self.running = True
        elif step > self.steps[1]:
            self.stop()

    def stop(self) -> None:
        """Ends the profile if one is running."""
        if self.running:
            self.running = False
            tf.profiler.experimental.stop()
