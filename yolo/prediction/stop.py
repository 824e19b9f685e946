"""Ctrl-C and SIGTERM while sources are read: what is being computed is finished, and all files are made whole."""

import signal
from collections.abc import Iterable, Iterator
from typing import TypeVar

from yolo import signals

T = TypeVar('T')


class Stop:
    """Whether a signal asks to end. Within `signals.watch` the first one is recorded from here on, the next one ends.

    received: the first signal, or None.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        signals.defer(self._record, 'ended at once')

    def _record(self, number: signal.Signals) -> None:
        self.received = self.received or number

    def until(self, items: Iterable[T]) -> Iterator[T]:
        """The items, up to the signal."""
        for item in items:
            if self.received is not None:
                return
            yield item
