"""A lease on a folder that has no flock: a file that its holder renews, and what such a file says."""

import contextlib
import json
import math
import os
import posixpath
import threading
from time import sleep
from time import time as now
from typing import Any

from absl import logging

from yolo import signals, storage

RENEW, SETTLE, STALE = 20.0, 1.0, 300.0  # seconds: between renewals, for another writer to show up, until a takeover
LOST = 'another command took {path} over ({holder}), since this one had not renewed its lease: nothing more is written'


class InUseError(OSError):
    """Another command writes to the folder."""


def parse(data: bytes) -> dict[str, Any]:
    """What the file of a lock or a lease says; empty while it is being written."""
    try:
        fields = json.loads(data)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def describe(fields: dict[str, Any]) -> str:
    """The holder in words."""
    what, host, pid, since = (fields.get(name, '?') for name in ('what', 'host', 'pid', 'since'))
    return f'{what} (pid {pid} on {host}, since {since})' if fields else 'another command'


def in_use(folder: str, fields: dict[str, Any], way_out: str) -> InUseError:
    """The error of who does not get the folder."""
    return InUseError(f'{folder} is in use by {describe(fields)}: {way_out}')


class Lease:
    """`.lock` as a lease: who holds it and when it was renewed, by the holder's clock.

    A store of objects has no flock, and no file that only one of two can make. So each writes its own, waits for SETTLE
    seconds, and has it if it is still its own.
    """

    def __init__(self, path: str, holder: dict[str, Any], way_out: str):
        self.path, self.holder, self.way_out = path, holder, way_out
        self.folder, self.ended, self.taken_by = posixpath.dirname(path), threading.Event(), ''

    def __enter__(self) -> 'Lease':
        self._wait_for_the_end_of(self._read())
        with contextlib.suppress(FileNotFoundError):  # another writes at the same time; what is read below decides
            self._write()
        sleep(SETTLE)
        fields = self._read()
        if fields.get('token') != self.holder['token']:
            raise in_use(self.folder, fields, self.way_out)
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
            self.taken_by = describe(fields)
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
            logging.warning('%s was in use by %s, which is gone', self.folder, describe(fields))
            return
        if now() - _number(fields.get('renewed')) < STALE:
            raise in_use(self.folder, fields, self.way_out)
        logging.warning('%s: the lease of %s is old; is it still renewed?', self.folder, describe(fields))
        sleep(3 * RENEW)  # its clock may be wrong
        if self._read() not in ({}, fields):
            raise in_use(self.folder, fields, self.way_out)
        logging.warning('%s is taken over', self.folder)

    def _read(self) -> dict[str, Any]:
        try:
            return parse(storage.read(self.path))
        except FileNotFoundError:
            return {}

    def _write(self) -> None:
        storage.write(self.path, json.dumps({**self.holder, 'renewed': now()}))


def _number(value: Any) -> float:
    """A number that a lease holds; 0, which is long ago, for anything else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < 1e15 and math.isfinite(value) else 0.0


def _is_gone(fields: dict[str, Any], holder: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine that has ended."""
    if not holder['machine'] or any(fields.get(name) != holder[name] for name in ('machine', 'host')):
        return False
    pid = _number(fields.get('pid'))
    if not 1 <= pid < 2**31:  # no process has such a number, or it is not one
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
