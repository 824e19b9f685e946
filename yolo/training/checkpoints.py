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

# What TensorFlow and `storage.write` leave behind when they are killed: the folder with parts of a checkpoint, its
# files before the file `checkpoint` names them, and the temporary files of `checkpoint` and metrics.json.
PARTS = re.compile(r'ckpt-\d+_temp')
FILES = re.compile(r'(ckpt-\d+)\.(index|data-\d+-of-\d+)')
PARTIAL = re.compile(r'checkpoint\.tmp[0-9a-f]{32}|metrics\.json\.partial')
# The error codes of TensorFlow's reader for damaged files.
DAMAGE = (tf.errors.DATA_LOSS, tf.errors.NOT_FOUND, tf.errors.OUT_OF_RANGE, tf.errors.UNKNOWN)


def repair_checkpoint_file(folder: str) -> None:
    """Writes the file `checkpoint` of a folder anew if it is lost or its newest checkpoint is damaged.

    TensorFlow finds only the checkpoints that this file names. Only reading shows whether a checkpoint is complete: its
    index is written last, but not at once, and over the one of the same step if there was one.
    """
    if not storage.is_folder(folder):
        return
    matches = map(re.compile(r'ckpt-(\d+)\.index').fullmatch, storage.names(folder))
    steps = sorted(int(match.group(1)) for match in matches if match)
    paths = [posixpath.join(folder, f'ckpt-{step}') for step in steps]
    named = _named_checkpoints(folder)
    latest = tf.train.latest_checkpoint(folder) if named else None
    if latest and _is_complete(latest):
        return
    candidates = [path for path in paths if not named or posixpath.basename(path) in named]
    complete = [path for path in candidates if _is_complete(path)]
    if not complete:
        return
    if named:
        logging.warning('the newest checkpoint in %s is damaged; the one before it is %s', folder, complete[-1])
    tf.compat.v1.train.update_checkpoint_state(
        folder, complete[-1], complete, all_model_checkpoint_timestamps=[time.time()] * len(complete)
    )


def _is_complete(path: str) -> bool:
    """Whether everything in a checkpoint can be read; TensorFlow compares checksums."""
    try:
        reader = tf.train.load_checkpoint(path)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except IndexError:  # what the reader raises for a file that is too short
        return False
    except tf.errors.OpError as error:
        if error.error_code not in DAMAGE:
            raise
        return False
    return True


def _named_checkpoints(folder: str) -> set[str]:
    """The names of the checkpoints that the file `checkpoint` lists."""
    try:
        listed = tf.train.get_checkpoint_state(folder)
    except ValueError:  # it is empty or damaged
        listed = None
    return set(map(posixpath.basename, listed.all_model_checkpoint_paths)) if listed else set()


class Saver:
    """Saves and restores the newest checkpoints of a run. Only the chief of several processes writes."""

    def __init__(self, state: State, config: TrainConfig, is_chief: bool):
        self.state, self.is_chief = state, is_chief
        self.folder = model_folder.latest_folder(config.model_dir)
        self.best_folder = model_folder.best_folder(config.model_dir)
        self.checkpoint = state.checkpoint()
        self.manager = tf.train.CheckpointManager(self.checkpoint, self.folder, max_to_keep=config.keep)

    @property
    def latest(self) -> str | None:
        """The path of the newest checkpoint."""
        return self.manager.latest_checkpoint

    def restore(self) -> bool:
        """Restores the newest checkpoint; False if there is none, ValueError if it is damaged or of another program."""
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
                f'{self.latest} is damaged, and there is none before it that is complete; use another --model_dir'
            ) from error
        self.state.set_progress(int(self.state.step.numpy()), int(self.state.seen.numpy()))
        return True

    def save(self) -> None:
        """Writes a checkpoint of this step; OSError, with the last good one untouched, if that fails.

        TensorFlow writes temporary files, renames them, and last of all lists them in the file `checkpoint`.
        """
        if not self.is_chief:
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
        if not self.is_chief:
            return
        for folder in (self.folder, self.best_folder):
            if storage.is_folder(folder):
                _remove_leftovers(folder)


def _remove_leftovers(folder: str) -> None:
    named = _named_checkpoints(folder)
    for name in storage.names(folder):
        path, match = posixpath.join(folder, name), FILES.fullmatch(name)
        if PARTS.fullmatch(name) and storage.is_folder(path):
            storage.remove_folder(path)
        elif PARTIAL.fullmatch(name) or (match and match.group(1) not in named):
            storage.remove(path)
