"""All that a run is at a step, and its checkpoints: what has to be kept for it to go on as if it had never stopped."""

import dataclasses
import posixpath
import re
import time
import zlib

import keras
import tensorflow as tf
from absl import logging

from yolo import checkpoints, files
from yolo.config import TrainConfig
from yolo.network import DarknetModel
from yolo.optimizer import make_optimizer

# What TensorFlow, and `files.write`, leave behind when killed: a checkpoint's folder of parts, its files before the
# file `checkpoint` names them, that file under another name, and the metrics of the best under another name.
PARTS = re.compile(r'ckpt-\d+_temp')
FILES = re.compile(r'(ckpt-\d+)\.(index|data-\d+-of-\d+)')
PARTIAL = re.compile(r'checkpoint\.tmp[0-9a-f]{32}|metrics\.json\.partial')
# The reader of checkpoints has no code of its own for most damage.
DAMAGE = (tf.errors.DATA_LOSS, tf.errors.NOT_FOUND, tf.errors.OUT_OF_RANGE, tf.errors.UNKNOWN)


@dataclasses.dataclass
class State:
    """A run at a step. Input, augmentation and image size follow from the step and need no keeping."""

    model: DarknetModel  # what is trained
    averaged: DarknetModel | None  # its averaged weights
    optimizer: keras.optimizers.Optimizer
    step: tf.Variable  # steps done
    seen: tf.Variable  # images seen
    best: tf.Variable  # best value of what is monitored, the larger the better
    stale: tf.Variable  # evaluations since it was better
    waited: tf.Variable  # of these, since the rate was last lowered
    rate_factor: tf.Variable  # what the plateaus left of the rate
    loss_sum: tf.Variable  # of the steps since the last evaluation
    loss_count: tf.Variable
    evaluated: tf.Variable  # the step of the last evaluation
    split: tf.Variable  # checksum of the name of the split that `best` is of

    @property
    def published(self) -> DarknetModel:
        """The model to use: averaged, if there are averages."""
        return self.averaged or self.model

    def reached(self, step: int, seen: int) -> None:
        """Notes how far it has come, in steps and images."""
        self.step.assign(step)
        self.seen.assign(seen)
        for model in filter(None, (self.model, self.averaged)):
            model.seen = seen

    def checkpoint(self) -> tf.train.Checkpoint:
        """Everything, with the model to use as `model`."""
        parts = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        if self.averaged is not None:
            parts['trained'] = self.model
        del parts['averaged']
        return tf.train.Checkpoint(**{**parts, 'model': self.published})


def make_state(config: TrainConfig, strategy: tf.distribute.Strategy) -> State:
    """A run before its first step."""
    def variable(value, dtype) -> tf.Variable:
        return tf.Variable(value, trainable=False, dtype=dtype)

    with strategy.scope():
        rate_factor = variable(1.0, tf.float32)  # every step reads it
        model = checkpoints.make_model(config)
        averaged = checkpoints.make_model(config) if config.ema else None
        optimizer = make_optimizer(config, rate_factor)
        optimizer.build(model.trainable_variables)
    return State(model, averaged, optimizer, variable(0, tf.int64), checkpoints.new_seen(),
                 variable(-float('inf'), tf.float64), variable(0, tf.int64), variable(0, tf.int64), rate_factor,
                 variable(0.0, tf.float64), variable(0, tf.int64), variable(-1, tf.int64),
                 variable(zlib.crc32(config.eval_split.encode()), tf.int64))  # fmt: skip


