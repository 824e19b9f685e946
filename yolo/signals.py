"""SIGTERM and SIGINT, heeded by a thread of their own: also while the main thread is in a long call of a library.

Python runs a signal's handler in the main thread, between two of its instructions; TensorFlow is imported, traced and
compiled in calls of many seconds. But the signal's number is written to `signal.set_wakeup_fd` at once.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)
SECONDS = 1.0  # that the actions of `at_end` may take together
STOP, SETTLE = 0, 255  # beside numbers of signals

_actions: list[Callable[[str], None]] = []
_watch: '_Watch | None' = None


@contextlib.contextmanager
def watch(name: str, text: str = 'ended', status: int | None = None) -> Iterator[None]:
    """While it is entered, SIGTERM and SIGINT end this process: a line on stderr, the actions of `at_end`, the status.

    name: the command, which begins the line; text: its end; status: 128 + the signal's number by default. Does nothing
    outside of the main thread, which alone may handle signals.
    """
    global _watch
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, _watch = _watch, _Watch(name, text, status)
    try:
        with _watch:
            yield
    finally:
        _watch = before


def is_watched() -> bool:
    """Whether this process is within `watch`."""
    return _watch is not None


def defer(record: Callable[[signal.Signals], None], text: str) -> None:
    """From here to the end of `watch`, a first signal is given to `record`; the next ends the process, with `text`.

    The main thread and the one that watches call `record`, perhaps both at once.
    """
    if _watch is not None:
        with _watch.lock:
            _watch.record, _watch.text, _watch.status = record, text, None


def install() -> None:
    """Takes the signals back, within `watch`: TensorFlow sets a handler of its own when it joins other processes."""
    if _watch is not None:
        for number in SIGNALS:
            signal.signal(number, _watch.handle)


@contextlib.contextmanager
def at_end(action: Callable[[str], None]) -> Iterator[None]:
    """While it is entered, a signal that ends the process calls `action` with its name before; the last one first.

    The action runs in another thread beside the main one, and has SECONDS.
    """
    _actions.append(action)
    try:
        yield
    finally:
        _actions.remove(action)


def settle() -> None:
    """Before an error is printed: does not return if a signal ends the process, whose line is the last."""
    if _watch is not None:
        _watch.settle()


def end_process(text: str, status: int) -> None:
    """Ends this process from any thread, as a signal does: a line on stderr, the actions of `at_end`, the status."""
    if _watch is None:
        raise RuntimeError('end_process works within watch')
    _watch.lock.acquire()  # for ever: the main thread prints nothing more
    _watch.end(text, 'error', status)


class _Watch:
    def __init__(self, name: str, text: str, status: int | None):
        self.name, self.text, self.status = name, text, status
        self.lock = threading.RLock()  # held to the end of the process by the thread that ends it
        self.record: Callable[[signal.Signals], None] | None = None
        self.num_deferred = 0
        self.is_settled = threading.Event()

    def __enter__(self) -> None:
        self.stderr = os.dup(2)  # while TensorFlow is loaded, 2 is another file
        self.receiver, self.sender = socket.socketpair()
        self.sender.setblocking(False)
        self.wakeup_before = signal.set_wakeup_fd(self.sender.fileno(), warn_on_full_buffer=False)
        self.handlers_before = {number: signal.signal(number, self.handle) for number in SIGNALS}
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def __exit__(self, *error) -> None:
        for number, handler in self.handlers_before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self.wakeup_before)
        self.sender.send(bytes([STOP]))
        self.thread.join()
        self.receiver.close()
        self.sender.close()
        os.close(self.stderr)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The handler in the main thread; without one the number would not be written to the socket."""
        self._give(signal.Signals(number))

    def _give(self, number: signal.Signals) -> None:
        if self.record is not None:
            self.record(number)

    def _run(self) -> None:
        while True:
            for number in self.receiver.recv(64):
                if number == STOP:
                    return
                if number == SETTLE:
                    self.is_settled.set()
                elif number in SIGNALS:
                    self._heed(signal.Signals(number))

    def _heed(self, number: signal.Signals) -> None:
        with self.lock:
            is_first = self.record is not None and not self.num_deferred
            self.num_deferred += is_first
            if not is_first:
                status = 128 + number if self.status is None else self.status
                self.end(f'{number.name}: {self.text}', number.name, status)
        self._give(number)

    def settle(self) -> None:
        self.is_settled.clear()
        self.sender.send(bytes([SETTLE]))
        self.is_settled.wait()

    def end(self, text: str, reason: str, status: int) -> None:
        _within(SECONDS / 4, self._clear_bars)
        self._print(text)
        _within(SECONDS, lambda: self._act(reason))
        os._exit(status)

    def _act(self, reason: str) -> None:
        for action in reversed(_actions):
            try:
                action(reason)
            except Exception as error:  # this is the last place that can say it
                self._print(' '.join(str(error).split()))
        sys.stdout.flush()

    def _clear_bars(self) -> None:
        """Removes tqdm's bars from the terminal; to the end of the process none is drawn again."""
        tqdm = sys.modules.get('tqdm')
        if tqdm is not None:
            self.without_bars = tqdm.tqdm.external_write_mode(file=sys.stderr)
            self.without_bars.__enter__()

    def _print(self, text: str) -> None:
        with contextlib.suppress(OSError):  # the terminal may be gone
            os.write(self.stderr, f'{self.name}: {text}\n'.encode())


def _within(seconds: float, function: Callable[[], None]) -> None:
    """Calls a function, but waits no longer: the main thread may hold a lock that it needs."""
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    thread.join(seconds)
