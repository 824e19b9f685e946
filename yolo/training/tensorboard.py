"""What TensorBoard gets beside the scalars of progress: pictures, precision-recall curves, a profile."""

import itertools
import posixpath

import numpy as np
import tensorflow as tf
from tensorboard.plugins.pr_curve import metadata

from yolo.data import pipeline
from yolo.data.draw import draw_detections
from yolo.evaluation.voc_ap import AveragePrecision
from yolo.training.config import TrainConfig

NUM_PICTURES = 4
PICTURE_SCORE = 0.25
NUM_THRESHOLDS = 201  # of a precision-recall curve: scores 0, 0.005 ... 1


def evaluation(config: TrainConfig, predict, metrics: dict, curves: AveragePrecision, writer, step: int) -> None:
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
            tf.summary.write(f'precision_recall/{name}', curve(curves, number), metadata=about)
    pictures(config, predict, config.eval_split, writer, step)


def curve(curves: AveragePrecision, number: int) -> np.ndarray:
    """What TensorBoard's PR curves are drawn from, (6, 201) float32, by rising score.

    True positives, false positives, true negatives (there are none in detection), false negatives, precision, recall.
    """
    scores = curves.scores[number]  # falling
    total = int(curves.num_objects[number])
    hits = np.append(0, np.round(curves.recall[number] * total))
    taken = np.searchsorted(-scores, -np.linspace(0, 1, NUM_THRESHOLDS), 'right')  # detections of that score or more
    right, wrong = hits[taken], taken - hits[taken]
    precision = np.where(taken > 0, right / np.maximum(taken, 1), 1.0)
    return np.stack([right, wrong, np.zeros_like(right), total - right, precision, right / total]).astype(np.float32)


def pictures(config: TrainConfig, predict, split: str, writer, step: int) -> None:
    """Writes a few images of a split with true boxes on the left and predictions on the right."""
    with writer.as_default(step):
        tf.summary.image('truth_left_predictions_right', _pictures(config, predict, split), max_outputs=NUM_PICTURES)
    writer.flush()


def _pictures(config: TrainConfig, predict, split: str) -> np.ndarray:
    """The images, (n, H, 2 W, 3) uint8."""
    batch = next(iter(pipeline.evaluation_batches(config.data_dir, split, config.batch_size)))
    found = {name: value.numpy() for name, value in predict(batch['image']).items()}
    batch = {name: value.numpy() for name, value in batch.items()}
    out = []
    for i in itertools.islice(np.flatnonzero(batch['real']), NUM_PICTURES):
        image, true, sure = batch['image'][i], batch['labels'][i] >= 0, found['scores'][i] >= PICTURE_SCORE
        left = draw_detections(image, batch['boxes'][i][true], batch['labels'][i][true], None, config.classes)
        right = draw_detections(
            image, found['boxes'][i][sure], found['classes'][i][sure], found['scores'][i][sure], config.classes
        )
        out.append(np.concatenate([left, right], 1))
    return np.stack(out)


class Profiler:
    """TensorFlow's profile of the steps that `profile_steps` names, first and last."""

    def __init__(self, config: TrainConfig, chief: bool):
        self.folder, self.steps = posixpath.join(config.model_dir, 'tensorboard'), config.profile_steps if chief else ()
        self.running = False

    def before(self, step: int) -> None:
        """Begins or ends it, if it is time; a run that is taken up within these steps begins it there."""
        if not self.steps:
            return
        if self.steps[0] <= step <= self.steps[1] and not self.running:
            tf.profiler.experimental.start(self.folder)
            self.running = True
        elif step > self.steps[1]:
            self.stop()

    def stop(self) -> None:
        """Ends it, if it runs."""
        if self.running:
            tf.profiler.experimental.stop()
            self.running = False
