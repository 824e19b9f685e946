"""Darknet's .cfg files -> the description of a network, and back. (Darknet src/parser.c)"""

import dataclasses
import math

from yolo import storage
from yolo.geometry.box_convention import BOX_CONVENTIONS, DARKNET, VOC
from yolo.geometry.letterbox import CHANNELS, COLOUR, MOST_SIDE
from yolo.models.cfg_sections import CfgSection, parse_float, read_comment, split
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

BOX_CONVENTION = 'box_convention'  # the comment that says where the network's boxes end
MOST_BYTES = 1 << 20  # of a .cfg
# More than networks of Darknet have; what is over is a typing error. (yolov3.cfg has 107 sections, yolo9000.cfg
# 28,269 filters. Keras fails at some 1,000 layers, and a section can be three of them.)
MOST_SECTIONS = 300
MOST_FILTERS = 1 << 16  # of a convolution, and classes of a region
MOST_SOURCES = 100  # layers of a route, and anchors of a region
MOST_WINDOW = 63  # pixels of a kernel's side, stride and padding
MOST_WEIGHTS = 1 << 31  # of a network: 8 GiB
MOST_VALUES = 1 << 31  # of the output of one section for one image


def read(path: str, box_convention: str = DARKNET) -> Network:
    """Reads a .cfg of the YOLOv2 family; ValueError, with file and line, if it is not one or not fully understood.

    box_convention: of a file without the comment that says it: Darknet's, whose files have none; VOC for what is known
    to be a file of an earlier version of this project, which wrote none.
    """
    try:
        size = storage.size(path)
        if size > MOST_BYTES:
            raise ValueError(f'{path} has {size} bytes: that is not a .cfg')
        return parse(storage.read(path).decode('utf-8-sig'), path, box_convention)
    except OSError as error:
        raise ValueError(f'{path} cannot be read: {error.strerror or error}') from error
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is not a text: {error}') from error


def parse(text: str, file: str = 'cfg', box_convention: str = DARKNET) -> Network:
    """The network that a .cfg's text describes; file: its name in errors, which are those of `read`, as is the rest."""
    sections = split(text, file)
    if not sections or sections[0].kind != 'net':
        instead = f', not with [{sections[0].kind}]' if sections else '; this one has no sections'
        raise ValueError(f'{file}: a .cfg starts with a [net] section{instead}')
    net, *body = sections
    size = net.number('height', None, 1, MOST_SIDE), net.number('width', None, 1, MOST_SIDE)
    channels = _channels(net)
    options = net.remaining()
    if not body:
        raise ValueError(f'{file}: no sections after [net]')
    if len(body) > MOST_SECTIONS:
        raise ValueError(
            f'{body[MOST_SECTIONS].place}: {len(body):,} sections; a network has at most {MOST_SECTIONS:,}'
        )
    convention = read_comment(text, file, BOX_CONVENTION, BOX_CONVENTIONS)
    described = tuple(_section(section, index) for index, section in enumerate(body))
    network = Network(described, size, options, channels, convention or box_convention)
    _check(network, body, file)
    return network if convention else dataclasses.replace(network, convention_doubt=_doubt(network, text))


def _doubt(network: Network, text: str) -> str:
    """Why a network whose text has no comment may have boxes of the other convention; '' if nothing suggests it."""
    is_darknets = network.box_convention == DARKNET
    if not network.is_detector or (is_darknets and text.splitlines() != write(network).splitlines()[1:]):
        return ''  # only an earlier version of `write` gives the very lines of today's, without the comment
    trained, other = ('here', VOC) if is_darknets else ('by Darknet', DARKNET)
    return (
        'an earlier version wrote this model, which does not say where its boxes end; if it was trained '
        f'{trained}, give box_convention={other}'
    )


def _channels(net: CfgSection) -> int:
    """Channels of the images; 3 where a .cfg does not say, which Darknet itself refuses."""
    text, place = net.options.pop('channels', (str(COLOUR), net.place))
    if parse_float(text) not in CHANNELS:
        raise ValueError(f'{place}: [net] channels={text}: only 3 (colour) and 1 (grey) are understood')
    return int(parse_float(text))


