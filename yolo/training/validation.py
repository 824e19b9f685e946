"""Evaluations during training: which weights are the best, when the rate falls, when the run ends early."""

import math
from collections.abc import Callable

from absl import logging

from yolo.evaluation import inference, result
from yolo.models import model_folder
from yolo.training import tensorboard
from yolo.training.config import TrainConfig
from yolo.training.distribution import HostCollective
from yolo.training.state import State


def is_evaluation_due(config: TrainConfig, state: State, step: int) -> bool:
    """Whether the run is to be evaluated after so many steps, and was not yet."""
    has_evaluations = bool(config.eval_split) or config.monitor == 'loss'
    is_at = step == config.num_steps or (step > 0 and config.eval_every > 0 and step % config.eval_every == 0)
    return has_evaluations and is_at and int(state.evaluated_step.numpy()) != step  # reads from the device only then


def evaluate(
    config: TrainConfig, state: State, predict: Callable, collective: HostCollective, writer, step: int
) -> dict | None:
    """Evaluates, saves the model if it is the best so far, and lowers the rate on a plateau.

    Every process evaluates its share of the images. Returns the metrics on --eval_split, None without one.
    """
    loss = mean_loss(state)
    metrics = None
    if config.eval_split:
        metrics = _measure_map(config, state, predict, collective, writer, step)
    value = -loss if config.monitor == 'loss' else (metrics or {}).get('map_11pt') or 0.0
    value = collective.from_chief(value)
    is_best = value > float(state.best_value.numpy())
    if is_best:
        state.best_value.assign(value)
        if collective.is_chief:
            _save_best(config, state, metrics or {'step': step, 'loss': loss}, step)
    state.evaluated_step.assign(step)
    state.loss_sum.assign(0.0)
    state.loss_count.assign(0)
    _count_evaluation(config, state, is_best, step)
    return metrics


def mean_loss(state: State) -> float:
    """The mean training loss over the steps since the last evaluation; infinite if all of them were skipped."""
    count = int(state.loss_count.numpy())
    return float(state.loss_sum.numpy()) / count if count else math.inf


def _measure_map(
    config: TrainConfig, state: State, predict: Callable, collective: HostCollective, writer, step: int
) -> dict:
    """The metrics on --eval_split, which the chief also logs and writes for TensorBoard."""
    metrics, curves = inference.evaluate_with_curves(
        predict, config.data_dir, config.eval_split, config.batch_size, inference.Thresholds(), collective
    )
    metrics['step'] = step
    if not collective.is_chief:
        return metrics
    logging.info(
        'step %d: mAP %.4f (11-point), %.4f (area) on %s; best before %.4f',
        step,
        metrics['map_11pt'] or 0.0,
        metrics['map_area'] or 0.0,
        config.eval_split,
        max(float(state.best_value.numpy()), 0.0),
    )
    tensorboard.write_evaluation(config, predict, metrics, curves, writer, step)
    return metrics


def _save_best(config: TrainConfig, state: State, metrics: dict, step: int) -> None:
    folder = model_folder.best_folder(config.model_dir)
    model_folder.save_whole(folder, state.export_model, step)
    result.write_metrics(folder, metrics)


def _count_evaluation(config: TrainConfig, state: State, is_best: bool, step: int) -> None:
    """Counts the evaluations since the best one; after --plateau of them the rate is lowered."""
    state.evals_since_best.assign(0 if is_best else state.evals_since_best + 1)
    state.evals_since_decay.assign(0 if is_best else state.evals_since_decay + 1)
    if config.plateau and int(state.evals_since_decay.numpy()) >= config.plateau:
        state.evals_since_decay.assign(0)
        state.rate_factor.assign(state.rate_factor * config.plateau_factor)
        logging.info(
            'step %d: no better model in %d evaluations; the learning rate is now %.3g times that of the schedule',
            step,
            config.plateau,
            float(state.rate_factor.numpy()),
        )
