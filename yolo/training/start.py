"""The start of a run: its first state, or the one in which it was stopped."""

import keras
import tensorflow as tf
from absl import logging

from yolo.models import model_folder
from yolo.training import checks, network
from yolo.training.checkpoints import Saver, repair_checkpoint_file
from yolo.training.config import TrainConfig, write_config
from yolo.training.distribution import HostCollective
from yolo.training.state import State, make_state


def start_run(config: TrainConfig, strategy: tf.distribute.Strategy, collective: HostCollective) -> tuple[State, Saver]:
    """The state to train from, and the saver of its checkpoints; the chief writes the files that describe the run.

    ValueError if the folder holds another run, or the processes of this one do not agree.
    """
    checks.check_same_settings(config, collective)
    if collective.is_chief:
        _write_description(config)
    keras.utils.set_random_seed(config.seed)
    state = make_state(config, strategy)
    split_checksum = int(state.split_checksum.numpy())
    saver = Saver(state, config, collective.is_chief)
    if saver.restore():
        logging.info('going on from %s', saver.latest)
        _set_split(config, state, split_checksum)
    else:
        _set_first_weights(config, state)
    checks.check_same_step(int(state.step.numpy()), config.model_dir, collective)
    return state, saver


def _write_description(config: TrainConfig) -> None:
    """Writes config.json, network.cfg and model.json; ValueError if the run in this folder has other ones."""
    latest = model_folder.latest_folder(config.model_dir)
    for folder in (latest, model_folder.best_folder(config.model_dir)):
        repair_checkpoint_file(folder)
    begun = tf.train.latest_checkpoint(latest) is not None
    write_config(config, begun)
    info = model_folder.ModelInfo(config.classes, config.resize)
    model_folder.write_model(config.model_dir, network.make_network(config), info, begun)


def _set_split(config: TrainConfig, state: State, split_checksum: int) -> None:
    """Resets the best mAP and the last evaluation if they were measured on another --eval_split."""
    if config.monitor == 'map' and int(state.split_checksum.numpy()) != split_checksum:
        state.best_value.assign(-float('inf'))
        state.evaluated_step.assign(-1)
    state.split_checksum.assign(split_checksum)


def _set_first_weights(config: TrainConfig, state: State) -> None:
    """Loads --init_weights, as far as they fit, and begins the average with the first weights."""
    if config.init_weights:
        logging.info('%s: %s', config.init_weights, model_folder.initialize(state.model, config.init_weights))
    if state.averaged is not None:
        for average, weight in zip(state.averaged.weights, state.model.weights, strict=True):
            average.assign(weight)
