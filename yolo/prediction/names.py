"""Names of what is drawn: a file of its own for each source, whatever the sources are called."""

import itertools
import os
import posixpath
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence

from yolo import storage

TAKEN = ('sheet',)  # names of drawings that mean something else
LONGEST_NAME = 230  # bytes of UTF-8; most file systems allow 255


def drawn_paths(out_dir: str, paths: Sequence[str], suffix: str = '.png') -> dict[str, str]:
    """Where each source goes when it is drawn, by its path: to a file of its own, which is none of the sources.

    Its name is NAME + suffix if no other source has this name; else that of its whole path, with a number if that is
    taken. Names differ in more than capitals, since some file systems do not keep these apart, and are valid UTF-8.
    ValueError if `out_dir` has a source of such a name.
    """
    paths = list(dict.fromkeys(paths))
    names = {path: _as_name(posixpath.basename(path)) for path in paths}
    times = Counter(map(_folded, names.values()))
    taken = {_folded(name) for name in TAKEN} | {name for name, count in times.items() if count == 1}
    drawn, inputs = {}, {_absolute(path) for path in paths}
    for path in paths:
        name = names[path]
        if times[_folded(name)] > 1 or _folded(name) in TAKEN:
            name = _free_name(_as_name(path.strip('./')), taken)
            taken.add(_folded(name))
        drawn[path] = posixpath.join(out_dir, name + suffix)
        if _absolute(drawn[path]) in inputs:
            raise ValueError(f'{drawn[path]} would be overwritten, which is one of the sources; give another --out_dir')
    return drawn


def _as_name(path: str) -> str:
    """A path as the name of one file: valid UTF-8, and short enough for the endings that follow."""
    name = storage.printable(path).replace('/', '_')
    while len(name.encode()) > LONGEST_NAME:
        name = name[1:]
    return name


def _folded(name: str) -> str:
    """A name as the least exact file systems compare it."""
    return unicodedata.normalize('NFC', name).casefold()


def _free_name(name: str, taken: Collection[str]) -> str:
    """The name, with the first number from 2 on behind it that makes it another one than those taken."""
    candidates = itertools.chain([name], (f'{name}-{number}' for number in itertools.count(2)))
    return next(candidate for candidate in candidates if _folded(candidate) not in taken)


def _absolute(path: str) -> str:
    return path if '://' in path else os.path.realpath(path)
