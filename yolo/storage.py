"""Files by path: local ones by Python, 'scheme://' ones by whatever tf.io.gfile opens. OSError when something fails.

TensorFlow is only imported for the latter: the offline stage's processes start without it.
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
    """tf.io.gfile, with errors as those of local files."""
    import tensorflow as tf

    try:
        yield tf.io.gfile
    except tf.errors.NotFoundError as error:
        raise FileNotFoundError(f'{path}: {error.message}') from error
    except tf.errors.OpError as error:
        raise OSError(f'{path}: {error.message}') from error


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    """Puts the path into errors of writing, which lack it."""
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
    """Something to read a file's bytes from, piece by piece."""
    if _is_local(path):
        with open(path, 'rb') as file:
            yield file
    else:
        with _gfile(path) as gfile, gfile.GFile(path, 'rb') as file:
            yield file


def write(path: str, data: bytes | str) -> None:
    """Writes a file under another name first, so that it is there whole or not at all."""
    with writer(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextlib.contextmanager
def writer(path: str) -> Iterator[Any]:
    """Something to write bytes to; the file has its name, with all of them on the disk, only when that went well."""
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
    """The paths that a pattern with * and ? means, sorted."""
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
