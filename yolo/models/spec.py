"""The networks, spelled once as Darknet's sections, and their Keras builder.

A network is a tuple of sections in Darknet's order, routes counted as Darknet counts them. Whatever walks a network
(this builder; `yolo.cfg`, the reader and writer of .cfg; `yolo.weights`, that of .weights) walks this spelling.
"""

import dataclasses
from collections.abc import Sequence

Options = tuple[tuple[str, str], ...]  # of a .cfg: what does not change the network's output, as written there


@dataclasses.dataclass(frozen=True)
class Convolution:
    """A convolution of `filters` `size` x `size` kernels over `padding` zeros on every side; `norm`: batch norm."""

    filters: int
    size: int = 3
    stride: int = 1
    padding: int = 1
    norm: bool = True
    activation: str = 'leaky'  # one of ACTIVATIONS
    options: Options = ()


@dataclasses.dataclass(frozen=True)
class MaxPool:
    """Max pooling over `padding` rows and columns of -inf, the smaller half of them at the start."""

    size: int = 2
    stride: int = 2
    padding: int = 1
    options: Options = ()


@dataclasses.dataclass(frozen=True)
class Route:
    """The outputs of earlier sections side by side, counted back from this one (-1 is the section before)."""

    layers: tuple[int, ...]
    options: Options = ()


@dataclasses.dataclass(frozen=True)
class Reorg:
    """Darknet's [reorg] section."""

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
    """The loss of a classifier; nothing at inference."""

    options: Options = ()


@dataclasses.dataclass(frozen=True)
class Region:
    """What the last convolution's channels mean: A anchors (w, h in grid cells) with 5 + `classes` numbers each."""

    anchors: tuple[tuple[float, float], ...]
    classes: int
    options: Options = ()


Section = Convolution | MaxPool | Route | Reorg | AveragePool | Softmax | Cost | Region


@dataclasses.dataclass(frozen=True)
class Network:
    """Sections and the image size (height, width) that they were made for."""

    sections: tuple[Section, ...]
    image_size: tuple[int, int] = (416, 416)
    options: Options = ()

    @property
    def region(self) -> Region:
        """The last section of a detector; ValueError for other networks."""
        last = self.sections[-1]
        if not isinstance(last, Region):
            raise ValueError('this network is no YOLOv2 detector: it does not end in a [region] section')
        return last


MODELS = ('yolov2', 'yolov2-tiny')
BACKBONE = {'yolov2': 18, 'yolov2-tiny': 7}  # convolutions of darknet19_448.conv.23 and of tiny-yolo-voc.conv.13
STRIDE = 32  # pixels a grid cell, in all of them
ACTIVATIONS = ('leaky', 'relu', 'logistic')  # beside linear
# What Darknet needs to train such a network, as in yolov2-voc.cfg.
NET_OPTIONS = (
    ('batch', '64'),
    ('subdivisions', '8'),
    ('channels', '3'),
    ('momentum', '0.9'),
    ('decay', '0.0005'),
    ('angle', '0'),
    ('saturation', '1.5'),
    ('exposure', '1.5'),
    ('hue', '.1'),
    ('learning_rate', '0.001'),
    ('burn_in', '1000'),
    ('max_batches', '80200'),
    ('policy', 'steps'),
    ('steps', '40000,60000'),
    ('scales', '.1,.1'),
)
REGION_OPTIONS = (
    ('bias_match', '1'),
    ('jitter', '.3'),
    ('rescore', '1'),
    ('object_scale', '5'),
    ('noobject_scale', '1'),
    ('class_scale', '1'),
    ('coord_scale', '1'),
    ('absolute', '1'),
    ('thresh', '.6'),
    ('random', '1'),
)


