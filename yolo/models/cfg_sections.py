"""The text of a Darknet .cfg -> its sections with their options, each with file and line. (Darknet src/parser.c)"""

import dataclasses
import math
import re
from collections.abc import Collection

from yolo.models.spec import Options

# What may stand in a section without changing the network's output: it is stored, and written again unchanged.
HARMLESS = {
    'net': (
        'batch subdivisions momentum decay learning_rate burn_in max_batches policy step steps scale '
        'scales power gamma angle aspect saturation exposure hue jitter crop flip min_crop max_crop center '
        'min_ratio max_ratio random time_steps notruth adam B1 B2 eps'
    ),
    'convolutional': 'stopbackward groups binary xnor flipped dontload',
    'maxpool': '',
    'route': 'stopbackward',
    'reorg': 'reverse flatten extra',
    'avgpool': '',
    'softmax': 'groups temperature',
    'cost': 'type scale ratio',
    'region': (
        'background bias_match jitter rescore object_scale noobject_scale class_scale coord_scale '
        'mask_scale absolute thresh random max'
    ),
}
# Those of them that are harmless with this value alone, which is Darknet's default.
ONLY_VALUE = {
    'convolutional': {'groups': 1, 'binary': 0, 'xnor': 0, 'flipped': 0, 'dontload': 0},
    'reorg': {'reverse': 0, 'flatten': 0, 'extra': 0},
    'softmax': {'groups': 1, 'temperature': 1},
    'region': {'background': 0},
}
SHORT_NAMES = {'network': 'net', 'conv': 'convolutional', 'max': 'maxpool', 'avg': 'avgpool', 'soft': 'softmax'}


@dataclasses.dataclass
class CfgSection:
    """A section as written. place: file:line of its [name]; options: by name, each with its value and its place."""

    kind: str
    place: str
    options: dict[str, tuple[str, str]]

    def number(self, name: str, default: int | None, low: int, high: int = 1 << 20) -> int:
        """Takes a whole number out of the options; ValueError if it is missing without a default, or out of bounds."""
        if name not in self.options:
            if default is None:
                raise ValueError(f'{self.place}: [{self.kind}] has no {name}')
            return default
        text, place = self.options.pop(name)
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise ValueError(f'{place}: [{self.kind}] {name}={text[:60]}: not a whole number from {low:,} to {high:,}')
        return value

    def remaining(self) -> Options:
        """The options that were not taken; ValueError if one of them may change the network's output."""
        for name, (text, place) in self.options.items():
            only = ONLY_VALUE.get(self.kind, {}).get(name)
            if name not in HARMLESS[self.kind].split():
                raise ValueError(
                    f'{place}: [{self.kind}] {name}={text}: this option is not understood, and may change '
                    'what the network computes; take the line out if it does not'
                )
            if only is not None and parse_float(text) != only:
                raise ValueError(f'{place}: [{self.kind}] {name}={text}: only {name}={only} is understood')
        return tuple((name, text) for name, (text, _) in self.options.items())


def parse_float(text: str) -> float:
    """The number that a text means; nan if it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def read_comment(text: str, file: str, name: str, choices: Collection[str]) -> str:
    """The value of the comment `# name=value` in a .cfg's text, one of `choices`; '' if it has none.

    Darknet skips comments. Written by hand, `## Name: VALUE` is the same. ValueError, with file and line, for another
    value, and for two that differ.
    """
    found = ''
    for number, line in enumerate(text.splitlines(), 1):
        comment = re.fullmatch(rf'\s*[#;]+\s*{name}\s*[=:](.*)', line, re.IGNORECASE)
        value = comment[1].strip().lower() if comment else found
        if comment and value not in choices:
            raise ValueError(f'{file}:{number}: {name}={value[:60]}: not one of {", ".join(choices)}')
        if found and value != found:
            raise ValueError(f'{file}:{number}: {name}={value}, but a line above says {found}')
        found = value
    return found


def split(text: str, file: str) -> list[CfgSection]:
    """The sections of a .cfg's text, [net] first; ValueError with file and line for anything else."""
    sections: list[CfgSection] = []
    for number, line in enumerate(text.splitlines(), 1):
        line, place = ''.join(line.split()), f'{file}:{number}'
        if not line or line[0] in '#;':
            continue
        if line[0] == '[':
            sections.append(CfgSection(_kind(line, place, is_first=not sections), place, {}))
            continue
        name, equals, value = line.partition('=')
        if not (equals and name) or not sections:
            raise ValueError(f'{place}: {line[:60]!r} is not [section] or option=value')
        if name in sections[-1].options:
            raise ValueError(f'{place}: [{sections[-1].kind}] {name} is there twice')
        sections[-1].options[name] = value, place
    return sections


def _kind(line: str, place: str, is_first: bool) -> str:
    """The kind of the section that a line such as [conv] starts."""
    name = line.strip('[]')
    kind = SHORT_NAMES.get(name, name)
    if line[-1] != ']' or kind not in HARMLESS or (kind == 'net') != is_first:
        reason = ' here' if kind == 'net' else f'; there are {", ".join(HARMLESS)}'
        raise ValueError(f'{place}: the section {line} is not understood{reason}')
    return kind
