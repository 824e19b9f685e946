"""Files and folders by path: local ones through Python, those with 'scheme://' through tf.io.gfile.

Errors are OSError for both. TensorFlow is imported for the latter alone, since the
offline stage's processes start without it.
"""

import contextlib
import errno
import glob as local_glob
import os
import posixpath
import shutil
import stat
import tempfile
from collections.abc import Iterator
from typing import Any


def is_local(path: str) -> bool:
    """Whether Python opens a path, and not tf.io.gfile."""
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


def read(path: str, most_bytes: int | None = None) -> bytes:
    """All bytes of a file; OSError if it has more than `most_bytes`, with no more of it in memory."""
    with reader(path) as file:
        if most_bytes is None:
            return file.read()
        length = os.fstat(file.fileno()).st_size if is_local(path) else file.size()
        data = file.read(length + 1) if length <= most_bytes else b''  # a bound as the number would be allocated
        if len(data) > length:  # it grows, or is in /proc, where all files say that they are empty
            data += file.read(most_bytes + 1 - len(data))
            length = len(data)
    if length > most_bytes:
        raise OSError(errno.EFBIG, f'it has {length:,} bytes, more than {most_bytes:,}', path)
    return data


def size(path: str) -> int:
    """The length of a file in bytes."""
    if is_local(path):
        return os.path.getsize(path)
    with _gfile(path) as gfile:
        return gfile.stat(path).length


@contextlib.contextmanager
def reader(path: str) -> Iterator[Any]:
    """A file, opened for reading bytes; OSError at once if it is a pipe or a device, which may never end."""
    if is_local(path):
        with open(path, 'rb', opener=_open_regular) as file:
            yield file
    else:
        with _gfile(path) as gfile, gfile.GFile(path, 'rb') as file:
            yield file


def _open_regular(path: str, flags: int) -> int:
    """The opener of files that are read: without waiting for the writer of a pipe; OSError for other than files."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    mode = os.fstat(descriptor).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # of a folder Python says so itself
        os.close(descriptor)
        raise OSError(errno.EINVAL, 'it is not a regular file', path)
    return descriptor


def printable(text: str) -> str:
    """A text with each byte that is no UTF-8, as a file's name may have it, written as `\\xff`; others unchanged."""
    try:
        return os.fsencode(text).decode(errors='backslashreplace')
    except UnicodeEncodeError:  # half a pair of UTF-16, which stands for no byte
        return text.encode(errors='backslashreplace').decode()


def write(path: str, data: bytes | str) -> None:
    """Writes a file atomically: it is there with all of its bytes, or not at all. A text is written in UTF-8."""
    with writer(path) as file:
        # A path that is no UTF-8 may stand in a report: it is escaped, in JSON so that the same text is read back.
        file.write(data.encode(errors='backslashreplace') if isinstance(data, str) else data)


@contextlib.contextmanager
def writer(path: str) -> Iterator[Any]:
    """A file, opened for writing bytes under another name; it gets its own name when all of them are on the disk.

    After an error, such as a full disk, nothing of it is left.
    """
    partial = path + '.partial'
    with _removing(partial):
        if is_local(path):
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


@contextlib.contextmanager
def _removing(partial: str) -> Iterator[None]:
    """Removes a file that was not finished after an error inside."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # of the two errors the first is the reason
            remove(partial)
        raise


@contextlib.contextmanager
def local_writer(path: str, suffix: str) -> Iterator[str]:
    """A local path for programs that write files by name: what they wrote there becomes the file of `path`.

    suffix: how that path has to end. After an error nothing is left, and `path` is as it was.
    """
    if is_local(path):
        partial = f'{path}.partial{suffix}'
        with _removing(partial), _naming(partial):
            yield partial
            with open(partial, 'rb') as file:
                os.fsync(file.fileno())
            os.replace(partial, path)
    else:
        with tempfile.TemporaryDirectory() as folder:
            partial = f'{folder}/partial{suffix}'
            yield partial
            with open(partial, 'rb') as source, writer(path) as target:
                shutil.copyfileobj(source, target, 1 << 24)


def exists(path: str) -> bool:
    """Whether there is a file or folder."""
    if is_local(path):
        return os.path.exists(path)
    with _gfile(path) as gfile:
        return gfile.exists(path)


def is_file(path: str) -> bool:
    """Whether there is a file."""
    if is_local(path):
        return os.path.isfile(path)
    return exists(path) and not is_folder(path)


def is_folder(path: str) -> bool:
    """Whether there is a folder."""
    if is_local(path):
        return os.path.isdir(path)
    with _gfile(path) as gfile:
        return gfile.isdir(path)


def names(folder: str) -> list[str]:
    """The names in a folder, sorted."""
    if is_local(folder):
        return sorted(os.listdir(folder))
    with _gfile(folder) as gfile:
        return sorted(name.rstrip('/') for name in gfile.listdir(folder))


def glob(pattern: str) -> list[str]:
    """The paths that match a pattern with * and ?, sorted."""
    if is_local(pattern):
        return sorted(local_glob.glob(pattern))
    with _gfile(pattern) as gfile:
        return sorted(gfile.glob(pattern))


def make_folder(path: str) -> None:
    """Makes a folder and those above it; nothing if it is there. OSError if it or one of those is a file."""
    if is_local(path):
        try:
            os.makedirs(path, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise type(error)(f'{path}: {_file_above(path)} is a file, not a folder; give another folder') from error
    else:
        with _gfile(path) as gfile:
            gfile.makedirs(path)


def _file_above(path: str) -> str:
    """The first part of a path that is there and no folder."""
    parts = path.split('/')
    starts = ['/'.join(parts[: i + 1]) for i in range(len(parts))]
    return next((start for start in starts if os.path.lexists(start) and not os.path.isdir(start)), path)


def move(path: str, target: str) -> None:
    """Moves a file, replacing one that is there, or a folder to where none is; both paths are of one file system."""
    if is_local(path):
        os.replace(path, target)
    elif is_folder(path):  # not every file system of TensorFlow renames folders with what is in them
        make_folder(target)
        for name in names(path):
            move(posixpath.join(path, name), posixpath.join(target, name))
        remove_folder(path)
    else:
        with _gfile(path) as gfile:
            gfile.rename(path, target, overwrite=True)


def remove_folder(path: str) -> None:
    """Removes a folder with all that is in it."""
    if is_local(path):
        shutil.rmtree(path)
    else:
        with _gfile(path) as gfile:
            gfile.rmtree(path)


def remove(path: str) -> None:
    """Removes a file."""
    if is_local(path):
        os.remove(path)
    else:
        with _gfile(path) as gfile:
            gfile.remove(path)
