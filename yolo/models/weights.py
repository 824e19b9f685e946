"""Darknet's .weights files: numbers of the convolutions, in the order of the network. (Darknet src/parser.c)

A header of int32 major, minor, revision and `seen`, the images of training, as int64 (int32 before version 0.2). Then
for each convolution, all float32: biases; with batch norm its scales, moving mean and moving variance; the kernel as
(out, in, height, width). A file may end after any convolution.
"""

import dataclasses

import numpy as np

from yolo import storage
from yolo.models.build import DarknetModel
from yolo.models.spec import num_weights

VERSION = (0, 2, 0)  # what is written


@dataclasses.dataclass(frozen=True)
class Loaded:
    """What was read into a model: names of the convolutions that were loaded, and of the others; images seen."""

    loaded: tuple[str, ...]
    drawn: tuple[str, ...]
    seen: int

    def __str__(self) -> str:
        total = len(self.loaded) + len(self.drawn)
        text = f'{len(self.loaded)} of {total} convolutions loaded'
        if self.loaded:
            text += f': {", ".join(self.loaded)}'
        return text + (f'; drawn anew: {", ".join(self.drawn)}' if self.drawn else '')


def read(model: DarknetModel, path: str, allow_different_head: bool = False) -> Loaded:
    """Reads a .weights file into a model, as many convolutions as the file holds; the others stay as they are.

    allow_different_head: the file may be of a detector with other classes or anchors: then its last convolution is passed over.
    ValueError, with the convolution, for a file that ends inside of one or is longer than the network, and for one
    that is no .weights file; nothing is changed then. No more is read than the network needs.
    """
    try:
        length = storage.size(path)
        with storage.reader(path) as file:
            header, seen = _header(file.read(min(length, 20)), path)
            count = _check_length(model, path, length - header, allow_different_head)
            file.seek(header)
            read = [
                pair
                for index, conv, norm in model.convolutions()[:count]
                for pair in _read_layer(file, conv, norm, f'{path}, {_name(index)}')
            ]
    except OSError as error:
        raise ValueError(f'{path} cannot be read: {error.strerror or error}') from error
    for weight, value in read:
        weight.assign(value)
    names = [_name(index) for index, _, _ in model.convolutions()]
    model.seen = seen
    return Loaded(tuple(names[:count]), tuple(names[count:]), seen)


def _name(index: int) -> str:
    return f'conv_{index}'


def _header(data: bytes, path: str) -> tuple[int, int]:
    """Bytes of the header, and `seen`."""
    if len(data) < 16:
        raise ValueError(f'{path} has {len(data)} bytes: not even the header of a .weights file')
    major, minor, revision = (int(value) for value in np.frombuffer(data, '<i4', 3))
    if not (0 <= major < 100 and 0 <= minor < 100 and 0 <= revision < 1000):
        raise ValueError(f'{path} is no .weights file: its header says version {major}.{minor}.{revision}')
    long = 10 * major + minor >= 2
    if long and len(data) < 20:
        raise ValueError(f'{path} has {len(data)} bytes: it ends in the header')
    seen = int(np.frombuffer(data, '<i8' if long else '<i4', 1, 12)[0])
    return (20 if long else 16), seen


def _check_length(model: DarknetModel, path: str, length: int, allow_different_head: bool) -> int:
    """How many convolutions the file holds, if it holds whole ones."""
    numbers = num_weights(model.network)
    convolutions = model.convolutions()
    last = convolutions[-1][0]
    left = length
    for count, (index, conv, _) in enumerate(convolutions):
        needed = 4 * numbers[index]
        a_filter = needed // conv.filters
        if left == 0 or (allow_different_head and index == last and left != needed and left % a_filter == 0):
            return count
        if left < needed:
            raise ValueError(
                f'{path} ends inside of {_name(index)}, convolution {count + 1} of {len(convolutions)}: '
                f'of its {needed:,} bytes there are {left:,}; it is cut off or of another network'
            )
        left -= needed
    if left:
        raise ValueError(
            f'{path} is {left:,} bytes longer than the network: it is of another one (or of other classes '
            f'or anchors: then the last convolution, {_name(last)}, differs)'
        )
    return len(convolutions)


def _vectors(conv, norm) -> tuple:
    """What stands before the kernel of a layer, in the file's order."""
    return (conv.bias,) if norm is None else (norm.beta, norm.gamma, norm.mean, norm.variance)


def _read_layer(file, conv, norm, place: str) -> list[tuple]:
    """Each weight of a layer with what it shall be."""
    height, width, inputs, filters = conv.kernel.shape

    def take(*shape: int) -> np.ndarray:
        data = file.read(4 * int(np.prod(shape)))
        if len(data) != 4 * int(np.prod(shape)):
            raise ValueError(f'{place}: the file became shorter while it was read')
        values = np.frombuffer(data, '<f4').reshape(shape)
        if not np.isfinite(values).all():
            raise ValueError(f'{place}: a number is not finite')
        return values

    found = [(weight, take(filters)) for weight in _vectors(conv, norm)]
    return [*found, (conv.kernel, take(filters, inputs, height, width).transpose(2, 3, 1, 0))]


def write(model: DarknetModel, path: str, num_convolutions: int | None = None) -> None:
    """Writes the weights of a model, of its first `num_convolutions` (None: of all); whole or not at all.

    ValueError if there are not so many.
    """
    convolutions = model.convolutions()
    if num_convolutions is not None and not 0 < num_convolutions <= len(convolutions):
        raise ValueError(f'{num_convolutions} convolutions cannot be written, the network has {len(convolutions)}')
    with storage.writer(path) as file:
        file.write(np.array(VERSION, '<i4').tobytes() + np.array(model.seen, '<i8').tobytes())
        for _, conv, norm in convolutions[:num_convolutions]:
            for weight in _vectors(conv, norm):
                file.write(weight.numpy().astype('<f4').tobytes())
            file.write(np.ascontiguousarray(conv.kernel.numpy().transpose(3, 2, 0, 1), '<f4').tobytes())


def copy(source: DarknetModel, target: DarknetModel) -> Loaded:
    """Copies convolutions in order from one model into another, those of equal shape; the others stay as they are."""
    loaded: list[str] = []
    drawn: list[str] = []
    pairs = list(zip(source.convolutions(), target.convolutions(), strict=False))
    for (_, conv, norm), (index, other_conv, other_norm) in pairs:
        weights = [*conv.weights, *(norm.weights if norm else ())]
        others = [*other_conv.weights, *(other_norm.weights if other_norm else ())]
        fits = [weight.shape for weight in weights] == [weight.shape for weight in others]
        for weight, other in zip(weights, others, strict=True) if fits else ():
            other.assign(weight)
        (loaded if fits else drawn).append(_name(index))
    drawn += [_name(index) for index, _, _ in target.convolutions()[len(pairs) :]]
    return Loaded(tuple(loaded), tuple(drawn), source.seen)
