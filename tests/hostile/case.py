"""One case: a folder with damaged files, a random generator that decides everything, and what may come of it."""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import sys
import traceback
import zlib
from collections.abc import Callable, Iterator

import fixture
import numpy as np

from benchmarks import peak_memory
from yolo.cli import errors

MOST_BYTES = 2 << 30  # of memory, for a case
LONGEST_LINE = 1100  # characters of an error


class SilentError(Exception):
    """A decoder warns of the file or a checksum fails, and the program says nothing."""


class RefusedError(Exception):
    """A command ended with status 1, as it should if its input is bad."""


class FaultError(Exception):
    """A command ended in another way than with status 0, or with 1 and one line on stderr."""


@dataclasses.dataclass
class Case:
    """rng: its random generator; source: the files of `fixture.make`; folder: its own, empty at first."""

    rng: np.random.Generator
    source: pathlib.Path
    folder: pathlib.Path

    def copy(self, name: str) -> pathlib.Path:
        """A copy of a file or folder of the source; each file is a link: `replace` gives it a content of its own."""
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (self.source / name).is_dir():
            shutil.copytree(self.source / name, target, copy_function=os.link)
        else:
            os.link(self.source / name, target)
        return target

    def replace(self, path: pathlib.Path, data: bytes) -> None:
        """Gives a copied file another content; the source keeps its own."""
        path.unlink()
        path.write_bytes(data)

    def call(self, name: str, *words: str) -> str:
        """Runs a command within this process: its output.

        RefusedError if it ends with status 1 and one line that says why, FaultError if it ends in another way.
        """
        with captured() as output:
            status = fixture.call(name, *words)
        text = output()
        if status not in (0, 1) or 'Traceback' in text:
            raise FaultError(f'{name} ended with status {status}: {text[-1500:]}')
        errors = [line for line in text.splitlines() if line.startswith(f'{fixture.command_of(name).name}: ')]
        if len(errors) > 1 or any(len(line) > LONGEST_LINE for line in errors):
            raise FaultError(f'{name} ended with {len(errors)} lines: {text[-1500:]}')
        if status:
            raise RefusedError(text[-LONGEST_LINE:])
        return text


@contextlib.contextmanager
def captured() -> Iterator[Callable[[], str]]:
    """Gives a function: all that this process, C libraries too, wrote to stdout and stderr inside.

    Both have to be one file, as `run_cases` makes them.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    start = os.fstat(2).st_size

    def output() -> str:
        sys.stdout.flush()
        sys.stderr.flush()
        with open('/proc/self/fd/2', 'rb') as file:
            file.seek(start)
            return file.read().decode(errors='replace')

    yield output


def run(name: str, function: Callable[[Case], None], source: pathlib.Path, folder: pathlib.Path, seed: int) -> dict:
    """Runs a case: its outcome, good (the files were read), refused, traceback, silent or memory; and what was said."""
    folder.mkdir()
    case = Case(np.random.default_rng([seed, zlib.crc32(name.encode())]), source, folder)
    before = peak_memory.reset()
    try:
        function(case)
        outcome, said = 'good', ''
    except SilentError as error:
        outcome, said = 'silent', str(error)
    except MemoryError:
        outcome, said = 'memory', traceback.format_exc()
    except (RefusedError, *errors.expected()) as error:
        outcome, said = 'refused', f'{type(error).__name__}: {error}'
    except BaseException:
        outcome, said = 'traceback', traceback.format_exc()
    used = peak_memory.peak() - before
    if used > MOST_BYTES:
        outcome, said = 'memory', f'{used / 2**30:.1f} GiB; {outcome}: {said}'
    _remove(folder)
    return {'outcome': outcome, 'said': said[-3000:]}


def _remove(folder: pathlib.Path) -> None:
    for path in folder.rglob('*'):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)
    shutil.rmtree(folder)
