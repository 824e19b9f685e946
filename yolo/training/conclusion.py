"""What limits a trained detector and what to try next, at the end of a run of --recipe=auto."""

import numpy as np
import tensorflow as tf
from absl import logging

from yolo.data import folds, records
from yolo.detection import graph
from yolo.evaluation import advice, inference, result, summary
from yolo.models import model_folder
from yolo.recipes import AUTO
from yolo.training import distribution, errors, facts, loop, preemption, tensorboard
from yolo.training.config import TrainConfig

MOST_IMAGES = 1000  # of each split that are looked at


def say(config: TrainConfig, strategy: tf.distribute.Strategy, result: loop.Result) -> None:
    """Logs the sentences of `conclude` about a run that is finished; or that its time was over before it was evaluated.

    All processes of the run call this.
    """
    lines = []
    if result.reason in (loop.FINISHED, loop.EARLY):
        lines = conclude(config, strategy)
    elif result.reason == preemption.TIME_LIMIT and config.eval_split and result.metrics is None:
        lines = [
            f'the time of --max_hours={config.max_hours:g} was over before the run was evaluated on '
            f'{config.eval_split}; the same command goes on with it'
        ]
    for line in lines:
        logging.info('%s: %s', AUTO, line)


def conclude(config: TrainConfig, strategy: tf.distribute.Strategy) -> list[str]:
    """At most three sentences about the best weights of a run, on images of --eval_split and on some it was trained on.

    All processes of the run call this.
    """
    if not config.eval_split:
        return ['no split to evaluate on (--eval_split): what limits the detector is not known']
    with errors.naming_lost(strategy):
        distribution.HostCollective(strategy).sum(0.0)  # by when the first process has saved the best weights
    with strategy.scope():
        model, _, _ = model_folder.load_trained(config.model_dir)
    predict = graph.make_predict(model, config.anchors, inference.Thresholds(), strategy)
    description = records.read_description(config.data_dir)
    num_images, num_others = (description.split(name).num_images for name in (config.train_split, config.eval_split))
    trained_on = folds.trained_on(num_images, config.fold, config.folds, config.seed)
    with errors.naming_lost(strategy):
        others, about = _detect(config, strategy, predict, config.eval_split, np.arange(num_others))
        own, _ = _detect(config, strategy, predict, config.train_split, trained_on)
    match_iou = inference.Thresholds().match_iou
    metrics = summary.evaluate(others, match_iou, about).metrics
    own_map = summary.mean_ap(own, match_iou)['map_area']
    training = advice.Training(
        own_map,
        tensorboard.read_curve(config.model_dir),
        config.num_steps,
        config.base_recipe,
        bool(config.init_weights),
        facts.typical_sides(config.data_dir, config.train_split, description),
    )
    return advice.advise(metrics, training)


def _detect(
    config: TrainConfig, strategy: tf.distribute.Strategy, predict: inference.Predict, split: str, numbers: np.ndarray
) -> tuple[result.EvaluationResult, dict]:
    """What is detected in at most MOST_IMAGES of the images with these numbers (n,) of a split, and facts about it."""
    step = -(-len(numbers) // MOST_IMAGES)
    workers = distribution.HostCollective(strategy)
    detected, about, _ = inference.run_inference(
        predict,
        config.data_dir,
        split,
        config.batch_size,
        inference.Thresholds(),
        workers=workers,
        numbers=numbers[::step],
    )
    return detected, about
