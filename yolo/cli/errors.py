"""The errors that end a command with one line, and that line."""

import sys

from absl import flags

LONGEST = 1000  # characters of a line


def expected() -> tuple[type[BaseException], ...]:
    """What bad input, a full disk or lost data raise; anything else is a bug here and keeps its traceback."""
    errors: tuple[type[BaseException], ...] = (ValueError, OSError, FloatingPointError, flags.Error)
    if 'tensorflow' in sys.modules:
        errors = (*errors, sys.modules['tensorflow'].errors.OpError)
    return errors


def one_line(error: BaseException) -> str:
    """What an error says, without line ends, and without the middle of what is too long to be read."""
    text = ' '.join(str(getattr(error, 'message', None) or error).split())
    return text if len(text) <= LONGEST else f'{text[: LONGEST // 2]} ... {text[5 - LONGEST // 2 :]}'
