"""Names of what is drawn: a file of its own for each source, whatever the sources are called."""

import itertools
import os
import posixpath
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from yolo import storage

TAKEN = ('sheet',)  # names of drawings that mean something else
LONGEST_NAME = 230  # bytes of UTF-8; most file systems allow 255


def drawn_paths(out_dir: str, paths: Sequence[str], suffix: str = '.png') -> dict[str, str]:
    """Where each source goes when it is drawn, by its path: to a file of its own, which is none of the sources.

    Its name is NAME + suffix if no other source has this name; else that of its whole path, with a number if that is
    taken. Names differ in more than capitals, since some file systems do not keep these apart, and are valid UTF-8.
    ValueError if `out_dir` has a source of such a name.
    """
    inputs = {_absolute(path) for path in paths}
    names = _unique({path: _as_name(posixpath.basename(path)) for path in paths}, TAKEN)
    drawn = {path: posixpath.join(out_dir, name + suffix) for path, name in names.items()}
    for path in drawn.values():
        if _absolute(path) in inputs:
            raise ValueError(f'{path} would be overwritten, which is one of the sources; give another --out_dir')
    return drawn


def annotation_paths(folder: str, paths: Sequence[str], suffix: str, taken: Collection[str] = ()) -> dict[str, str]:
    """Where the annotation of each photo goes, by the photo's path: in a folder, to a file of its own.

    Its name is that of the photo with the ending `suffix`, as programs look for it, if no other photo has that name,
    nor is it in `taken`; else that of its whole path.
    """
    names = _unique({path: _as_name(stem(path)) for path in paths}, taken)
    return {path: posixpath.join(folder, name + suffix) for path, name in names.items()}


def stem(path: str) -> str:
    """The name of a file without its ending."""
    return posixpath.splitext(posixpath.basename(path))[0]


def _unique(names: Mapping[str, str], reserved: Collection[str]) -> dict[str, str]:
    """The name of each path, if no other has it, nor is it reserved; else its whole path as a name, or one more."""
    times = Counter(map(_folded, names.values()))
    taken = {_folded(name) for name in reserved} | {name for name, count in times.items() if count == 1}
    unique = {}
    for path, name in names.items():
        if times[_folded(name)] > 1 or _folded(name) in reserved:
            name = _free_name(_as_name(path.strip('./')), taken)
            taken.add(_folded(name))
        unique[path] = name
    return unique


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
