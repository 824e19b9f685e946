"""The networks, spelled once as Darknet's sections, and their Keras builder.

A network is a tuple of sections in Darknet's order, routes counted as Darknet counts them. Whatever walks a network
(this builder; a reader or writer of .cfg and .weights) walks this spelling.
"""

import dataclasses
from collections.abc import Sequence

import keras

from yolo.layers import BatchNorm, Reorg, SplitAnchors


@dataclasses.dataclass(frozen=True)
class Convolution:
    """A convolution of `filters` `size` x `size` kernels with same padding; `norm`: batch norm and leaky 0.1."""

    filters: int
    size: int = 3
    norm: bool = True


@dataclasses.dataclass(frozen=True)
class MaxPool:
    """2 x 2 max pooling; with stride 1 the size stays: the missing row and column at the end count as -inf."""

    stride: int = 2


@dataclasses.dataclass(frozen=True)
class Route:
    """The outputs of earlier sections side by side, counted back from this one (-1 is the section before)."""

    layers: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Space:
    """Darknet's [reorg] section."""

    stride: int = 2


Section = Convolution | MaxPool | Route | Space

MODELS = ('yolov2', 'yolov2-tiny')
STRIDE = 32  # pixels a grid cell, in all of them


def spell(name: str, outputs: int, width: float = 1.0) -> tuple[Section, ...]:
    """The sections of a network by name: yolov2 (yolov2-voc.cfg) or yolov2-tiny (yolov2-tiny-voc.cfg).

    outputs: channels of the last convolution, A (5 + C); width: multiplies the filters of all others.
    """
    if name not in MODELS:
        raise ValueError(f'unknown model {name!r}; there are {", ".join(MODELS)}')
    if not width > 0:
        raise ValueError(f'width is a factor on the number of filters and must be positive, not {width}')

    def conv(filters: int, size: int = 3) -> Convolution:
        return Convolution(max(1, round(filters * width)), size)

    if name == 'yolov2-tiny':
        body = [section for filters in (16, 32, 64, 128, 256) for section in (conv(filters), MaxPool())]
        return *body, conv(512), MaxPool(1), conv(1024), conv(1024), Convolution(outputs, 1, norm=False)
    passthrough = Convolution(max(4, 4 * round(64 * width / 4)), 1)  # its channels must divide by 4
    return (
        conv(32), MaxPool(),
        conv(64), MaxPool(),
        conv(128), conv(64, 1), conv(128), MaxPool(),
        conv(256), conv(128, 1), conv(256), MaxPool(),
        conv(512), conv(256, 1), conv(512), conv(256, 1), conv(512), MaxPool(),
        conv(1024), conv(512, 1), conv(1024), conv(512, 1), conv(1024),
        conv(1024), conv(1024),
        Route((-9,)), passthrough, Space(), Route((-1, -4)),
        conv(1024), Convolution(outputs, 1, norm=False),
    )  # fmt: skip


def build(sections: Sequence[Section], num_anchors: int, name: str) -> keras.Model:
    """The Keras model of a spelled network: images (B, H, W, 3) 0..1 -> raw (B, GH, GW, A, 5 + C)."""
    x = images = keras.Input((None, None, 3), name='images')
    outputs: list = []
    for index, section in enumerate(sections):
        x = _build_section(section, index, x, outputs)
        outputs.append(x)
    raw = SplitAnchors(num_anchors, name='raw')(x)
    return keras.Model(images, raw, name=name)


def build_model(name: str, num_classes: int, anchors, width: float = 1.0) -> keras.Model:
    """A YOLOv2 network with freshly drawn weights.

    name: 'yolov2' (Darknet-19 with passthrough) or 'yolov2-tiny'; anchors (A, 2) w, h in grid cells; width: factor on
    the filters of all layers but the last. The model takes images (B, H, W, 3) 0..1, H and W any multiple of 32, and
    gives raw (B, H/32, W/32, A, 5 + C): t_x, t_y, t_w, t_h, t_o, class logits. ValueError for an unknown name.
    (YOLOv2 paper, section 2; Darknet cfg/yolov2-voc.cfg, cfg/yolov2-tiny-voc.cfg.)
    """
    num_anchors = len(anchors)
    return build(spell(name, num_anchors * (5 + num_classes), width), num_anchors, name.replace('-', '_'))


def _build_section(section: Section, index: int, x, outputs: list):
    match section:
        case Convolution(filters, size, norm):
            x = keras.layers.Conv2D(
                filters, size, padding='same', use_bias=not norm, name=f'conv_{index}',
                kernel_initializer=_initializer(norm))(x)  # fmt: skip
            if not norm:
                return x
            x = BatchNorm(name=f'norm_{index}')(x)
            return keras.layers.LeakyReLU(negative_slope=0.1, name=f'leaky_{index}')(x)
        case MaxPool(stride):
            return keras.layers.MaxPool2D(2, stride, padding='same', name=f'pool_{index}')(x)
        case Space(stride):
            return Reorg(stride, name=f'reorg_{index}')(x)
        case Route(layers):
            sources = [outputs[index + layer] for layer in layers]
            if len(sources) == 1:
                return sources[0]
            return keras.layers.Concatenate(name=f'route_{index}')(sources)


def _initializer(norm: bool):
    """Darknet's scale before a batch norm; for the last layer the notebook's N(0, 1) / (13 x 13)."""
    return keras.initializers.HeNormal() if norm else keras.initializers.RandomNormal(stddev=1 / 169)
