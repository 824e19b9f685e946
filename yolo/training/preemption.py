"""Reasons from outside to end a run early: a signal, or its time is over."""

import signal
import time
from collections.abc import Callable
from types import FrameType

from absl import logging

EXIT_STATUS = 75  # EX_TEMPFAIL: saved, to be started again; of a run that SIGTERM or SIGINT ended
SIGNALS = (signal.SIGTERM, signal.SIGINT)
ELSEWHERE = 'another process was told to end'
TIME_LIMIT = 'time limit'
# Added to the sum over processes by one that got a signal; a process whose time is over adds 1.
SIGNALLED = 1 << 20
REASONS = (*(number.name for number in SIGNALS), ELSEWHERE)  # after these the run is to be started again


class Interruption:
    """Records SIGTERM and SIGINT while it is entered, to end the loop after the step; a second one ends it at once."""

    def __init__(self, max_hours: float = 0.0):
        self.until = time.monotonic() + 3600 * max_hours if max_hours else float('inf')
        self.received: signal.Signals | None = None
        self._before: dict = {}

    def __enter__(self) -> 'Interruption':
        try:
            self._before = {number: signal.signal(number, self._record) for number in SIGNALS}
        except ValueError:  # not the main thread, which alone may handle signals
            self._before = {}
        return self

    def __exit__(self, *error) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _record(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
        logging.warning('%s: saving at the end of this step', self.received.name)
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)

    def reason(self, sum_over_processes: Callable[[float], float]) -> str:
        """Why all processes are to end: one of them got a signal, or its time is over; '' if they are to go on."""
        has_signal, is_late = self.received is not None, time.monotonic() > self.until
        total = sum_over_processes(float(SIGNALLED * has_signal + is_late))
        if total >= SIGNALLED:
            return self.received.name if self.received is not None else ELSEWHERE
        return TIME_LIMIT if total else ''
