"""Darknet's .weights files: numbers of the convolutions, in the order of the network. (Darknet src/parser.c)

A header: int32 major, minor, revision, then `seen`, the number of images of the training, as int64 (int32 before
version 0.2). Then for each convolution, all float32: biases; with batch norm its scales, moving mean and moving
variance; the kernel as (out, in, height, width). A file may end after any convolution: it then holds a backbone.
"""

import dataclasses

import numpy as np

from yolo import storage
from yolo.geometry.letterbox import CHANNELS, GREY
from yolo.models.build import DarknetModel
from yolo.models.channels import kernel_for_channels
from yolo.models.spec import Convolution, Network, num_weights

VERSION = (0, 2, 0)  # what is written
WHOLE, PART = 'whole', 'part'


@dataclasses.dataclass(frozen=True)
class Loaded:
    """What was read into a model.

    loaded, random: names of the convolutions whose weights were read, and of those that keep their random ones; seen:
    images of the training, as the file says; note: what was done to weights that were for images of other channels.
    """

    loaded: tuple[str, ...]
    random: tuple[str, ...]
    seen: int
    note: str = ''

    def __str__(self) -> str:
        total = len(self.loaded) + len(self.random)
        text = f'{len(self.loaded)} of {total} convolutions loaded'
        if self.loaded:
            text += f': {", ".join(self.loaded)}'
        text += f'; random weights: {", ".join(self.random)}' if self.random else ''
        return text + (f'; {self.note}' if self.note else '')


def read(model: DarknetModel, path: str, allow_different_head: bool = False) -> Loaded:
    """Reads a .weights file into a model, as many convolutions as the file holds; the others stay as they are.

    allow_different_head: the file may belong to a detector with other classes or anchors; then its last convolution is
    skipped. ValueError for a file that ends inside a convolution (named), is longer than the network or is no .weights
    file; the model is not changed then. Not more is read than the network needs.
    """
    try:
        length = storage.size(path)
        with storage.reader(path) as file:
            header, seen = _header(file.read(min(length, 20)), path)
            count = _check_length(model.network, path, length - header, allow_different_head)
            file.seek(header)
            new_values: list[tuple] = []
            for index, conv, norm in model.convolutions()[:count]:
                new_values += _read_layer(file, conv, norm, f'{path}, {_name(index)}')
    except OSError as error:
        raise ValueError(f'{path} cannot be read: {error.strerror or error}') from error
    for weight, value in new_values:
        weight.assign(value)
    names = [_name(index) for index, _, _ in model.convolutions()]
    model.seen = seen
    return Loaded(tuple(names[:count]), tuple(names[count:]), seen)


def read_of_any_channels(model: DarknetModel, path: str) -> Loaded:
    """The same with allow_different_head; the file may also be of a network for grey images, or for colour ones.

    Its length decides. ValueError if that could be either, and the model's is grey.
    """
    (channels,) = set(CHANNELS) - {model.network.channels}
    other = dataclasses.replace(model.network, channels=channels)
    own_fit, other_fit = (find_fit(network, path) for network in (model.network, other))
    if not other_fit or own_fit == WHOLE or (own_fit and channels == GREY):
        return read(model, path, allow_different_head=True)
    if own_fit and other_fit != WHOLE:
        raise ValueError(
            f'{path} may be of a network for grey images or for colour ones, by its length: give the folder that '
            '`yolo convert --cfg --weights --model_dir_out` makes of it'
        )
    source = DarknetModel(other)
    loaded = read(source, path, allow_different_head=True)
    copied = copy(source, model, len(loaded.loaded))
    model.seen = loaded.seen
    return dataclasses.replace(loaded, note=copied.note)


def find_fit(network: Network, path: str) -> str:
    """How a .weights file fits a network by its length: WHOLE, PART (of it, or with another head), or ''."""
    try:
        length = storage.size(path)
        with storage.reader(path) as file:
            length -= _header(file.read(min(length, 20)), path)[0]
        _check_length(network, path, length, allow_different_head=True)
    except (OSError, ValueError):  # `read` says it
        return ''
    return WHOLE if length == 4 * sum(num_weights(network)) else PART


def check_whole(network: Network, path: str) -> None:
    """ValueError if a .weights file is not exactly as long as a network needs it, or is no such file."""
    length, needed = storage.size(path), 4 * sum(num_weights(network))
    with storage.reader(path) as file:
        header, _ = _header(file.read(min(length, 20)), path)
    if length - header != needed:
        raise ValueError(
            f'{path} has {length - header:,} bytes of weights, the network {needed:,}: it is cut off, a backbone only, '
            'or belongs to another network'
        )


def _name(index: int) -> str:
    return f'conv_{index}'


