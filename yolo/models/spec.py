"""The description of a network: Darknet's sections in order, their options, and what follows from them.

Every reader, writer and builder works from a `Network`: `cfg` (Darknet's .cfg), `weights` (Darknet's .weights) and
`build` (the Keras model). The networks that have names are in `architectures`.
"""

import dataclasses
from collections.abc import Sequence

from yolo.geometry.box_convention import VOC
from yolo.geometry.image_sizes import STRIDE as STRIDE
from yolo.geometry.letterbox import COLOUR

ACTIVATIONS = ('leaky', 'relu', 'logistic')  # beside linear
LEAKY_SLOPE = 0.1  # of leaky, for negative numbers

Options = tuple[tuple[str, str], ...]  # name and value in a .cfg, of options that do not change the network's output
Shape = tuple[int, int, int]  # height, width, channels


@dataclasses.dataclass(frozen=True)
class Convolution:
    """Convolution of `filters` kernels of `size` x `size`, after `padding` zeros on every side; norm: batch norm."""

    filters: int
    size: int = 3
    stride: int = 1
    padding: int = 1
    norm: bool = True
    activation: str = 'leaky'  # one of ACTIVATIONS, or linear
    options: Options = ()


@dataclasses.dataclass(frozen=True)
class MaxPool:
    """Max pooling; `padding` rows and columns of -inf, padding // 2 of them at the top and left, the rest opposite."""

    size: int = 2
    stride: int = 2
    padding: int = 1
    options: Options = ()


@dataclasses.dataclass(frozen=True)
class Route:
    """The outputs of earlier sections, concatenated by channel; layers: relative to this section, -1 is the last."""

    layers: tuple[int, ...]
    options: Options = ()


@dataclasses.dataclass(frozen=True)
class Reorg:
    """Darknet's [reorg] section: `stride` x `stride` pixels become channels of one pixel."""

    stride: int = 2
    options: Options = ()


@dataclasses.dataclass(frozen=True)
class AveragePool:
    """The mean over all rows and columns."""

    options: Options = ()


@dataclasses.dataclass(frozen=True)
class Softmax:
    """Softmax over the classes of a classifier."""

    options: Options = ()


@dataclasses.dataclass(frozen=True)
class Cost:
    """The loss of a classifier; its output is its input."""

    options: Options = ()


@dataclasses.dataclass(frozen=True)
class Region:
    """The head of YOLOv2: A anchors (w, h in grid cells), each with 5 + `classes` channels of the last convolution."""

    anchors: tuple[tuple[float, float], ...]
    classes: int
    options: Options = ()

    @property
    def channels(self) -> int:
        """Channels of the convolution before it."""
        return len(self.anchors) * (5 + self.classes)


Section = Convolution | MaxPool | Route | Reorg | AveragePool | Softmax | Cost | Region


@dataclasses.dataclass(frozen=True)
class Network:
    """A whole network: its sections, and the image size (height, width) in pixels that it was made for.

    channels: of its images, one of letterbox.CHANNELS; box_convention: where the boxes end that it was trained on, one
    of BOX_CONVENTIONS; convention_doubt: why it may be the other one, and the way out; '' if its file says it. Networks
    that differ in these two alone are equal, as they compute the same.
    """

    sections: tuple[Section, ...]
    image_size: tuple[int, int] = (416, 416)
    options: Options = ()
    channels: int = COLOUR
    box_convention: str = dataclasses.field(default=VOC, compare=False)
    convention_doubt: str = dataclasses.field(default='', compare=False)

    @property
    def input_shape(self) -> Shape:
        """Height, width and channels of its images."""
        return *self.image_size, self.channels

    @property
    def is_detector(self) -> bool:
        """Whether it ends in a region, and has boxes."""
        return isinstance(self.sections[-1], Region)

    @property
    def region(self) -> Region:
        """The last section of a detector; ValueError for other networks."""
        last = self.sections[-1]
        if not isinstance(last, Region):
            raise ValueError('this network is no YOLOv2 detector: it does not end in a [region] section')
        return last


class SectionError(ValueError):
    """A section that cannot be built; index: its place in the network."""

    def __init__(self, index: int, message: str):
        super().__init__(message)
        self.index = index


