"""A lock on a folder: one command at a time writes to it. Reading needs none.

On this machine's file systems it is `flock` on the file `.lock`, which the kernel gives up however the process ends. On
paths with 'scheme://', and where there is no flock, `.lock` is a lease: its holder renews it, and one that was not
renewed for STALE seconds, or whose process is gone from this machine, is taken over.
"""

import contextlib
import errno
import fcntl
import json
import os
import posixpath
import secrets
import socket
from collections.abc import Callable, Iterator
from time import gmtime, strftime
from typing import Any

from yolo import signals, storage
from yolo.lease import InUseError as InUseError
from yolo.lease import Lease, in_use, parse

NAME = '.lock'
NO_FLOCK = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOSYS, errno.EINVAL)


@contextlib.contextmanager
def hold(folder: str, what: str, argument: str) -> Iterator[Callable[[], None]]:
    """Holds the lock of a folder, which is made if it is not there; yields a function that raises once it is lost.

    what: the command, as others will name it; argument: what names the folder, such as --model_dir, for the way out.
    InUseError if another command holds it, ValueError if it is a file, OSError if it cannot be made or written to.
    """
    if storage.is_file(folder):
        raise ValueError(f'{argument}={folder} is a file; give a folder')
    made = _make_folder(folder)
    path, holder = posixpath.join(folder, NAME), _this_process(what)
    try:
        with (
            signals.at_end(lambda _: _remove_empty(made)),
            _flock_or_lease(path, holder, f'wait for it, end it, or give another {argument}') as check,
        ):
            yield check
    finally:
        _remove_empty(made)


def _remove_empty(folders: list[str]) -> None:
    """Removes folders that an error or a signal may have left empty; others stay."""
    for folder in folders:
        with contextlib.suppress(OSError):
            os.rmdir(folder)


def _make_folder(folder: str) -> list[str]:
    """Makes a folder; returns the local folders that were not there, the deepest first."""
    missing, path = [], folder
    while path and storage.is_local(folder) and not os.path.lexists(path):
        missing.append(path)
        path = os.path.dirname(path)
    storage.make_folder(folder)
    return missing


def _this_process(what: str) -> dict[str, Any]:
    """What the file of a lock says of its holder."""
    since, token = strftime('%Y-%m-%dT%H:%M:%SZ', gmtime()), secrets.token_hex(8)
    host, pid = socket.gethostname(), os.getpid()
    return {'what': what, 'host': host, 'pid': pid, 'machine': _machine(), 'since': since, 'token': token}


def _machine() -> str:
    """The boot and the name space of this process' number: within them alone a number says whether a process lives."""
    try:
        with open('/proc/sys/kernel/random/boot_id') as file:
            return f'{file.read().strip()} {os.readlink("/proc/self/ns/pid")}'
    except OSError:  # not Linux
        return ''


@contextlib.contextmanager
def _flock_or_lease(path: str, holder: dict[str, Any], way_out: str) -> Iterator[Callable[[], None]]:
    file = None
    if storage.is_local(path):
        try:
            file = _flock(path, way_out)
        except OSError as error:
            if error.errno not in NO_FLOCK:
                raise
    if file is None:
        with Lease(path, holder, way_out) as lease:
            yield lease.check
        return
    try:
        os.ftruncate(file, 0)
        os.write(file, json.dumps(holder).encode())
        with signals.at_end(lambda _: _unlink(path)):
            yield lambda: None
    finally:
        _unlink(path)  # before it is unlocked: _flock takes no file for the lock that has lost its name
        os.close(file)


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _flock(path: str, way_out: str) -> int:
    """The descriptor of the locked file; InUseError if another has it, ValueError if it is something else."""
    while True:
        if os.path.lexists(path) and (os.path.islink(path) or not os.path.isfile(path)):
            raise ValueError(f'{path} is no file, but the name of a lock; remove or rename it')
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        except FileNotFoundError:  # the folder is gone: one that another command had made and left empty
            storage.make_folder(posixpath.dirname(path))
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _has_name(file, path):
                _check_is_lock(file, path)
                return file
        except OSError as error:
            fields = parse(os.pread(file, 1 << 16, 0))
            os.close(file)
            if isinstance(error, BlockingIOError):
                raise in_use(posixpath.dirname(path), fields, way_out) from error
            raise
        os.close(file)


def _check_is_lock(file: int, path: str) -> None:
    """ValueError, with the file closed, if it is somebody's own: it would be emptied and removed."""
    data = os.pread(file, 1 << 16, 0)
    if data and 'token' not in parse(data):
        os.close(file)
        raise ValueError(f'{path} is no lock of this program, but has the name of one; remove or rename it')


def _has_name(file: int, path: str) -> bool:
    """Whether a path is that of an open file. It is opened: on a network's file system stat may be out of date."""
    try:
        with open(path, 'rb') as named:
            return os.path.sameopenfile(file, named.fileno())
    except FileNotFoundError:
        return False
