"""When the processes of a run agree about its end."""

import time

from yolo.training.distribution import HostCollective
from yolo.training.preemption import Interruption

AGREEMENT_SECONDS, MOST_STEPS_ALONE = 2.0, 1000


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
        if step < self.next_step:
            return ''
        reason = self.reason_now()
        if not self.collective.is_alone:
            self.next_step = step + int(self.collective.from_chief(self._steps_until_next(step)))
        return reason

    def reason_now(self) -> str:
        """The same, asked for at once: all processes have to call it at the same step."""
        return self.interruption.reason(self.collective.sum)

    def _steps_until_next(self, step: int) -> int:
        now, last = time.monotonic(), self.last
        self.last = step, now
        if last is None or step <= last[0]:
            return 1
        return max(1, min(int(AGREEMENT_SECONDS * (step - last[0]) / (now - last[1])), MOST_STEPS_ALONE))