def _header(data: bytes, path: str) -> tuple[int, int]:
    """Length of the header in bytes, and its `seen`."""
    if len(data) < 16:
        raise ValueError(f'{path} has {len(data)} bytes: not even the header of a .weights file')
    major, minor, revision = (int(value) for value in np.frombuffer(data, '<i4', 3))
    if not (0 <= major < 100 and 0 <= minor < 100 and 0 <= revision < 1000):
        raise ValueError(f'{path} is no .weights file: its header says version {major}.{minor}.{revision}')
    has_long_seen = 10 * major + minor >= 2
    if has_long_seen and len(data) < 20:
        raise ValueError(f'{path} has {len(data)} bytes: it ends in the header')
    seen = int(np.frombuffer(data, '<i8' if has_long_seen else '<i4', 1, 12)[0])
    return (20 if has_long_seen else 16), seen


def _check_length(network: Network, path: str, length: int, allow_different_head: bool) -> int:
    """How many convolutions a file with `length` bytes after its header holds; ValueError if one is cut."""
    numbers = num_weights(network)  # per section
    convolutions = [(i, section) for i, section in enumerate(network.sections) if isinstance(section, Convolution)]
    last = convolutions[-1][0]
    left = length
    for count, (index, conv) in enumerate(convolutions):
        needed = 4 * numbers[index]
        bytes_per_filter = needed // conv.filters
        is_other_head = index == last and left != needed and left % bytes_per_filter == 0
        if left == 0 or (allow_different_head and is_other_head):
            return count
        if left < needed:
            raise ValueError(
                f'{path} ends inside of {_name(index)}, convolution {count + 1} of {len(convolutions)}: '
                f'of its {needed:,} bytes there are {left:,}; it is cut off or belongs to another network'
            )
        left -= needed
    if left:
        raise ValueError(
            f'{path} is {left:,} bytes longer than the network: it belongs to another one (or to one with other '
            f'classes or anchors: then the last convolution, {_name(last)}, differs)'
        )
    return len(convolutions)


def _vectors(conv, norm) -> tuple:
    """The weights that stand before the kernel of a layer, in the file's order."""
    return (conv.bias,) if norm is None else (norm.beta, norm.gamma, norm.mean, norm.variance)


def _read_layer(file, conv, norm, place: str) -> list[tuple]:
    """Each weight of a layer with its value in the file, which is read on from where it is."""
    height, width, inputs, filters = conv.kernel.shape

    def take(*shape: int) -> np.ndarray:
        data = file.read(4 * int(np.prod(shape)))
        if len(data) != 4 * int(np.prod(shape)):
            raise ValueError(f'{place}: the file became shorter while it was read')
        values = np.frombuffer(data, '<f4').reshape(shape)
        if not np.isfinite(values).all():
            raise ValueError(f'{place}: a number is not finite')
        return values

    vectors = [(weight, take(filters)) for weight in _vectors(conv, norm)]
    return [*vectors, (conv.kernel, take(filters, inputs, height, width).transpose(2, 3, 1, 0))]


def write(model: DarknetModel, path: str, num_convolutions: int | None = None) -> None:
    """Writes the weights of a model's first `num_convolutions` (None: all of them), atomically.

    ValueError if the model has not so many.
    """
    check_count(model, num_convolutions)
    convolutions = model.convolutions()
    with storage.writer(path) as file:
        file.write(np.array(VERSION, '<i4').tobytes() + np.array(model.seen, '<i8').tobytes())
        for _, conv, norm in convolutions[:num_convolutions]:
            for weight in _vectors(conv, norm):
                file.write(weight.numpy().astype('<f4').tobytes())
            file.write(np.ascontiguousarray(conv.kernel.numpy().transpose(3, 2, 0, 1), '<f4').tobytes())


def check_count(model: DarknetModel, num_convolutions: int | None) -> None:
    """ValueError if a model has not so many convolutions to write."""
    number = len(model.convolutions())
    if num_convolutions is not None and not 0 < num_convolutions <= number:
        raise ValueError(f'{num_convolutions} convolutions cannot be written, the network has {number}')


def copy(source: DarknetModel, target: DarknetModel, count: int | None = None) -> Loaded:
    """Copies convolutions in order from one model into another, those of equal shape; the others stay as they are.

    count: only so many from the start. If their images have other numbers of channels, the first kernel is made to give
    the same for grey images.
    """
    loaded: list[str] = []
    random: list[str] = []
    note = ''
    pairs = list(zip(source.convolutions(), target.convolutions(), strict=False))[:count]
    for number, ((_, conv, norm), (index, other_conv, other_norm)) in enumerate(pairs):
        values = [weight.numpy() for weight in (*conv.weights, *(norm.weights if norm else ()))]
        others = [*other_conv.weights, *(other_norm.weights if other_norm else ())]
        channels = source.network.channels, target.network.channels
        if number == 0 and channels[0] != channels[1]:
            values[0], done = kernel_for_channels(values[0], channels[1])
        fits = [value.shape for value in values] == [tuple(weight.shape) for weight in others]
        for value, other in zip(values, others, strict=True) if fits else ():
            other.assign(value)
        if fits and number == 0 and channels[0] != channels[1]:
            note = f'{_name(index)} was for images with {channels[0]} channels: {done}'
        (loaded if fits else random).append(_name(index))
    random += [_name(index) for index, _, _ in target.convolutions()[len(pairs) :]]
    return Loaded(tuple(loaded), tuple(random), source.seen, note)
