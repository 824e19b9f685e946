"""The start of a run: its first state, or the one in which it was stopped."""

import keras
import tensorflow as tf
from absl import logging

from yolo.data import records
from yolo.evaluation import resized
from yolo.models import checkpoint_files, model_folder
from yolo.training import checks, network, resume
from yolo.training.checkpoints import Saver
from yolo.training.config import TrainConfig
from yolo.training.config_file import write_config
from yolo.training.distribution import HostCollective
from yolo.training.state import State, make_state

BEGINNING = -1  # the step of no checkpoint


def start_run(
    config: TrainConfig, strategy: tf.distribute.Strategy, collective: HostCollective, overwrite: bool
) -> tuple[State, Saver]:
    """The state to train from, and the saver of its checkpoints; the chief writes the files that describe the run.

    overwrite: as of `resume.prepare_folder`. ValueError if the folder holds another run or a damaged one, or the
    processes of this one do not agree.
    """
    checks.check_same_settings(config, collective)
    path = resume.prepare_folder(config, overwrite) if collective.is_chief else None
    step = int(collective.from_chief(_step_of(path)))
    keras.utils.set_random_seed(config.seed)
    state = make_state(config, strategy)
    split_checksum = int(state.split_checksum.numpy())
    saver = Saver(state, config, collective.is_chief)
    if step == BEGINNING:
        _set_first_weights(config, state)
    else:
        saver.restore(step)
        is_done = step >= config.num_steps
        logging.info('finished already: %s is of the last step' if is_done else 'going on from %s', saver.latest)
        _set_split(config, state, split_checksum)
    checks.check_same_step(int(state.step.numpy()), config.model_dir, collective)
    if collective.is_chief:
        if config.eval_split:
            resized.say(records.read_description(config.data_dir), config.eval_split, config.image_size)
        info = model_folder.ModelInfo(config.classes, config.resize, config.grey_range)
        write_config(config)
        model_folder.write_model(config.model_dir, network.make_network(config), info)
    return state, saver


def _step_of(path: str | None) -> int:
    return BEGINNING if path is None else checkpoint_files.step_of(path)


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