def build_spec(name: str, num_classes: int, anchors, width: float = 1.0, image_size=(416, 416)) -> Network:
    """A network by name: yolov2 (yolov2-voc.cfg) or yolov2-tiny (yolov2-tiny-voc.cfg).

    anchors (A, 2) w, h in grid cells; width: multiplies the filters of all convolutions but the last; image_size:
    height, width. ValueError for an unknown name.
    """
    if name not in MODELS:
        raise ValueError(f'unknown model {name!r}; there are {", ".join(MODELS)}')
    if not width > 0:
        raise ValueError(f'width is a factor on the number of filters and must be positive, not {width}')

    def conv(filters: int, size: int = 3) -> Convolution:
        return Convolution(max(1, round(filters * width)), size, padding=size // 2)

    region = Region(tuple((float(w), float(h)) for w, h in anchors), num_classes, REGION_OPTIONS)
    last = Convolution(_outputs(region), 1, padding=0, norm=False, activation='linear')
    sections: tuple[Section, ...]
    if name == 'yolov2-tiny':
        body = [section for filters in (16, 32, 64, 128, 256) for section in (conv(filters), MaxPool())]
        sections = *body, conv(512), MaxPool(stride=1), conv(1024), conv(1024), last, region
    else:
        passthrough = Convolution(max(4, 4 * round(64 * width / 4)), 1, padding=0)  # its channels must divide by 4
        sections = (
            conv(32),
            MaxPool(),
            conv(64),
            MaxPool(),
            conv(128),
            conv(64, 1),
            conv(128),
            MaxPool(),
            conv(256),
            conv(128, 1),
            conv(256),
            MaxPool(),
            conv(512),
            conv(256, 1),
            conv(512),
            conv(256, 1),
            conv(512),
            MaxPool(),
            conv(1024),
            conv(512, 1),
            conv(1024),
            conv(512, 1),
            conv(1024),
            conv(1024),
            conv(1024),
            Route((-9,)),
            passthrough,
            Reorg(),
            Route((-1, -4)),
            conv(1024),
            last,
            region,
        )
    return Network(sections, (int(image_size[0]), int(image_size[1])), NET_OPTIONS)


def adapt(network: Network, num_classes: int, anchors, image_size: tuple[int, int]) -> Network:
    """A detector for other classes, anchors (A, 2) and image size: its region and its last convolution change."""
    region = dataclasses.replace(
        network.region, classes=num_classes, anchors=tuple((float(w), float(h)) for w, h in anchors)
    )
    *body, last, _ = network.sections
    if not isinstance(last, Convolution):
        raise ValueError('the section before [region] is not a [convolutional], so it cannot be fitted to the data')
    last = dataclasses.replace(last, filters=_outputs(region))
    adapted = dataclasses.replace(network, sections=(*body, last, region), image_size=image_size)
    rows, columns, _ = shapes(adapted)[-1]
    if (rows, columns) != (image_size[0] // STRIDE, image_size[1] // STRIDE):
        raise ValueError(
            f'the network has a grid of {rows} x {columns} for {image_size[0]} x {image_size[1]} pixels, '
            f'the records have cells of {STRIDE} x {STRIDE}: such a network is used, but not trained'
        )
    return adapted


def _outputs(region: Region) -> int:
    return len(region.anchors) * (5 + region.classes)


def num_backbone_convolutions(network: Network) -> int:
    """How many convolutions from the start make the backbone of a network built as one of MODELS, whatever its width.

    ValueError for a network of another build.
    """

    def build_of(network: Network) -> list[tuple]:
        return [(type(s), getattr(s, 'size', 0), getattr(s, 'stride', 0)) for s in network.sections]

    for name in MODELS:
        if build_of(network) == build_of(build_spec(name, 1, [(1, 1)])):
            return BACKBONE[name]
    raise ValueError(
        f'which layers of this network are its backbone is not known (it is for {", ".join(MODELS)}); '
        'give the number of convolutions instead'
    )


def shapes(network: Network) -> list[tuple[int, int, int]]:
    """Height, width and channels that each section gives for an image of the network's size.

    SectionError, with the index, if a section does not fit what comes before it.
    """
    found: list[tuple[int, int, int]] = []
    shape = (*network.image_size, 3)
    for index, section in enumerate(network.sections):
        try:
            shape = _shape(section, index, shape, found)
        except ValueError as error:
            raise SectionError(index, str(error)) from error
        found.append(shape)
    return found


class SectionError(ValueError):
    """A section that cannot be built; index: which."""

    def __init__(self, index: int, message: str):
        super().__init__(message)
        self.index = index


def _shape(section: Section, index: int, shape, found: Sequence[tuple[int, int, int]]) -> tuple[int, int, int]:
    height, width, channels = shape
    match section:
        case Convolution():
            size = [(n + 2 * section.padding - section.size) // section.stride + 1 for n in (height, width)]
            shape = size[0], size[1], section.filters
        case MaxPool():
            size = [(n + section.padding - section.size) // section.stride + 1 for n in (height, width)]
            shape = size[0], size[1], channels
        case Route(layers):
            for layer in layers:
                if not 0 <= index + layer < index:
                    raise ValueError(f'layer {index + layer} does not exist; this is section {index}')
            sources = [found[index + layer] for layer in layers]
            if len({source[:2] for source in sources}) > 1:
                said = ', '.join(f'{h} x {w}' for h, w, _ in sources)
                raise ValueError(f'the layers are not of one height and width: {said}')
            shape = *sources[0][:2], sum(source[2] for source in sources)
        case Reorg(stride):
            if channels % stride**2 or height % stride or width % stride:
                raise ValueError(f'{height} x {width} x {channels} cannot be reordered with stride {stride}')
            shape = height // stride, width // stride, channels * stride**2
        case AveragePool():
            shape = 1, 1, channels
        case Region():
            if channels != _outputs(section):
                raise ValueError(
                    f'{len(section.anchors)} anchors and {section.classes} classes need '
                    f'{_outputs(section)} filters before them, not {channels}'
                )
    if min(shape[:2]) < 1:
        raise ValueError(f'nothing is left of an image of {height} x {width}')
    return shape


def num_weights(network: Network) -> list[int]:
    """How many numbers a .weights file holds of each section, in order: biases, batch norm's three, kernel."""
    channels = [3, *(shape[2] for shape in shapes(network))]
    numbers = []
    for section, inputs in zip(network.sections, channels, strict=False):
        number = 0
        if isinstance(section, Convolution):
            number = section.filters * ((4 if section.norm else 1) + inputs * section.size**2)
        numbers.append(number)
    return numbers
