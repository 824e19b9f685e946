"""The lines that TensorFlow prints while it saves or converts, which nobody needs while all is well."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Takes what is printed to standard output and error, C++ included, while it is entered; shown after a bug."""
    _flush()
    saved = {number: os.dup(number) for number in (1, 2) if _is_open(number)}
    with tempfile.TemporaryFile() as lines:
        try:
            for number in saved:
                os.dup2(lines.fileno(), number)
            yield
        except (ValueError, OSError):  # say themselves what is wrong
            raise
        except BaseException:
            lines.seek(0)
            os.write(saved.get(2, lines.fileno()), lines.read())
            raise
        finally:
            _flush()
            for number, before in saved.items():
                os.dup2(before, number)
                os.close(before)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:  # the process has closed it
        return False
    return True
