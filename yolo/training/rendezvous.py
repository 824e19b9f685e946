"""The meeting of a run's processes before TensorFlow joins them, which waits for ever and is deaf to signals.

All of them connect to the first one, which says who is missing and, once everybody is there, to go on. What they say is
lines of text. The others: `HELLO number cluster`, then HERE every second, at last GOING. The first: `MISSING numbers`
every second, at last GO, or `LATE numbers` when its time is over; or TAKEN, if there is a process of that number
already, or OTHER, if it knows another cluster.
"""

import contextlib
import errno
import json
import socket
import time
import zlib
from collections.abc import Sequence

from absl import logging

from yolo.training.socket_lines import SocketLines

HELLO, HERE, GOING = 'yolo-join', 'here', 'going'
MISSING, GO, LATE, TAKEN, OTHER = 'missing', 'go', 'late', 'taken', 'other'
SLICE = 0.1  # seconds of sleep between two looks, after which Python handles signals
SAY_EVERY, LOG_EVERY = 1.0, 30.0  # seconds
GRACE = 5.0  # seconds


def meet(workers: Sequence[str], number: int, seconds: float) -> None:
    """Returns in every process of a run once all of them are there.

    workers: the address host:port of each; number: of this process among them; seconds: how long to wait. Sleeps and
    listens on its port in short slices of the main thread, so that signals are handled, and logs every 30 s who is
    missing. ConnectionError, with their addresses, if not all come in time or one is lost when all were there; OSError
    if the port cannot be had; ValueError if the first process has another list of workers.
    """
    # The first one's time is over before that of the others, so that all of them name the same.
    until, next_line = time.monotonic() + seconds + GRACE * (number > 0), time.monotonic() + LOG_EVERY
    with _listen(workers[number]) as listener:
        place = _First(listener, workers) if number == 0 else _Other(workers, number)
        with contextlib.closing(place):
            while missing := place.look():
                names, left = _names(workers, missing, place.note), until - time.monotonic()
                if left <= 0 or place.is_late:
                    place.tell(LATE, missing)
                    raise ConnectionError(
                        f'{names} did not come within {seconds / 60:.3g} minutes (--join_timeout); all workers that '
                        'TF_CONFIG names have to be started, each with its own index'
                    )
                if time.monotonic() >= next_line:
                    logging.info('still waiting for %s; %.1f minutes left', names, left / 60)
                    next_line += LOG_EVERY
                time.sleep(SLICE)
            place.leave()


def _names(workers: Sequence[str], numbers: set[int], note: str) -> str:
    return ', '.join(workers[number] for number in sorted(numbers)) + (f' ({note})' if note else '')


def _listen(address: str) -> socket.socket:
    """A socket that listens on the port of an address, as TensorFlow will: on all interfaces."""
    port = int(address.rpartition(':')[2])
    dual = socket.has_dualstack_ipv6()
    try:
        return socket.create_server(
            ('', port), family=socket.AF_INET6 if dual else socket.AF_INET, dualstack_ipv6=dual, backlog=128
        )
    except OSError as error:
        taken = 'taken by another program, or by another process with the same index'
        reason = taken if error.errno == errno.EADDRINUSE else f'not to be had ({error.strerror})'
        raise OSError(
            f'port {port} of this process, {address} in TF_CONFIG, is {reason}; end that, or name another port in the '
            'TF_CONFIG of every worker'
        ) from error


def _cluster(workers: Sequence[str]) -> str:
    """A number that differs for another list of workers."""
    return str(zlib.crc32(json.dumps(list(workers)).encode()))


