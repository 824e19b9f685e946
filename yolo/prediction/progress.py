"""Progress bars on a terminal, and log lines that stand above them."""

import sys

from absl import logging
from tqdm import tqdm


def make_bar(total: int | None, unit: str, desc: str | None = None) -> tqdm:
    """A bar that is shown on a terminal alone; total: None if unknown."""
    return tqdm(total=total, unit=unit, desc=desc, disable=None, dynamic_ncols=True)


def say(level: int, message: str, *values: object) -> None:
    """A log line of absl's levels, such as logging.WARNING, while bars may be shown."""
    with tqdm.external_write_mode(file=sys.stderr):
        logging.log(level, message, *values)
