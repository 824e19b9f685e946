"""What the names in annotations mean: classes by --label_map, before anything else, and --ignore_labels' regions."""

import collections
import dataclasses
from collections.abc import Iterable, Mapping

from yolo import storage
from yolo.data.problems import NOTED, Problem
from yolo.names import check_file_names

MOST_BYTES = 1 << 20  # of a file
MOST_SHOWN = 20  # names in a message
FLAG = '--label_map'

Pairs = tuple[tuple[str, str], ...]  # name in the annotations, name of the class ('': dropped)


@dataclasses.dataclass(frozen=True)
class LabelRules:
    """What names in annotations mean.

    label_map: the class of a name, '' to drop its objects; other names stay as they are. ignored: classes, so renamed,
    that are none: their boxes are ignore regions of any class.
    """

    label_map: Mapping[str, str] = dataclasses.field(default_factory=dict)
    ignored: frozenset[str] = frozenset()

    def rename(self, name: str) -> str:
        """The class of a name: one step, no chain is followed."""
        return self.label_map.get(name, name)

    def rename_all(self, names: list[str]) -> list[str]:
        """The class of each of many names."""
        return list(map(self.rename, names)) if self.label_map else names


AS_ANNOTATED = LabelRules()


def read_map(text: str) -> Pairs:
    """The pairs that --label_map stands for, sorted: `old=new,...`, or a file with `old=new` or old TAB new a line.

    ValueError, with the pair, for one that is neither, a name that is mapped twice, and a class that cannot be a part
    of a file's name.
    """
    if storage.is_file(text):
        pairs = [_pair(line, f'{FLAG}={text}, line {i}') for i, line in enumerate(_lines(text), 1) if line.strip()]
    elif '=' in text:
        pairs = [_pair(part, f'{FLAG}={text}') for part in text.split(',') if part.strip()]
    else:
        raise ValueError(f'{FLAG}={text}: neither old=new,... nor a file with old=new a line')
    if not pairs:
        raise ValueError(f'{FLAG}={text}: it maps no name')
    twice = [name for name, times in collections.Counter(old for old, _ in pairs).items() if times > 1]
    if twice:
        raise ValueError(f'{FLAG}={text}: {twice[0]!r} is mapped twice')
    check_file_names([new for _, new in pairs if new], f'{FLAG}={text}')
    return tuple(sorted(pairs))


def _lines(path: str) -> list[str]:
    try:
        return storage.read(path, MOST_BYTES).decode('utf-8-sig').splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f'{FLAG}={path} is not text in UTF-8 ({error}); save it as that') from error


def _pair(text: str, place: str) -> tuple[str, str]:
    parts = [part.strip() for part in text.split('\t' if '\t' in text else '=')]
    if len(parts) != 2 or not parts[0]:
        raise ValueError(
            f'{place}: {text.strip()!r} is not old=new; names with , or = go into a file, one pair a line, with a tab '
            'in place of the ='
        )
    return parts[0], parts[1]


def say_counts(occurring: Mapping[str, int]) -> str:
    """Names with their numbers of objects, most frequent first: 'cat' (1,234), 'dog' (5)."""
    there = sorted(occurring, key=lambda name: (-occurring[name], name))
    more = f' and {len(there) - MOST_SHOWN:,} more' if len(there) > MOST_SHOWN else ''
    return ', '.join(f'{name!r} ({occurring[name]:,})' for name in there[:MOST_SHOWN]) + more


def say_unknown(
    names: Iterable[str], occurring: Mapping[str, int], flag: str, label_map: Mapping[str, str] = AS_ANNOTATED.label_map
) -> str:
    """What to say of names that a flag gives and no annotation has, '' if all occur; occurring: objects by name.

    label_map: what was applied before, to say what became of a name.
    """
    unknown = [name for name in names if name not in occurring]
    if not unknown:
        return ''
    said = ', '.join(_say_name(name, label_map) for name in unknown[:MOST_SHOWN])
    after = f' after {FLAG}' if label_map else ''
    return f'{flag} names {said}, which no annotation has{after}; there are {say_counts(occurring) or "none"}'


def _say_name(name: str, label_map: Mapping[str, str]) -> str:
    if name not in label_map:
        return repr(name)
    return f'{name!r} ({repr(label_map[name]) if label_map[name] else "dropped"} by {FLAG})'


def say_dropped(split: str, dropped: Mapping[str, int]) -> list[Problem]:
    """One line for each name whose objects were dropped; dropped: objects of a split by name."""
    return [
        Problem(split, '', NOTED, f'{number:,} objects {name!r} were dropped, as {FLAG} says')
        for name, number in sorted(dropped.items())
        if number
    ]
