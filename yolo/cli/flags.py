"""What the commands share: bad input becomes one line and exit code 1."""

import contextlib
import sys
from collections.abc import Iterator

from absl import app, flags, logging


@contextlib.contextmanager
def errors_as_lines(*more: type[Exception]) -> Iterator[None]:
    """Logs a ValueError, OSError, flags.Error, or one of `more`, as a line and exits with 1."""
    errors: tuple[type[Exception], ...] = (ValueError, OSError, flags.Error, *more)
    try:
        yield
    except errors as error:
        logging.error('%s', error)
        sys.exit(1)


def refuse_words(argv: list[str]) -> None:
    """app.UsageError if a command line, without its flags, has more than the command's name."""
    if len(argv) > 1:
        raise app.UsageError(f'unexpected arguments: {" ".join(argv[1:])}')
