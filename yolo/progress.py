"""How far a command is: bars on a terminal and log lines elsewhere; and log lines that stand above bars."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from absl import logging
from tqdm import tqdm

SECONDS = 30  # between log lines


@contextlib.contextmanager
def counter(
    total: int | None,
    unit: str,
    desc: str = '',
    is_quiet: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Callable[[int], None]]:
    """A function that counts on by a number; what is counted is shown while it is entered.

    On a terminal that is a bar; elsewhere a log line every 30 seconds says how far it is. total: None if unknown; unit:
    in the plural; is_quiet: shows nothing.
    """
    start = said = clock()
    count, of = 0, '' if total is None else f' of {total:,}'

    def advance(number: int) -> None:
        nonlocal count, said
        count += number
        bar.update(number)
        now = clock()
        if bar.disable and not is_quiet and now - said >= SECONDS:
            said = now
            name = f'{desc}: ' if desc else ''
            logging.info('%s%s%s %s, %.1f a second', name, f'{count:,}', of, unit, count / (now - start))

    disable = True if is_quiet else None  # None: where there is no terminal
    with tqdm(total=total, unit=f' {unit}', desc=desc or None, disable=disable, dynamic_ncols=True) as bar:
        yield advance


def say(level: int, message: str, *values: object) -> None:
    """A log line of absl's levels, such as logging.WARNING, while bars may be shown."""
    with tqdm.external_write_mode(file=sys.stderr):
        logging.log(level, message, *values)
