"""The newest checkpoints of a run: restored, and saved when all of it is finite."""

import tensorflow as tf

from yolo.models import checkpoint_files, model_folder
from yolo.training.config import TrainConfig
from yolo.training.progress import LOWER_RATE_HINT
from yolo.training.state import State


class Saver:
    """Saves and restores the newest checkpoints of a run. Only the chief of several processes writes.

    latest: the path of the checkpoint that was restored or saved last, None before the first.
    """

    def __init__(self, state: State, config: TrainConfig, is_chief: bool):
        self.state, self.is_chief = state, is_chief
        self.folder = model_folder.latest_folder(config.model_dir)
        self.latest: str | None = None
        self.checkpoint = state.checkpoint()
        if is_chief:
            self.manager = tf.train.CheckpointManager(self.checkpoint, self.folder, max_to_keep=config.keep)

    def restore(self, step: int) -> None:
        """Restores the checkpoint of a step; ValueError if it is of another program, damaged or gone."""
        path = checkpoint_files.path_of(self.folder, step)
        try:
            fits = checkpoint_files.restore(self.checkpoint, path)
        except (tf.errors.OpError, IndexError) as error:
            damage = checkpoint_files.find_damage(path)
            if damage == '':
                raise
            raise ValueError(f'{path} cannot be read: {damage or "it is not there"}') from error
        if not fits:
            raise ValueError(
                f'{path}: written by another version, or not by train.py; use another '
                '--model_dir, with --init_weights for its weights'
            )
        self.state.set_progress(int(self.state.step.numpy()), int(self.state.seen.numpy()))
        self.latest = path

    def check_finite(self, step: int) -> None:
        """FloatingPointError, naming it and the last good checkpoint, if something that is saved is not finite."""
        try:
            self.state.check_finite()
        except FloatingPointError as error:
            raise FloatingPointError(
                f'after step {step - 1} {error}; the last checkpoint, {self.latest or "none yet"}, is from before; '
                f'{LOWER_RATE_HINT}'
            ) from error

    def save(self) -> None:
        """Writes a checkpoint of this step; OSError, with the last good one untouched, if that fails.

        TensorFlow writes temporary files, renames them, and last of all lists them in the file `checkpoint`.
        FloatingPointError, with nothing written, if something is not finite.
        """
        step = int(self.state.step.numpy())
        self.check_finite(step)
        if self.is_chief:
            self._write(step)
        self.latest = checkpoint_files.path_of(self.folder, step)

    def _write(self, step: int) -> None:
        try:
            self.manager.save(checkpoint_number=step)
        except (tf.errors.OpError, OSError) as error:
            found = checkpoint_files.read(self.folder)
            checkpoint_files.remove_leftovers(self.folder, found)
            message = ' '.join((getattr(error, 'message', None) or str(error)).split())
            raise OSError(
                f'the checkpoint of step {step} cannot be written to {self.folder}: {message}. The last good '
                f'one is {found.newest or "not there yet"}; the same command goes on from there'
            ) from error
