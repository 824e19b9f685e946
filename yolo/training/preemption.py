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
SIGNALLED = 1 << 20  # what a signal counts where processes add up what they know; more than there are processes
REASONS = (*(number.name for number in SIGNALS), ELSEWHERE)  # for which the run is to be started again


class Interruption:
    """Notes SIGTERM and SIGINT while it is entered, for the loop to end after the step; a second one ends at once."""

    def __init__(self, max_hours: float = 0.0):
        self.until = time.monotonic() + 3600 * max_hours if max_hours else float('inf')
        self.received: signal.Signals | None = None
        self._before: dict = {}

    def __enter__(self) -> 'Interruption':
        try:
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        except ValueError:  # not the main thread: signals are somebody else's
            self._before = {}
        return self

    def __exit__(self, *error) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
        logging.warning('%s: saving at the end of this step', self.received.name)
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)

    def reason(self, total: Callable[[float], float]) -> str:
        """Why all processes of the run are to end, '' if they are not; `total` adds up what each of them has."""
        signalled, late = self.received is not None, time.monotonic() > self.until
        told = total(float(SIGNALLED * signalled + late))
        if told >= SIGNALLED:
            return self.received.name if self.received is not None else ELSEWHERE
        return TIME_LIMIT if told else ''
