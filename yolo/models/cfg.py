"""Darknet's .cfg files -> the spelling of a network, and back. (Darknet src/parser.c)"""

import dataclasses
import math

from yolo import storage
from yolo.models.spec import (
    ACTIVATIONS,
    AveragePool,
    Convolution,
    Cost,
    MaxPool,
    Network,
    Options,
    Region,
    Reorg,
    Route,
    Section,
    SectionError,
    Softmax,
    num_weights,
    shapes,
)

MOST_BYTES = 1 << 20  # of a .cfg
MOST_WEIGHTS = 1 << 31  # of a network: 8 GiB; more is a slip of the pen

# What may stand in a section without changing the network's output: it is kept, and written again as it is.
_HARMLESS = {
    'net': (
        'batch subdivisions channels momentum decay learning_rate burn_in max_batches policy step steps scale '
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
# Of those, what is harmless with this one value alone, Darknet's default.
_ONLY = {
    'net': {'channels': 3},
    'convolutional': {'groups': 1, 'binary': 0, 'xnor': 0, 'flipped': 0, 'dontload': 0},
    'reorg': {'reverse': 0, 'flatten': 0, 'extra': 0},
    'softmax': {'groups': 1, 'temperature': 1},
    'region': {'background': 0},
}
_SAME = {'network': 'net', 'conv': 'convolutional', 'max': 'maxpool', 'avg': 'avgpool', 'soft': 'softmax'}


@dataclasses.dataclass
class _Part:
    """A section as written: `place` is file:line; options by name, each with its value and place."""

    kind: str
    place: str
    options: dict[str, tuple[str, str]]

    def number(self, name: str, default: int | None, low: int, high: int = 1 << 20) -> int:
        """Takes a whole number out of the options; without a default it must be there."""
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
            raise ValueError(f'{place}: [{self.kind}] {name}={text}: not a whole number from {low} to {high}')
        return value

    def rest(self) -> Options:
        """What is left of the options if none of it changes the network's output."""
        allowed = _HARMLESS[self.kind].split()
        for name, (text, place) in self.options.items():
            only = _ONLY.get(self.kind, {}).get(name)
            if name not in allowed:
                raise ValueError(
                    f'{place}: [{self.kind}] {name}={text}: this option is not understood, and may change '
                    'what the network computes; take the line out if it does not'
                )
            if only is not None and _float(text) != only:
                raise ValueError(f'{place}: [{self.kind}] {name}={text}: only {name}={only} is understood')
        return tuple((name, text) for name, (text, _) in self.options.items())


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def read(path: str) -> Network:
    """Reads a .cfg of the YOLOv2 family; ValueError, with file and line, if it is not one or not fully understood."""
    try:
        size = storage.size(path)
        if size > MOST_BYTES:
            raise ValueError(f'{path} has {size} bytes: that is not a .cfg')
        return parse(storage.read(path).decode('utf-8-sig'), path)
    except OSError as error:
        raise ValueError(f'{path} cannot be read: {error.strerror or error}') from error
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is not a text: {error}') from error


def parse(text: str, where: str = 'cfg') -> Network:
    """The network that a .cfg's text spells; `where` stands for the file in errors, which are as of `read`."""
    parts = _split(text, where)
    if not parts or parts[0].kind != 'net':
        raise ValueError(
            f'{where}: a .cfg starts with a [net] section'
            + (f', not with [{parts[0].kind}]' if parts else '; this one has no sections')
        )
    head, *body = parts
    size = head.number('height', None, 1, 1 << 14), head.number('width', None, 1, 1 << 14)
    options = head.rest()
    if not body:
        raise ValueError(f'{where}: no sections after [net]')
    sections = tuple(_section(part, index) for index, part in enumerate(body))
    network = Network(sections, size, options)
    for part in body[:-1]:
        if part.kind == 'region':
            raise ValueError(f'{part.place}: [region] must be the last section')
    try:
        shapes(network)
    except SectionError as error:
        raise ValueError(f'{body[error.index].place}: [{body[error.index].kind}] {error}') from error
    if sum(num_weights(network)) > MOST_WEIGHTS:
        raise ValueError(
            f'{where}: {sum(num_weights(network)):,} weights are more than the {MOST_WEIGHTS:,} that are '
            'taken; is a number of filters wrong?'
        )
    return network


def _split(text: str, where: str) -> list[_Part]:
    parts: list[_Part] = []
    for number, line in enumerate(text.splitlines(), 1):
        line, place = ''.join(line.split()), f'{where}:{number}'
        if not line or line[0] in '#;':
            continue
        if line[0] == '[':
            kind = line.strip('[]')
            kind = _SAME.get(kind, kind)
            if line[-1] != ']' or kind not in _HARMLESS or (kind == 'net') != (not parts):
                raise ValueError(
                    f'{place}: the section {line} is not understood'
                    + (' here' if kind == 'net' else f'; there are {", ".join(_HARMLESS)}')
                )
            parts.append(_Part(kind, place, {}))
            continue
        name, equals, value = line.partition('=')
        if not (equals and name) or not parts:
            raise ValueError(f'{place}: {line[:60]!r} is not [section] or option=value')
        if name in parts[-1].options:
            raise ValueError(f'{place}: [{parts[-1].kind}] {name} is there twice')
        parts[-1].options[name] = value, place
    return parts


def _section(part: _Part, index: int) -> Section:
    match part.kind:
        case 'convolutional':
            return _convolution(part)
        case 'maxpool':
            stride = part.number('stride', 1, 1)
            size = part.number('size', stride, 1)
            return MaxPool(size, stride, part.number('padding', size - 1, 0), part.rest())
        case 'route':
            return Route(_layers(part, index), part.rest())
        case 'reorg':
            return Reorg(part.number('stride', 1, 1), part.rest())
        case 'avgpool':
            return AveragePool(part.rest())
        case 'softmax':
            return Softmax(part.rest())
        case 'cost':
            return Cost(part.rest())
        case _:
            part.number('coords', 4, 4, 4)
            if part.number('softmax', 0, 0, 1) != 1:
                raise ValueError(f'{part.place}: [region] only softmax=1 is understood, which is not the default')
            return Region(_anchors(part), part.number('classes', 20, 1), part.rest())


def _convolution(part: _Part) -> Convolution:
    filters, size = part.number('filters', 1, 1), part.number('size', 1, 1, 63)
    stride, pad = part.number('stride', 1, 1), part.number('pad', 0, 0)
    padding = part.number('padding', 0, 0)
    norm = part.number('batch_normalize', 0, 0, 1)
    activation, place = part.options.pop('activation', ('logistic', part.place))
    if activation not in (*ACTIVATIONS, 'linear'):
        raise ValueError(
            f'{place}: [convolutional] activation={activation}: not one of linear, {", ".join(ACTIVATIONS)}'
        )
    return Convolution(filters, size, stride, size // 2 if pad else padding, norm == 1, activation, part.rest())


def _layers(part: _Part, index: int) -> tuple[int, ...]:
    text, place = part.options.pop('layers', ('', part.place))
    try:
        layers = [int(layer) for layer in text.split(',')]
    except ValueError:
        raise ValueError(f'{place}: [route] layers={text}: not a list of whole numbers') from None
    return tuple(layer if layer < 0 else layer - index for layer in layers)  # from 0 on: counted from the start


def _anchors(part: _Part) -> tuple[tuple[float, float], ...]:
    number = part.number('num', 1, 1)
    text, place = part.options.pop('anchors', ('', part.place))
    values = [_float(value) for value in text.split(',')]
    if not all(0 < value < math.inf for value in values) or len(values) != 2 * number:
        raise ValueError(f'{place}: [region] anchors={text}: not the 2 x num={number} numbers above 0')
    return tuple(zip(values[::2], values[1::2], strict=True))


def write(network: Network) -> str:
    """The text of the .cfg of a network: `parse` gives the same network back."""
    height, width = network.image_size
    lines = ['[net]', f'width={width}', f'height={height}', *_lines(network.options)]
    for section in network.sections:
        lines += ['', *_write_section(section), *_lines(section.options)]
    return '\n'.join(lines) + '\n'


def _lines(options: Options) -> list[str]:
    return [f'{name}={value}' for name, value in options]


def _write_section(section: Section) -> list[str]:
    match section:
        case Convolution(filters, size, stride, padding, norm, activation):
            pad = 'pad=1' if padding == size // 2 else f'padding={padding}'
            return [
                '[convolutional]',
                *(['batch_normalize=1'] if norm else []),
                f'filters={filters}',
                f'size={size}',
                f'stride={stride}',
                pad,
                f'activation={activation}',
            ]
        case MaxPool(size, stride, padding):
            return ['[maxpool]', f'size={size}', f'stride={stride}'] + (
                [] if padding == size - 1 else [f'padding={padding}']
            )
        case Route(layers):
            return ['[route]', f'layers={",".join(map(str, layers))}']
        case Reorg(stride):
            return ['[reorg]', f'stride={stride}']
        case Region(anchors, classes):
            # repr: the shortest text that gives the same number back
            return [
                '[region]',
                'anchors=' + ', '.join(f'{w!r},{h!r}' for w, h in anchors),
                f'num={len(anchors)}',
                f'classes={classes}',
                'coords=4',
                'softmax=1',
            ]
        case AveragePool():
            return ['[avgpool]']
        case Softmax():
            return ['[softmax]']
    return ['[cost]']
