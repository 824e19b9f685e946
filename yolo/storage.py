"""Files and folders by path: local ones through Python, those with 'scheme://' through tf.io.gfile.

Errors are OSError for both. TensorFlow is imported for the latter alone, since the
offline stage's processes start without it.
"""

import contextlib
import glob as local_glob
import os
import shutil
from collections.abc import Iterator
from typing import Any


def _is_local(path: str) -> bool:
    return '://' not in path


@contextlib.contextmanager
def _gfile(path: str) -> Iterator[Any]:
    """tf.io.gfile, with the same errors as for local files."""
    import tensorflow as tf

    try:
        yield tf.io.gfile
    except tf.errors.NotFoundError as error:
        raise FileNotFoundError(f'{path}: {error.message}') from error
    except tf.errors.OpError as error:
        raise OSError(f'{path}: {error.message}') from error


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    """Adds the path to errors that lack it, such as that of a full disk while writing."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, path) from error


def read(path: str) -> bytes:
    """All bytes of a file."""
    with reader(path) as file:
        return file.read()


def size(path: str) -> int:
    """The length of a file in bytes."""
    if _is_local(path):
        return os.path.getsize(path)
    with _gfile(path) as gfile:
        return gfile.stat(path).length


@contextlib.contextmanager
def reader(path: str) -> Iterator[Any]:
    """A file, opened for reading bytes."""
    if _is_local(path):
        with open(path, 'rb') as file:
            yield file
    else:
        with _gfile(path) as gfile, gfile.GFile(path, 'rb') as file:
            yield file


def write(path: str, data: bytes | str) -> None:
    """Writes a file atomically: it is there with all of its bytes, or not at all."""
    with writer(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextlib.contextmanager
def writer(path: str) -> Iterator[Any]:
    """A file, opened for writing bytes under another name; it gets its own name when all of them are on the disk."""
    partial = path + '.partial'
    if _is_local(path):
        with _naming(partial), open(partial, 'wb') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    else:
        with _gfile(path) as gfile:
            with gfile.GFile(partial, 'wb') as file:
                yield file
            gfile.rename(partial, path, overwrite=True)


def exists(path: str) -> bool:
    """Whether there is a file or folder."""
    if _is_local(path):
        return os.path.exists(path)
    with _gfile(path) as gfile:
        return gfile.exists(path)


def is_file(path: str) -> bool:
    """Whether there is a file."""
    if _is_local(path):
        return os.path.isfile(path)
    return exists(path) and not is_folder(path)


def is_folder(path: str) -> bool:
    """Whether there is a folder."""
    if _is_local(path):
        return os.path.isdir(path)
    with _gfile(path) as gfile:
        return gfile.isdir(path)


def names(folder: str) -> list[str]:
    """The names in a folder, sorted."""
    if _is_local(folder):
        return sorted(os.listdir(folder))
    with _gfile(folder) as gfile:
        return sorted(name.rstrip('/') for name in gfile.listdir(folder))


def glob(pattern: str) -> list[str]:
    """The paths that match a pattern with * and ?, sorted."""
    if _is_local(pattern):
        return sorted(local_glob.glob(pattern))
    with _gfile(pattern) as gfile:
        return sorted(gfile.glob(pattern))


def make_folder(path: str) -> None:
    """Makes a folder and those above it; nothing if it is there."""
    if _is_local(path):
        os.makedirs(path, exist_ok=True)
    else:
        with _gfile(path) as gfile:
            gfile.makedirs(path)


def remove_folder(path: str) -> None:
    """Removes a folder with all that is in it."""
    if _is_local(path):
        shutil.rmtree(path)
    else:
        with _gfile(path) as gfile:
            gfile.rmtree(path)


def remove(path: str) -> None:
    """Removes a file."""
    if _is_local(path):
        os.remove(path)
    else:
        with _gfile(path) as gfile:
            gfile.remove(path)
