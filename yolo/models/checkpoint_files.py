"""The checkpoints in a folder: which are there, which read whole, and what killed saves left behind.

Checkpoint N is `ckpt-N.index` with its data files. These files alone say which there are, and reading them which are
whole: TensorFlow compares checksums. Its file `checkpoint` is a hint, for the CheckpointManager that saves next:
`write_hint` writes it anew where it is lost, damaged or names others than the whole ones. Nothing but `write_hint` and
`remove_leftovers` changes anything, so that a run can be looked at while it goes on.
"""

import dataclasses
import logging
import posixpath
import re
import textwrap
import time

import tensorflow as tf

from yolo import storage

HINT = 'checkpoint'
# `ckpt-N.index` and `ckpt-N.data-00000-of-00001`.
FILES = re.compile(r'ckpt-(0|[1-9][0-9]{0,17})\.(index|data-[0-9]{5}-of-[0-9]{5})')
# What TensorFlow and `storage.write` name while they write: parts of a checkpoint, `checkpoint` and metrics.json.
PARTS = re.compile(r'ckpt-[0-9]+_temp')
PARTIAL = re.compile(r'checkpoint\.tmp[0-9a-f]{32}|(metrics\.json|checkpoint)\.partial')
# The error codes of TensorFlow's reader for damaged files.
DAMAGE = (tf.errors.DATA_LOSS, tf.errors.NOT_FOUND, tf.errors.OUT_OF_RANGE, tf.errors.UNKNOWN)
# An index is a table of LevelDB's kind, whose last bytes are these: without them it was not written to its end.
END_OF_INDEX = bytes.fromhex('57fb808b247547db')
HINT_LINE = re.compile(
    r'(model_checkpoint_path|all_model_checkpoint_paths): "([^"\\]*)"|'
    r'(?:all_model_checkpoint_timestamps|last_preserved_timestamp): [0-9.e+-]+'
)


@dataclasses.dataclass(frozen=True)
class Names:
    """What a folder holds by its names.

    pairs: steps of the checkpoints that have an index and data; lone: files of those that lack one of the two;
    temporary: files and folders that a save renames or removes at its end.
    """

    pairs: tuple[int, ...] = ()
    lone: tuple[str, ...] = ()
    temporary: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Checkpoints:
    """What reading says. whole: paths of the checkpoints that read whole, the newest last; damaged: path -> reason."""

    whole: tuple[str, ...] = ()
    damaged: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def newest(self) -> str | None:
        """The path of the newest whole checkpoint."""
        return self.whole[-1] if self.whole else None

    def describe_damage(self) -> str:
        """The damaged ones with their reasons, in one line."""
        return '; '.join(f'{path} ({reason})' for path, reason in self.damaged.items())


def path_of(folder: str, step: int) -> str:
    """The path of a checkpoint, which TensorFlow extends by `.index` and the like."""
    return posixpath.join(folder, f'ckpt-{step}')


def step_of(path: str) -> int:
    """The step of a checkpoint, by the end of its path."""
    return int(path.rpartition('-')[2])


def list_names(folder: str) -> Names:
    """Sorts the names in a folder; nothing if there is no such folder."""
    names = storage.names(folder) if storage.is_folder(folder) else []
    kinds: dict[int, dict[str, list[str]]] = {}
    for name in names:
        match = FILES.fullmatch(name)
        if match and storage.is_file(posixpath.join(folder, name)):
            kinds.setdefault(int(match.group(1)), {}).setdefault(match.group(2).split('-')[0], []).append(name)
    return Names(
        tuple(sorted(step for step, files in kinds.items() if len(files) == 2)),
        tuple(name for files in kinds.values() if len(files) == 1 for names in files.values() for name in names),
        tuple(name for name in names if PARTS.fullmatch(name) or PARTIAL.fullmatch(name)),
    )


def list_files(folder: str) -> list[str]:
    """The paths of all that saves write in a folder: checkpoints, temporary names, `checkpoint` and metrics.json."""
    names = storage.names(folder) if storage.is_folder(folder) else []
    ours = [name for name in names if FILES.fullmatch(name) or name in (HINT, 'metrics.json')]
    return [posixpath.join(folder, name) for name in (*ours, *list_names(folder).temporary)]


def read(folder: str, newest_only: bool = False) -> Checkpoints:
    """Reads the checkpoints of a folder, the newest first; newest_only: only until one is whole.

    One that a run removes meanwhile counts as not there. OSError if a file cannot be read for another reason than
    damage.
    """
    while True:
        steps = list_names(folder).pairs
        whole, damaged = [], {}
        for step in reversed(steps):
            path = path_of(folder, step)
            reason = find_damage(path)
            if reason:
                damaged[path] = reason
            elif reason is not None:
                whole.append(path)
                if newest_only:
                    break
        if whole or list_names(folder).pairs == steps:
            return Checkpoints(tuple(reversed(whole)), dict(reversed(damaged.items())))


