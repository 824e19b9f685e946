"""Networks as Keras models, built from their description section by section."""

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from yolo.geometry.box_convention import VOC
from yolo.models import cfg
from yolo.models.architectures import build_spec
from yolo.models.layers import BatchNorm, Conv2D, MaxPool2D, PadLowest, ReorgLayer, SplitAnchors
from yolo.models.memory import check_weights
from yolo.models.spec import (
    LEAKY_SLOPE,
    AveragePool,
    Convolution,
    Cost,
    MaxPool,
    Network,
    Region,
    Reorg,
    Route,
    Section,
    Softmax,
    shapes,
)

_ACTIVATIONS = {
    'leaky': lambda name: keras.layers.LeakyReLU(negative_slope=LEAKY_SLOPE, name=name),
    'relu': lambda name: keras.layers.ReLU(name=name),
    'logistic': lambda name: keras.layers.Activation('sigmoid', name=name),
}


@keras.saving.register_keras_serializable('yolo')
class DarknetModel(keras.Model):
    """The Keras model of a network. A .keras file of it holds the network's description as the text of a .cfg.

    network: its description; seen: images that it was trained on, Darknet's counter in .weights files.
    The model takes images (B, H, W, C) RGB or grey, uint8 0..255 or float 0..1, and gives raw (B, GH, GW, A, 5 + C), or
    the probabilities (B, C) of a classifier. TypeError for images of other integers.
    """

    def __init__(self, network: Network, seen: int = 0, name: str = 'darknet'):
        shapes(network)  # refuses a network that cannot be built
        check_weights(network)
        x = images = keras.Input((None, None, network.channels), name='images')
        outputs: list = []
        for index, section in enumerate(network.sections):
            x = _build_section(section, index, x, outputs)
            outputs.append(x)
        super().__init__(inputs=images, outputs=x, name=name)
        self.network, self.seen = network, seen

    def call(self, images, training=None, mask=None, **kwargs):
        return super().call(_scale_pixels(images), training=training, mask=mask, **kwargs)

    def get_config(self):
        return {'cfg': cfg.write(self.network), 'seen': int(self.seen), 'name': self.name}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(cfg.parse(config['cfg'], config['name'], VOC), config['seen'], config['name'])

    def check_finite(self) -> None:
        """FloatingPointError, naming one, if weights are not finite."""
        check_finite(self.weights)

    def convolutions(self) -> list[tuple[int, keras.layers.Conv2D, BatchNorm | None]]:
        """The convolutions in order: index of the section, the layer, its batch norm if it has one."""
        return [
            (i, self.get_layer(f'conv_{i}'), self.get_layer(f'norm_{i}') if section.norm else None)
            for i, section in enumerate(self.network.sections)
            if isinstance(section, Convolution)
        ]


def check_finite(variables: Iterable) -> None:
    """FloatingPointError, naming the first, if Keras variables are not finite; a bit for each leaves the device."""
    floating = [variable for variable in variables if tf.as_dtype(variable.dtype).is_floating]
    if floating:
        are_finite = tf.stack([tf.reduce_all(tf.math.is_finite(variable)) for variable in floating]).numpy()
        for variable, is_finite in zip(floating, are_finite, strict=True):
            if not is_finite:
                raise FloatingPointError(f'the weights {variable.path} are not finite')


def build_model(name: str, num_classes: int, anchors, width: float = 1.0) -> keras.Model:
    """A YOLOv2 network with random weights.

    name: 'yolov2' (Darknet-19 with passthrough) or 'yolov2-tiny'; anchors (A, 2) w, h in grid cells; width: factor on
    the filters of all layers but the last. The model takes images (B, H, W, 3) RGB, uint8 0..255 or float 0..1, H and W
    any multiple of 32, and gives raw (B, H/32, W/32, A, 5 + C): t_x, t_y, t_w, t_h, t_o, class logits. ValueError for
    an unknown name. (YOLOv2 paper, section 2; Darknet cfg/yolov2-voc.cfg, cfg/yolov2-tiny-voc.cfg.)
    """
    return DarknetModel(build_spec(name, num_classes, anchors, width), name=name.replace('-', '_'))


def _scale_pixels(images: Any):
    """Images as the first layer takes them: uint8 0..255 -> float32 0..1, float as it is; TypeError for the rest.

    Keras would silently cast 255 to 255.0.
    """
    if isinstance(images, (list, tuple)):  # Keras passes the inputs of a model as a list
        return type(images)(_scale_pixels(each) for each in images)
    dtype = tf.as_dtype(images.dtype)
    if dtype == tf.uint8:
        return tf.cast(images, tf.float32) / 255
    if not dtype.is_floating:
        raise TypeError(
            f'images of {dtype.name}: give uint8 0..255, or float 0..1 (tf.cast(images, tf.uint8) if they are 0..255)'
        )
    return images


def _build_section(section: Section, index: int, x, outputs: Sequence):
    """The output of a section; x: its input; outputs: of all sections before it."""
    match section:
        case Convolution():
            return _build_convolution(section, index, x)
        case MaxPool():
            return _build_pool(section, index, x)
        case Reorg(stride):
            return ReorgLayer(stride, name=f'reorg_{index}')(x)
        case Route(layers):
            sources = [outputs[index + layer] for layer in layers]
            return keras.layers.Concatenate(name=f'route_{index}')(sources) if len(sources) > 1 else sources[0]
        case AveragePool():
            return keras.layers.GlobalAveragePooling2D(keepdims=True, name=f'average_{index}')(x)
        case Softmax():
            return keras.layers.Softmax(name=f'softmax_{index}')(keras.layers.Flatten(name=f'flat_{index}')(x))
        case Cost():
            return x
        case Region(anchors):
            return SplitAnchors(len(anchors), name='raw')(x)


def _build_pool(section: MaxPool, index: int, x):
    name = f'pool_{index}'
    if (section.size, section.padding) == (2, 1):  # one row and column at the end, as Keras pads for 'same'
        return MaxPool2D(2, section.stride, padding='same', name=name)(x)
    if section.padding:
        before = section.padding // 2
        x = PadLowest(before, section.padding - before, name=f'pad_{index}')(x)
    return MaxPool2D(section.size, section.stride, name=name)(x)


def _build_convolution(section: Convolution, index: int, x):
    same = section.stride == 1 and section.size % 2 == 1 and section.padding == section.size // 2
    if section.padding and not same:
        x = keras.layers.ZeroPadding2D(section.padding, name=f'pad_{index}')(x)
    x = Conv2D(
        section.filters,
        section.size,
        section.stride,
        padding='same' if same else 'valid',
        use_bias=not section.norm,
        name=f'conv_{index}',
        kernel_initializer=_initializer(section.norm),
    )(x)
    if section.norm:
        x = BatchNorm(name=f'norm_{index}')(x)
    if section.activation != 'linear':
        x = _ACTIVATIONS[section.activation](f'{section.activation}_{index}')(x)
    return x


def _initializer(norm: bool):
    """Darknet's scale before a batch norm; for the last layer the notebook's N(0, 1) / (13 x 13)."""
    return keras.initializers.HeNormal() if norm else keras.initializers.RandomNormal(stddev=1 / 169)