class _First:
    """The place of the first process, which knows who is there."""

    note, is_late = '', False

    def __init__(self, listener: socket.socket, workers: Sequence[str]):
        listener.setblocking(False)
        self._listener, self._workers, self._said = listener, workers, 0.0
        self._strangers: list[SocketLines] = []  # that have not said who they are
        self._members: dict[int, SocketLines] = {}

    def look(self) -> set[int]:
        """The numbers of the processes that are missing now."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._strangers.append(SocketLines(self._listener.accept()[0]))
        for stranger in list(self._strangers):
            for line in stranger.read()[:1]:
                self._strangers.remove(stranger)
                self._admit(stranger, line)
        for lost in [stranger for stranger in self._strangers if stranger.is_lost]:
            self._strangers.remove(lost)
            lost.close()
        for number, member in list(self._members.items()):
            member.read()
            if member.is_lost:
                self._members.pop(number).close()
        missing = set(range(1, len(self._workers))) - self._members.keys()
        if missing and time.monotonic() - self._said > SAY_EVERY:
            self._said = time.monotonic()
            self.tell(MISSING, missing)
        return missing

    def tell(self, word: str, numbers: set[int]) -> None:
        """Says something to everybody who is there."""
        for member in self._members.values():
            member.write(word, *map(str, sorted(numbers)))

    def _admit(self, stranger: SocketLines, line: str) -> None:
        """Takes a process in by its first line, or closes its connection."""
        word, _, rest = line.partition(' ')
        number, _, cluster = rest.partition(' ')
        if word == HELLO and cluster != _cluster(self._workers):
            stranger.write(OTHER)
        elif word == HELLO and number in map(str, self._members):
            stranger.write(TAKEN)
        elif word == HELLO and number in map(str, range(1, len(self._workers))):
            self._members[int(number)] = stranger
            self._said = 0.0  # so that it knows at once
            return
        stranger.close()

    def leave(self) -> None:
        """Tells everybody to go on, and waits until all have said that they do."""
        waiting = dict(self._members)
        self.tell(GO, set())
        while waiting:
            for number, member in list(waiting.items()):
                if GOING in member.read():
                    del waiting[number]
                elif member.is_lost:
                    raise ConnectionError(
                        f'{self._workers[number]} was there, and was lost when all had come; start all again'
                    )
            time.sleep(SLICE if waiting else 0)

    def close(self) -> None:
        for connection in (*self._strangers, *self._members.values()):
            connection.close()


class _Other:
    """The place of a process that is not the first one."""

    def __init__(self, workers: Sequence[str], number: int):
        self._workers, self._number = workers, number
        self._tried = self._said = 0.0
        self._first: SocketLines | None = None
        self._missing = {0}
        self.note, self.is_late = '', False

    def look(self) -> set[int]:
        """The numbers of the processes that are missing now, as far as the first one has said."""
        if self._first is None and time.monotonic() - self._tried > SAY_EVERY:
            self._tried = time.monotonic()
            self._first = self._connect()
        if self._first is None:
            return {0}
        for line in self._first.read():
            self._take(line)
        if self._missing and self._first.is_lost and not self.is_late:
            self._first.close()
            self._first, self._missing = None, {0}
        elif time.monotonic() - self._said > SAY_EVERY:
            self._said = time.monotonic()
            self._first.write(HERE)
        return self._missing

    def _connect(self) -> SocketLines | None:
        host, _, port = self._workers[0].rpartition(':')
        try:
            connection = socket.create_connection((host.strip('[]'), int(port)), timeout=1.0)
        except OSError as error:  # not started yet, or not to be reached; the timeout of all says when to give up
            self.note = f'{error.strerror or error}; who else is missing, only this one knows'
            return None
        lines = SocketLines(connection)
        lines.write(HELLO, str(self._number), _cluster(self._workers))
        return lines

    def _take(self, line: str) -> None:
        """Does what the first process says."""
        word, *numbers = line.split()[:1000] or ['']
        if word in (MISSING, LATE) and all(
            number.isdecimal() and int(number) < len(self._workers) for number in numbers
        ):
            self._missing, self.note, self.is_late = set(map(int, numbers)), '', word == LATE
        elif word == GO:
            self._missing = set()
        elif word == TAKEN:
            self._missing = {0}
            self.note = f'where another process says that it has index {self._number}'
        elif word == OTHER:
            raise ValueError(
                f'TF_CONFIG names other workers here, {", ".join(self._workers)}, than in the process at '
                f'{self._workers[0]}; it has to be the same everywhere, but for the index'
            )
        else:
            self.note = 'where another program answers'

    def tell(self, word: str, numbers: set[int]) -> None:
        """Nothing: the others know it from the first one."""

    def leave(self) -> None:
        """Says that it goes on."""
        if self._first is not None:
            self._first.write(GOING)

    def close(self) -> None:
        if self._first is not None:
            self._first.close()
