"""The networks that have names: yolov2 and yolov2-tiny, as Darknet's .cfg files for VOC describe them."""

from yolo.geometry.letterbox import COLOUR
from yolo.models.spec import Convolution, MaxPool, Network, Reorg, Route, Section, make_region

MODELS = ('yolov2', 'yolov2-tiny')
BACKBONE = {'yolov2': 18, 'yolov2-tiny': 7}  # convolutions of darknet19_448.conv.23 and of tiny-yolo-voc.conv.13
# What Darknet needs to train such a network, as in yolov2-voc.cfg.
NET_OPTIONS = (
    ('batch', '64'),
    ('subdivisions', '8'),
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


def build_spec(
    name: str,
    num_classes: int,
    anchors,
    width: float = 1.0,
    image_size: tuple[int, int] = (416, 416),
    channels: int = COLOUR,
) -> Network:
    """The description of a network by name: yolov2 (yolov2-voc.cfg) or yolov2-tiny (yolov2-tiny-voc.cfg).

    anchors (A, 2) w, h in grid cells; width: multiplies the filters of all convolutions but the last; image_size:
    height, width in pixels; channels: of the images, 3, or 1 for grey ones. ValueError for an unknown name and for a
    width that is not positive.
    """
    if name not in MODELS:
        raise ValueError(f'unknown model {name!r}; there are {", ".join(MODELS)}')
    if not width > 0:
        raise ValueError(f'width is a factor on the number of filters and must be positive, not {width}')
    region = make_region(anchors, num_classes, REGION_OPTIONS)
    body = _yolov2_tiny(width) if name == 'yolov2-tiny' else _yolov2(width)
    last = Convolution(region.channels, 1, padding=0, norm=False, activation='linear')
    return Network((*body, last, region), (int(image_size[0]), int(image_size[1])), NET_OPTIONS, channels)


def _convolutions(width: float, *filters: int) -> list[Section]:
    """Convolutions of so many filters in order: 3 x 3, 1 x 1, 3 x 3, 1 x 1 and so on, as Darknet-19 alternates them."""
    return [_convolution(width, number, 3 if i % 2 == 0 else 1) for i, number in enumerate(filters)]


def _convolution(width: float, filters: int, size: int = 3) -> Convolution:
    return Convolution(max(1, round(filters * width)), size, padding=size // 2)


def _yolov2_tiny(width: float) -> list[Section]:
    """All but the last convolution of yolov2-tiny-voc.cfg."""
    sections: list[Section] = []
    for filters in (16, 32, 64, 128, 256):
        sections += [_convolution(width, filters), MaxPool()]
    sections += [_convolution(width, 512), MaxPool(stride=1)]
    return [*sections, _convolution(width, 1024), _convolution(width, 1024)]


def _yolov2(width: float) -> list[Section]:
    """All but the last convolution of yolov2-voc.cfg: Darknet-19 without its classifier, then the passthrough."""
    sections: list[Section] = []
    for filters in ((32,), (64,), (128, 64, 128), (256, 128, 256), (512, 256, 512, 256, 512)):
        sections += [*_convolutions(width, *filters), MaxPool()]
    sections += _convolutions(width, 1024, 512, 1024, 512, 1024)
    passthrough = Convolution(max(4, 4 * round(64 * width / 4)), 1, padding=0)  # [reorg]: its channels divide by 4
    return [
        *sections,
        _convolution(width, 1024),
        _convolution(width, 1024),
        Route((-9,)),  # the last 512 filters before the fifth pool
        passthrough,
        Reorg(),
        Route((-1, -4)),
        _convolution(width, 1024),
    ]


def num_backbone_convolutions(network: Network) -> int:
    """How many convolutions from the start make the backbone of yolov2 or yolov2-tiny, whatever the width.

    ValueError for a network with other sections than these.
    """
    for name in MODELS:
        if _layout(network) == _layout(build_spec(name, 1, [(1, 1)])):
            return BACKBONE[name]
    raise ValueError(
        f'which layers of this network are its backbone is not known (it is for {", ".join(MODELS)}); '
        'give the number of convolutions instead'
    )


def _layout(network: Network) -> list[tuple]:
    """Kind, size and stride of each section: what two networks that differ only in width have in common."""
    return [(type(s), getattr(s, 'size', 0), getattr(s, 'stride', 0)) for s in network.sections]