def find_damage(path: str) -> str | None:
    """Why a checkpoint does not read whole; '' if it does; None if it is not there.

    OSError if a file cannot be read for another reason, as one that this user may not open.
    """
    if not _opens(path):
        return None
    try:
        reader = tf.train.load_checkpoint(path)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except IndexError as error:  # what the reader raises for a file that is too short
        reason = str(error)
    except tf.errors.OpError as error:
        if error.error_code not in DAMAGE:
            raise
        reason = error.message
    else:
        return ''
    if not _opens(path):
        return None
    return textwrap.shorten(reason, 200) or 'it cannot be read'


def _opens(path: str) -> bool:
    """Whether the files of a checkpoint are there; OSError if one is, but does not open."""
    folder, name = posixpath.split(path)
    names = storage.names(folder or '.') if storage.is_folder(folder or '.') else []
    data = [each for each in names if each.startswith(f'{name}.data-')]
    try:
        for each in (f'{name}.index', *data):
            with storage.reader(posixpath.join(folder, each)) as file:
                file.read(1)
    except FileNotFoundError:
        return False
    return bool(data)


def restore(checkpoint: tf.train.Checkpoint, path: str) -> bool:
    """Reads a checkpoint into objects; False if it lacks one of them, or holds one of another shape.

    tf.errors.OpError or IndexError if it is damaged or gone.
    """
    try:
        checkpoint.restore(path).expect_partial().assert_existing_objects_matched()
    except (AssertionError, ValueError):  # for an object that it lacks; for shapes that differ
        tf.get_logger().addFilter(_is_not_about_restoring)
        return False
    return True


def _is_not_about_restoring(record: logging.LogRecord) -> bool:
    """False for TensorFlow's later warnings that the rest of a checkpoint that does not fit was not restored."""
    return record.filename != 'checkpoint.py'


def was_saved(folder: str) -> bool:
    """Whether a save was ever finished in a folder: it ends with TensorFlow's file `checkpoint`."""
    return storage.exists(posixpath.join(folder, HINT))


def read_hint(folder: str) -> list[str] | None:
    """The paths that the file `checkpoint` lists, newest last; None if it is lost, damaged or names other folders."""
    if not was_saved(folder):
        return None
    try:
        lines = storage.read(posixpath.join(folder, HINT)).decode().splitlines()
    except UnicodeDecodeError:
        return None
    matches = [HINT_LINE.fullmatch(line) for line in lines]
    listed: dict[str | None, list[str]] = {}
    for match in matches:
        if match is None:
            return None
        listed.setdefault(match.group(1), []).append(match.group(2))
    names = listed.get('all_model_checkpoint_paths', [])
    if listed.get('model_checkpoint_path') != names[-1:] or any('/' in name for name in names):
        return None
    return [posixpath.join(folder, name) for name in names]


def write_hint(folder: str, whole: tuple[str, ...]) -> None:
    """Writes the file `checkpoint` anew where it does not list just these; without any it is removed.

    A CheckpointManager that is made afterwards removes no others, and ends at no damaged file.
    """
    if read_hint(folder) == list(whole):
        return
    if not whole:
        if was_saved(folder):
            storage.remove(posixpath.join(folder, HINT))
        return
    names = [posixpath.basename(path) for path in whole]
    lines = [
        f'model_checkpoint_path: "{names[-1]}"',
        *(f'all_model_checkpoint_paths: "{name}"' for name in names),
        *(f'all_model_checkpoint_timestamps: {time.time()}' for _ in names),
    ]
    storage.write(posixpath.join(folder, HINT), '\n'.join(lines) + '\n')


def is_unfinished(path: str) -> bool:
    """Whether the index of a checkpoint ends too early: a save was killed while it wrote it, or it was cut off."""
    return not storage.read(path + '.index').endswith(END_OF_INDEX)


def remove_leftovers(folder: str, found: Checkpoints) -> list[str]:
    """Removes what killed or failed saves left in a folder, and nothing else; returns the names.

    That is proven of temporary names; and of an index or data without its partner, if the folder holds a whole
    checkpoint. Without one they may be all that is left of a run. Damaged checkpoints are kept, until a save of the
    same step replaces them.
    """
    if not storage.is_folder(folder):
        return []
    names = list_names(folder)
    removed = list(names.temporary)
    if found.whole:
        removed += names.lone
    for name in removed:
        path = posixpath.join(folder, name)
        if storage.is_folder(path):
            storage.remove_folder(path)
        else:
            storage.remove(path)
    return removed