def name_newest(folder: str) -> None:
    """Lets the file `checkpoint` of a folder name its newest whole checkpoint, if it is lost or names a damaged one.

    Without it TensorFlow knows of no checkpoint. The index of a checkpoint is written last, but not at once, and in
    place where there was one of the same step: only reading shows whether a checkpoint is whole.
    """
    if not files.is_folder(folder):
        return
    steps = [int(found.group(1)) for found in map(re.compile(r'ckpt-(\d+)\.index').fullmatch, files.names(folder))
             if found]  # fmt: skip
    paths = [posixpath.join(folder, f'ckpt-{step}') for step in sorted(steps)]
    named = _named(folder)
    latest = tf.train.latest_checkpoint(folder) if named else None
    if latest and _is_whole(latest):
        return
    whole = [path for path in paths if (not named or posixpath.basename(path) in named) and _is_whole(path)]
    if whole:
        if named:
            logging.warning('the newest checkpoint in %s is damaged; the one before it is %s', folder, whole[-1])
        tf.compat.v1.train.update_checkpoint_state(
            folder, whole[-1], whole, all_model_checkpoint_timestamps=[time.time()] * len(whole))


def _is_whole(path: str) -> bool:
    """Whether all of a checkpoint can be read; TensorFlow compares checksums."""
    try:
        reader = tf.train.load_checkpoint(path)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except IndexError:  # the reader's word for a file that is too short
        return False
    except tf.errors.OpError as error:
        if error.error_code not in DAMAGE:
            raise
        return False
    return True


def _named(folder: str) -> set[str]:
    """The names of the checkpoints that the file `checkpoint` has."""
    try:
        found = tf.train.get_checkpoint_state(folder)
    except ValueError:  # it is empty or damaged
        found = None
    return set(map(posixpath.basename, found.all_model_checkpoint_paths)) if found else set()


class Saver:
    """The newest checkpoints of a run. Only the chief of several processes writes."""

    def __init__(self, state: State, config: TrainConfig, writes: bool):
        self.folder, self.writes, self.state = checkpoints.latest_folder(config.model_dir), writes, state
        self.best = checkpoints.best_folder(config.model_dir)
        self.checkpoint = state.checkpoint()
        self.manager = tf.train.CheckpointManager(self.checkpoint, self.folder, max_to_keep=config.keep)

    @property
    def latest(self) -> str | None:
        """The path of the newest checkpoint."""
        return self.manager.latest_checkpoint

    def restore(self) -> bool:
        """Takes over the newest checkpoint; False if there is none. ValueError for one that lacks something."""
        self.clean()
        if not self.latest:
            return False
        try:
            self.checkpoint.restore(self.latest).assert_existing_objects_matched()
        except AssertionError as error:
            raise ValueError(f'{self.latest}: written by another version, or not by train.py; use another '
                             '--model_dir, with --init_weights for its weights') from error  # fmt: skip
        except tf.errors.OpError as error:
            if error.error_code not in DAMAGE:
                raise
            raise ValueError(f'{self.latest} is damaged, and there is none before it that is whole; use another '
                             '--model_dir') from error  # fmt: skip
        self.state.reached(int(self.state.step.numpy()), int(self.state.seen.numpy()))
        return True

    def save(self) -> None:
        """Writes a checkpoint of this step; OSError, with the last good one untouched, if that fails.

        TensorFlow writes the parts under other names, renames them, and names them in the file `checkpoint` at last.
        """
        if not self.writes:
            return
        step = int(self.state.step.numpy())
        try:
            self.manager.save(checkpoint_number=step)
        except (tf.errors.OpError, OSError) as error:
            last = tf.train.latest_checkpoint(self.folder)
            self.clean()
            message = ' '.join((getattr(error, 'message', None) or str(error)).split())
            raise OSError(f'the checkpoint of step {step} cannot be written to {self.folder}: {message}. The last good '
                          f'one is {last or "not there yet"}; the same command goes on from there') from error

    def clean(self) -> None:
        """Removes what saving left behind when it was killed or failed, and nothing else."""
        if not self.writes:
            return
        for folder in (self.folder, self.best):
            if files.is_folder(folder):
                _clean(folder)


def _clean(folder: str) -> None:
    known = _named(folder)
    for name in files.names(folder):
        path, found = posixpath.join(folder, name), FILES.fullmatch(name)
        if PARTS.fullmatch(name) and files.is_folder(path):
            files.remove_folder(path)
        elif PARTIAL.fullmatch(name) or (found and found.group(1) not in known):
            files.remove(path)
