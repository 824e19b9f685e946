"""Hostile files and flags by the thousand: whether any of them breaks the program or deceives it without a word.

  python benchmarks/hostile.py --cases=10000
  python benchmarks/hostile.py --kinds=xml,flag --cases=100 --seed=4711

Each case damages one file of a small project, or draws odd flags, and lets the program read it (tests/hostile/). It
is a function of its kind and its seed alone. Counted are, by kind:

  tracebacks  errors that are not one line that says what is wrong; crashes of the process
  hangs       cases that do not end within --seconds
  > 2 GB      cases that take more memory than that
  silent      cases in which a decoder warns or a checksum fails, and the program says nothing

Exit status 1 if there is any of these; the first seeds of each are printed with what was said.
"""

import collections
import dataclasses
import json
import os
import pathlib
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_integer('cases', 10_000, 'Cases, of all kinds together.')
flags.DEFINE_list('kinds', None, 'Kinds of cases; all by default.')
flags.DEFINE_integer('seed', 0, 'Seed of the first case of each kind; the next ones count up.')
flags.DEFINE_integer('seconds', 30, 'After so many seconds a case is taken to hang.')
flags.DEFINE_string('fixture', None, 'Folder of the project to damage, made if it is not there; a temporary one.')
flags.DEFINE_integer('shown', 3, 'Failures of each kind and sort to print.')

ROOT = pathlib.Path(__file__).parent.parent
SCRIPT = ROOT / 'tests' / 'hostile' / 'run_cases.py'
# Kinds that share a process, since it takes some time to load TensorFlow.
KINDS = (
    'xml',
    'source',
    'image',
    'npz',
    'list',
    'shard',
    'json',
    'video',
    'flag',
    'cfg',
    'weights',
    'checkpoint',
    'keras',
)
START = 180  # seconds that a process may take before its first case
FAILURES = ('traceback', 'hang', 'memory', 'silent')


@dataclasses.dataclass(frozen=True)
class Result:
    """What came of a case: good, refused, or one of FAILURES; and what was said."""

    kind: str
    seed: int
    outcome: str
    said: str


def make_fixture(folder: pathlib.Path) -> None:
    """Makes the project to damage, if it is not there; RuntimeError if that fails."""
    if (folder / 'made').exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, SCRIPT, 'make', folder], capture_output=True, text=True, cwd=ROOT, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    (folder / 'made').touch()


def run(
    fixture: pathlib.Path, kinds: Sequence[str], cases: int, seed: int = 0, seconds: float = 30
) -> Iterator[Result]:
    """Runs so many cases of each kind, from `seed` on, in a process that is started again whenever a case ends it."""
    left = [(kind, seed, cases) for kind in kinds]
    while left:
        with tempfile.TemporaryDirectory(dir=fixture) as scratch:
            for result in _run_process(fixture, scratch, left, seconds):
                kind, first, number = left[0]
                assert (result.kind, result.seed) == (kind, first)
                left[:1] = [(kind, first + 1, number - 1)] if number > 1 else []
                yield result


def _run_process(
    fixture: pathlib.Path, scratch: str, parts: Sequence[tuple[str, int, int]], seconds: float
) -> Iterator[Result]:
    """The results of one process, up to the case that ends it."""
    words = [':'.join(map(str, part)) for part in parts]
    process = subprocess.Popen(
        [sys.executable, SCRIPT, 'cases', fixture, scratch, *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    begun: dict = {}
    try:
        for line in _lines(process, seconds):
            message = json.loads(line)
            if 'outcome' in message:
                yield Result(**message)
                begun = {}
            else:
                begun = message
    except TimeoutError:
        if not begun:
            raise
        yield Result(**begun, outcome='hang', said=f'not ended after {seconds:g} s')
        return
    else:
        error = process.communicate()[1].decode(errors='replace')
    finally:
        process.kill()
        process.wait()
    if process.returncode and begun:
        how = signal.Signals(-process.returncode).name if process.returncode < 0 else f'status {process.returncode}'
        yield Result(**begun, outcome='traceback', said=f'the process died: {how} {error[-2000:]}')
    elif process.returncode:
        raise RuntimeError(f'{SCRIPT} failed before its first case: {error}')


def _lines(process: subprocess.Popen, seconds: float) -> Iterator[bytes]:
    """The lines that a process prints; TimeoutError if the next one does not come."""
    assert process.stdout is not None
    selector, rest, limit = selectors.DefaultSelector(), b'', float(START)
    selector.register(process.stdout, selectors.EVENT_READ)
    while True:
        if not selector.select(limit):
            raise TimeoutError
        piece = os.read(process.stdout.fileno(), 1 << 16)
        if not piece:
            return
        *lines, rest = (rest + piece).split(b'\n')
        yield from lines
        limit = seconds


def format_table(results: Sequence[Result]) -> str:
    """The counts by kind."""
    rows: list[tuple[str, ...]] = [('kind', 'cases', 'refused', 'tracebacks', 'hangs', '> 2 GB', 'silent')]
    for kind in dict.fromkeys(result.kind for result in results):
        own = collections.Counter(result.outcome for result in results if result.kind == kind)
        counts = [own.total(), own['refused'], *(own[outcome] for outcome in FAILURES)]
        rows.append((kind, *map(str, counts)))
    columns = [sum(int(row[i]) for row in rows[1:]) for i in range(1, 7)]
    rows.append(('all', *map(str, columns)))
    return '\n'.join(f'{row[0]:<12}' + ''.join(f'{cell:>12}' for cell in row[1:]) for row in rows)


def format_failures(results: Sequence[Result], shown: int) -> str:
    """The first failures of each kind and sort, with the command that repeats each."""
    parts, times = [], collections.Counter[tuple[str, str]]()
    for result in results:
        times[result.kind, result.outcome] += 1
        if result.outcome in FAILURES and times[result.kind, result.outcome] <= shown:
            again = f'python benchmarks/hostile.py --kinds={result.kind} --seed={result.seed} --cases=1'
            parts.append(f'{result.outcome}: {again}\n{result.said.strip()}\n')
    return '\n'.join(parts)


def main(argv: list[str]) -> None:
    """Runs and prints."""
    kinds = FLAGS.kinds or list(KINDS)
    if set(kinds) - set(KINDS):
        raise ValueError(f'--kinds: there are {", ".join(KINDS)}')
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        fixture = pathlib.Path(FLAGS.fixture or temporary).absolute()
        make_fixture(fixture)
        results = []
        for result in run(fixture, kinds, -(-FLAGS.cases // len(kinds)), FLAGS.seed, FLAGS.seconds):
            results.append(result)
            if result.outcome in FAILURES:
                print(f'{result.outcome}: {result.kind} {result.seed}', flush=True)
    print(format_failures(results, FLAGS.shown))
    print(format_table(results))
    print(f'{time.monotonic() - start:.0f} s')
    sys.exit(1 if any(result.outcome in FAILURES for result in results) else 0)


if __name__ == '__main__':
    app.run(main)