def _check(network: Network, body: list[CfgSection], file: str) -> None:
    """ValueError, with file and line, if the sections do not fit each other."""
    for section in body[:-1]:
        if section.kind == 'region':
            raise ValueError(f'{section.place}: [region] must be the last section')
    try:
        outputs = shapes(network)
    except SectionError as error:
        section = body[error.index]
        raise ValueError(f'{section.place}: [{section.kind}] {error}') from error
    for section, output in zip(body, outputs, strict=True):
        if math.prod(output) > MOST_VALUES:
            size = ' x '.join(map(str, output))
            raise ValueError(f'{section.place}: [{section.kind}] gives {size} numbers an image; is a number wrong?')
    total = sum(num_weights(network))
    if total > MOST_WEIGHTS:
        raise ValueError(
            f'{file}: {total:,} weights are more than the {MOST_WEIGHTS:,} that are allowed; '
            'is a number of filters wrong?'
        )


def _section(section: CfgSection, index: int) -> Section:
    match section.kind:
        case 'convolutional':
            return _convolution(section)
        case 'maxpool':
            stride = section.number('stride', 1, 1, MOST_WINDOW)
            size = section.number('size', stride, 1, MOST_WINDOW)
            return MaxPool(size, stride, section.number('padding', size - 1, 0, MOST_WINDOW), section.remaining())
        case 'route':
            return Route(_layers(section, index), section.remaining())
        case 'reorg':
            return Reorg(section.number('stride', 1, 1, MOST_WINDOW), section.remaining())
        case 'avgpool':
            return AveragePool(section.remaining())
        case 'softmax':
            return Softmax(section.remaining())
        case 'cost':
            return Cost(section.remaining())
        case _:
            section.number('coords', 4, 4, 4)
            if section.number('softmax', 0, 0, 1) != 1:
                raise ValueError(f'{section.place}: [region] only softmax=1 is understood, which is not the default')
            return Region(_anchors(section), section.number('classes', 20, 1, MOST_FILTERS), section.remaining())


def _convolution(section: CfgSection) -> Convolution:
    filters, size = section.number('filters', 1, 1, MOST_FILTERS), section.number('size', 1, 1, MOST_WINDOW)
    stride, pad = section.number('stride', 1, 1, MOST_WINDOW), section.number('pad', 0, 0)
    padding = section.number('padding', 0, 0, MOST_WINDOW)
    norm = section.number('batch_normalize', 0, 0, 1)
    activation, place = section.options.pop('activation', ('logistic', section.place))
    if activation not in (*ACTIVATIONS, 'linear'):
        raise ValueError(
            f'{place}: [convolutional] activation={activation}: not one of linear, {", ".join(ACTIVATIONS)}'
        )
    return Convolution(filters, size, stride, size // 2 if pad else padding, norm == 1, activation, section.remaining())


def _layers(section: CfgSection, index: int) -> tuple[int, ...]:
    text, place = section.options.pop('layers', ('', section.place))
    try:
        layers = [int(layer) for layer in text.split(',')]
    except ValueError:
        raise ValueError(f'{place}: [route] layers={text}: not a list of whole numbers') from None
    if len(layers) > MOST_SOURCES:
        raise ValueError(f'{place}: [route] has {len(layers):,} layers; at most {MOST_SOURCES} are allowed')
    return tuple(layer if layer < 0 else layer - index for layer in layers)  # from 0 on: counted from the start


def _anchors(section: CfgSection) -> tuple[tuple[float, float], ...]:
    number = section.number('num', 1, 1, MOST_SOURCES)
    text, place = section.options.pop('anchors', ('', section.place))
    values = [parse_float(value) for value in text.split(',')]
    if not all(0 < value < math.inf for value in values) or len(values) != 2 * number:
        raise ValueError(f'{place}: [region] anchors={text}: not the 2 x num={number} numbers above 0')
    return tuple(zip(values[::2], values[1::2], strict=True))


def write(network: Network) -> str:
    """The text of the .cfg of a network: `parse` gives the same network back."""
    height, width = network.image_size
    lines = [f'# {BOX_CONVENTION}={network.box_convention}'] if network.is_detector else []
    lines += ['[net]', f'width={width}', f'height={height}']
    lines += [f'channels={network.channels}', *_lines(network.options)]
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
