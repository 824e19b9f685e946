"""Reasons from outside to end a run early: a signal, or its time is over."""

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

from absl import logging

from yolo import signals
from yolo.signals import SIGNALS
from yolo.training.distribution import HostCollective

AGREEMENT_SECONDS, MOST_STEPS_ALONE = 2.0, 1000
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


class Agreement:
    """The reason for which all processes of a run are to end, asked for after every step.

    One process looks at once. Several have to exchange something for it, which waits for their devices: they do so
    every AGREEMENT_SECONDS or so, after a number of steps that the first one chooses for all.
    """

    def __init__(self, interruption: Interruption, collective: HostCollective):
        self.interruption, self.collective = interruption, collective
        self.last: tuple[int, float] | None = None  # step and time of the last exchange
        self.next_step = 0

    def reason(self, step: int) -> str:
        """Why all are to end after this step; '' if they are to go on."""
        if self.collective.is_alone:
            return self.interruption.reason(self.collective.sum)
        if step < self.next_step:
            return ''
        reason = self.interruption.reason(self.collective.sum)
        self.next_step = step + int(self.collective.from_chief(self._steps_until_next(step)))
        return reason

    def _steps_until_next(self, step: int) -> int:
        now, last = time.monotonic(), self.last
        self.last = step, now
        if last is None or step <= last[0]:
            return 1
        return max(1, min(int(AGREEMENT_SECONDS * (step - last[0]) / (now - last[1])), MOST_STEPS_ALONE))
