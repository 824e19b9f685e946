"""The newest checkpoints of a run: saved, restored, cleaned up after a kill."""

import posixpath
import re
import time

import tensorflow as tf
from absl import logging

from yolo import storage
from yolo.models import model_folder
from yolo.training.config import TrainConfig
from yolo.training.state import State

# What TensorFlow, and `storage.write`, leave behind when killed: a checkpoint's folder of parts, its files before the
# file `checkpoint` names them, that file under another name, and the metrics of the best under another name.
PARTS = re.compile(r'ckpt-\d+_temp')
FILES = re.compile(r'(ckpt-\d+)\.(index|data-\d+-of-\d+)')
PARTIAL = re.compile(r'checkpoint\.tmp[0-9a-f]{32}|metrics\.json\.partial')
# The reader of checkpoints has no code of its own for most damage.
DAMAGE = (tf.errors.DATA_LOSS, tf.errors.NOT_FOUND, tf.errors.OUT_OF_RANGE, tf.errors.UNKNOWN)


def name_newest(folder: str) -> None:
    """Lets the file `checkpoint` of a folder name its newest whole checkpoint, if it is lost or names a damaged one.

    Without it TensorFlow knows of no checkpoint. The index of a checkpoint is written last, but not at once, and in
    place where there was one of the same step: only reading shows whether a checkpoint is whole.
    """
    if not storage.is_folder(folder):
        return
    steps = [
        int(found.group(1)) for found in map(re.compile(r'ckpt-(\d+)\.index').fullmatch, storage.names(folder)) if found
    ]
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
            folder, whole[-1], whole, all_model_checkpoint_timestamps=[time.time()] * len(whole)
        )


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
        self.folder, self.writes, self.state = model_folder.latest_folder(config.model_dir), writes, state
        self.best = model_folder.best_folder(config.model_dir)
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
            raise ValueError(
                f'{self.latest}: written by another version, or not by train.py; use another '
                '--model_dir, with --init_weights for its weights'
            ) from error
        except tf.errors.OpError as error:
            if error.error_code not in DAMAGE:
                raise
            raise ValueError(
                f'{self.latest} is damaged, and there is none before it that is whole; use another --model_dir'
            ) from error
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
            raise OSError(
                f'the checkpoint of step {step} cannot be written to {self.folder}: {message}. The last good '
                f'one is {last or "not there yet"}; the same command goes on from there'
            ) from error

    def clean(self) -> None:
        """Removes what saving left behind when it was killed or failed, and nothing else."""
        if not self.writes:
            return
        for folder in (self.folder, self.best):
            if storage.is_folder(folder):
                _clean(folder)


def _clean(folder: str) -> None:
    known = _named(folder)
    for name in storage.names(folder):
        path, found = posixpath.join(folder, name), FILES.fullmatch(name)
        if PARTS.fullmatch(name) and storage.is_folder(path):
            storage.remove_folder(path)
        elif PARTIAL.fullmatch(name) or (found and found.group(1) not in known):
            storage.remove(path)