def shapes(network: Network) -> list[Shape]:
    """Height, width and channels of each section's output, for an image of the network's size.

    SectionError, with the index, if a section does not fit those before it.
    """
    outputs: list[Shape] = []
    shape = network.input_shape
    for index, section in enumerate(network.sections):
        try:
            shape = _output_shape(section, index, shape, outputs)
        except ValueError as error:
            raise SectionError(index, str(error)) from error
        outputs.append(shape)
    return outputs


def _output_shape(section: Section, index: int, shape: Shape, outputs: Sequence[Shape]) -> Shape:
    """Shape of a section's output; shape: of its input; outputs: of all sections before it."""
    height, width, channels = input_shape = shape
    match section:
        case Convolution(filters, size, stride, padding):
            shape = _window(height, 2 * padding, size, stride), _window(width, 2 * padding, size, stride), filters
        case MaxPool(size, stride, padding):
            shape = _window(height, padding, size, stride), _window(width, padding, size, stride), channels
        case Route():
            shape = _route_shape(section, index, outputs)
        case Reorg(stride):
            if channels % stride**2 or height % stride or width % stride:
                raise ValueError(f'{height} x {width} x {channels} cannot be reordered with stride {stride}')
            shape = height // stride, width // stride, channels * stride**2
        case AveragePool():
            shape = 1, 1, channels
        case Region(anchors, classes):
            if channels != section.channels:
                raise ValueError(
                    f'{len(anchors)} anchors and {classes} classes need {section.channels} filters before them, '
                    f'not {channels}'
                )
    if min(shape[:2]) < 1:
        raise ValueError(f'nothing is left of an image of {input_shape[0]} x {input_shape[1]}')
    return shape


def _window(length: int, padding: int, size: int, stride: int) -> int:
    """How many windows of `size` fit into a padded side."""
    return (length + padding - size) // stride + 1


def _route_shape(route: Route, index: int, outputs: Sequence[Shape]) -> Shape:
    for layer in route.layers:
        if not 0 <= index + layer < index:
            raise ValueError(f'layer {index + layer} does not exist; this is section {index}')
    sources = [outputs[index + layer] for layer in route.layers]
    if len({source[:2] for source in sources}) > 1:
        sizes = ', '.join(f'{height} x {width}' for height, width, _ in sources)
        raise ValueError(f'the layers are not of one height and width: {sizes}')
    return *sources[0][:2], sum(source[2] for source in sources)


def num_weights(network: Network) -> list[int]:
    """How many numbers a .weights file holds for each section: biases, three vectors of batch norm, kernel."""
    input_channels = [network.channels, *(shape[2] for shape in shapes(network))]
    numbers = []
    for section, inputs in zip(network.sections, input_channels, strict=False):
        number = 0
        if isinstance(section, Convolution):
            vectors = 4 if section.norm else 1
            number = section.filters * (vectors + inputs * section.size**2)
        numbers.append(number)
    return numbers


def make_region(anchors, num_classes: int, options: Options = ()) -> Region:
    """The head for anchors (A, 2) w, h in grid cells."""
    return Region(tuple((float(w), float(h)) for w, h in anchors), num_classes, options)


def adapt(network: Network, num_classes: int, anchors, input_shape: Shape) -> Network:
    """The same detector for other classes, anchors (A, 2) w, h in grid cells, and images of height, width, channels.

    It is to be trained on records, so that its boxes end as theirs do.
    Only its head, its last convolution and what its first one takes change. ValueError if the head does not follow a
    convolution, or the grid would not have cells of 32 x 32 pixels.
    """
    region = make_region(anchors, num_classes, network.region.options)
    *body, last, _ = network.sections
    if not isinstance(last, Convolution):
        raise ValueError('the section before [region] is not a [convolutional], so it cannot be fitted to the data')
    last = dataclasses.replace(last, filters=region.channels)
    image_size, channels = (input_shape[0], input_shape[1]), input_shape[2]
    sections = (*body, last, region)
    adapted = Network(sections, image_size, network.options, channels, VOC)
    rows, columns, _ = shapes(adapted)[-1]
    if (rows, columns) != (image_size[0] // STRIDE, image_size[1] // STRIDE):
        raise ValueError(
            f'the network has a grid of {rows} x {columns} for {image_size[0]} x {image_size[1]} pixels, '
            f'the records have cells of {STRIDE} x {STRIDE}: such a network can be used, but not trained'
        )
    return adapted
