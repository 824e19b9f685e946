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
import threading
from collections.abc import Callable, Iterator
from time import gmtime, sleep, strftime
from time import time as now
from typing import Any

from absl import logging

from yolo import signals, storage

NAME = '.lock'
NO_FLOCK = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOSYS, errno.EINVAL)
RENEW, SETTLE, STALE = 20.0, 1.0, 300.0  # seconds: between renewals, for another writer to show up, until a takeover
LOST = 'another command took {path} over ({holder}), since this one had not renewed its lease: nothing more is written'


class InUseError(OSError):
    """Another command writes to the folder."""


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
        with _flock_or_lease(path, holder, f'wait for it, end it, or give another {argument}') as check:
            yield check
    finally:
        for each in made:  # which an error may have left empty
            with contextlib.suppress(OSError):
                os.rmdir(each)


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
        with _Lease(path, holder, way_out) as lease:
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
            fields = _parse(os.pread(file, 1 << 16, 0))
            os.close(file)
            if isinstance(error, BlockingIOError):
                raise _in_use(posixpath.dirname(path), fields, way_out) from error
            raise
        os.close(file)


def _check_is_lock(file: int, path: str) -> None:
    """ValueError, with the file closed, if it is somebody's own: it would be emptied and removed."""
    data = os.pread(file, 1 << 16, 0)
    if data and 'token' not in _parse(data):
        os.close(file)
        raise ValueError(f'{path} is no lock of this program, but has the name of one; remove or rename it')


def _has_name(file: int, path: str) -> bool:
    """Whether a path is that of an open file. It is opened: on a network's file system stat may be out of date."""
    try:
        with open(path, 'rb') as named:
            return os.path.sameopenfile(file, named.fileno())
    except FileNotFoundError:
        return False


def _parse(data: bytes) -> dict[str, Any]:
    """What a lock's file says; empty while it is being written."""
    try:
        fields = json.loads(data)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _describe(fields: dict[str, Any]) -> str:
    what, host, pid, since = (fields.get(name, '?') for name in ('what', 'host', 'pid', 'since'))
    return f'{what} (pid {pid} on {host}, since {since})' if fields else 'another command'


def _in_use(folder: str, fields: dict[str, Any], way_out: str) -> InUseError:
    return InUseError(f'{folder} is in use by {_describe(fields)}: {way_out}')


class _Lease:
    """`.lock` as a lease: who holds it and when it was renewed, by the holder's clock.

    A store of objects has no flock, and no file that only one of two can make. So each writes its own, waits for SETTLE
    seconds, and has it if it is still its own.
    """

    def __init__(self, path: str, holder: dict[str, Any], way_out: str):
        self.path, self.holder, self.way_out = path, holder, way_out
        self.folder, self.ended, self.taken_by = posixpath.dirname(path), threading.Event(), ''

    def __enter__(self) -> '_Lease':
        self._wait_for_the_end_of(self._read())
        with contextlib.suppress(FileNotFoundError):  # another writes at the same time; what is read below decides
            self._write()
        sleep(SETTLE)
        fields = self._read()
        if fields.get('token') != self.holder['token']:
            raise _in_use(self.folder, fields, self.way_out)
        self.thread = threading.Thread(target=self._renew, daemon=True)
        self.thread.start()
        self.at_end = signals.at_end(lambda _: self._release())
        self.at_end.__enter__()
        return self

    def __exit__(self, *error) -> None:
        self.at_end.__exit__(None, None, None)
        self.ended.set()
        self.thread.join()
        self._release()
        if not any(error):
            self.check()

    def check(self) -> None:
        """InUseError if the lease was taken over."""
        if self.taken_by:
            raise InUseError(LOST.format(path=self.folder, holder=self.taken_by))

    def renew(self) -> None:
        """Writes the lease again; if it is another's by now, ends the command, or lets `check` raise in a program."""
        fields = self._read()
        if fields.get('token') == self.holder['token']:
            self._write()
        elif not self.ended.is_set():
            self.taken_by = _describe(fields)
            self.ended.set()
            if signals.is_watched():
                signals.end_process(LOST.format(path=self.folder, holder=self.taken_by), 1)

    def _renew(self) -> None:
        while not self.ended.wait(RENEW):
            try:
                self.renew()
            except OSError as error:
                logging.warning('the lease of %s was not renewed, which is tried again: %s', self.folder, error)

    def _release(self) -> None:
        if self._read().get('token') == self.holder['token']:
            storage.remove(self.path)

    def _wait_for_the_end_of(self, fields: dict[str, Any]) -> None:
        """Returns if a lease may be taken over; InUseError if its holder lives."""
        if not fields:
            return
        if _is_gone(fields, self.holder):
            logging.warning('%s was in use by %s, which is gone', self.folder, _describe(fields))
            return
        if now() - float(fields.get('renewed', 0)) < STALE:
            raise _in_use(self.folder, fields, self.way_out)
        logging.warning('%s: the lease of %s is old; is it still renewed?', self.folder, _describe(fields))
        sleep(3 * RENEW)  # its clock may be wrong
        if self._read() not in ({}, fields):
            raise _in_use(self.folder, fields, self.way_out)
        logging.warning('%s is taken over', self.folder)

    def _read(self) -> dict[str, Any]:
        try:
            return _parse(storage.read(self.path))
        except FileNotFoundError:
            return {}

    def _write(self) -> None:
        storage.write(self.path, json.dumps({**self.holder, 'renewed': now()}))


def _is_gone(fields: dict[str, Any], holder: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine that has ended."""
    if not holder['machine'] or any(fields.get(name) != holder[name] for name in ('machine', 'host')):
        return False
    try:
        os.kill(int(fields.get('pid', 0)), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
