"""Reasons from outside to end a run early: a signal, or its time is over."""

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

from absl import logging

from yolo import signals
from yolo.signals import SIGNALS

EXIT_STATUS = 75  # EX_TEMPFAIL: saved, to be started again; of a run that SIGTERM or SIGINT ended
ELSEWHERE = 'another process was told to end'
TIME_LIMIT = 'time limit'
# Added to the sum over processes by one that got a signal; a process whose time is over adds 1.
SIGNALLED = 1 << 20
REASONS = (*(number.name for number in SIGNALS), ELSEWHERE)  # after these the run is to be started again


class Interruption:
    """Records SIGTERM and SIGINT while it is entered, to end the loop after the step; a second one ends it at once.

    Within `signals.watch`, which the command train.py enters, a signal ends the process until `begin` is called. In a
    program that calls the library, the second one does what it did there before.
    """

    def __init__(self, max_hours: float = 0.0):
        self.until = time.monotonic() + 3600 * max_hours if max_hours else float('inf')
        self.received: signal.Signals | None = None
        self.has_begun = False
        self._before: dict = {}
        self._is_unsaid = threading.Lock()

    def __enter__(self) -> 'Interruption':
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signals.is_watched():
            signals.install()
        elif is_main:
            self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def begin(self) -> None:
        """Says that the first step is taken: from here on there is something to save."""
        if not self.has_begun:
            signals.defer(self._record, 'ended at once; the same command goes on from the last checkpoint')
            self.has_begun = True

    def __exit__(self, *error) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """The handler in a program that calls the library."""
        self._record(signal.Signals(number))
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def _record(self, number: signal.Signals) -> None:
        self.received = self.received or number
        if self._is_unsaid.acquire(blocking=False):  # two threads may come here at once
            logging.warning('%s: saving at the end of this step', number.name)

    def reason(self, sum_over_processes: Callable[[float], float]) -> str:
        """Why all processes are to end: one of them got a signal, or its time is over; '' if they are to go on."""
        has_signal, is_late = self.received is not None, time.monotonic() > self.until
        total = sum_over_processes(float(SIGNALLED * has_signal + is_late))
        if total >= SIGNALLED:
            return self.received.name if self.received is not None else ELSEWHERE
        return TIME_LIMIT if total else ''
