"""A folded network as plain TensorFlow operations with fixed shapes, as TFLite and its microcontrollers have them.

Nothing here has more than four dimensions, and no shape is computed while it runs.
"""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from yolo.geometry.limits import MOST_EXPONENT
from yolo.models.folding import FoldedNetwork, Weights
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
)

# What each section computes first (a convolution: without its activation) and at last: name, tensor -> tensor.
Hook = Callable[[str, tf.Tensor], tf.Tensor]
Kernels = Callable[[int, Weights], np.ndarray | tf.Tensor]


def forward(
    folded: FoldedNetwork,
    images: tf.Tensor,
    hook: Hook = lambda name, x: x,
    kernel: Kernels = lambda index, weights: weights.kernel,
) -> tf.Tensor:
    """The last convolution's output (B, GH, GW, A (5 + C)) for images (B, H, W, C) float 0..1 of fixed shape.

    hook: is given each tensor with a name, `image`, `<index>` of a section or `<index>/linear` before an activation,
    and returns what follows works with; kernel: gives the kernel of a convolution. ValueError for a section that no
    detector has.
    """
    x = hook('image', images)
    outputs: list[tf.Tensor] = []
    for index, section in enumerate(folded.network.sections):
        if isinstance(section, Convolution):
            weights = folded.weights[index]
            x = _convolve(section, x, kernel(index, weights), weights.bias)
            if section.activation != 'linear':
                x = _activate(section.activation, hook(f'{index}/linear', x))
        else:
            x = _apply(section, index, x, outputs)
        x = hook(str(index), x)
        outputs.append(x)
    return x


def _apply(section: Section, index: int, x: tf.Tensor, outputs: Sequence[tf.Tensor]) -> tf.Tensor:
    """The output of a section other than a convolution; outputs: of all sections before it."""
    match section:
        case MaxPool():
            return _pool(section, x)
        case Reorg(stride):
            return _reorg(x, stride)
        case Route(layers):
            sources = [outputs[index + layer] for layer in layers]
            return tf.concat(sources, -1) if len(sources) > 1 else sources[0]
        case AveragePool():
            return tf.reduce_mean(x, (1, 2), keepdims=True)
        case Cost() | Region():
            return x
    raise ValueError(f'section {index}: a [{type(section).__name__.lower()}] cannot be exported to TFLite')


def _convolve(section: Convolution, x: tf.Tensor, kernel, bias: np.ndarray) -> tf.Tensor:
    padding = section.padding
    same = section.stride == 1 and section.size % 2 == 1 and padding == section.size // 2
    if padding and not same:
        x = tf.pad(x, [[0, 0], [padding, padding], [padding, padding], [0, 0]])
    return tf.nn.conv2d(x, kernel, section.stride, 'SAME' if same else 'VALID') + bias


def _activate(name: str, x: tf.Tensor) -> tf.Tensor:
    return {
        'leaky': lambda: tf.nn.leaky_relu(x, LEAKY_SLOPE),
        'relu': lambda: tf.nn.relu(x),
        'logistic': lambda: tf.sigmoid(x),
    }[name]()


def _pool(section: MaxPool, x: tf.Tensor) -> tf.Tensor:
    """Max pooling. Padding that TFLite lacks repeats the pixels at the edge: they are in the same windows anyway.

    The lowest float would do too, but its range is nothing for 8 bits.
    """
    size, stride, padding = section.size, section.stride, section.padding
    if (size, padding) == (2, 1) or (stride == 1 and padding == size - 1):
        return tf.nn.max_pool2d(x, size, stride, 'SAME')
    if padding >= size:
        raise ValueError(f'max pooling of size {size} with padding {padding} cannot be exported to TFLite')
    if padding:
        sides = [padding // 2, padding - padding // 2]
        x = tf.pad(x, [[0, 0], sides, sides, [0, 0]], 'SYMMETRIC')
    return tf.nn.max_pool2d(x, size, stride, 'VALID')


def _reorg(x: tf.Tensor, s: int) -> tf.Tensor:
    """What `layers.ReorgLayer` computes, by transpositions of four dimensions."""
    batch, height, width, channels = x.shape
    parts = tf.reshape(tf.transpose(x, (0, 3, 1, 2)), (-1, s, width, s))  # k % oc and j, o // s, i, o % s
    parts = tf.reshape(tf.transpose(parts, (0, 1, 3, 2)), (batch, -1, s * s, width))  # k % oc and j, o, i
    parts = tf.reshape(tf.transpose(parts, (0, 2, 1, 3)), (batch, channels * s**2, height // s, width // s))
    return tf.transpose(parts, (0, 2, 3, 1))


def decode(raw: tf.Tensor, network: Network, exact: bool = False) -> dict[str, tf.Tensor]:
    """Boxes (B, N, 4) xmin, ymin, xmax, ymax relative 0..1, not clipped, and scores (B, N, C) of all places.

    raw (B, GH, GW, A (5 + C)); N = GH GW A, in this order. As `host.decode`. exact: raw comes out of 8 bits, into which
    the converter would take sigmoid and softmax too, whose steps would be 1 / 256: they get inputs in floats.
    """
    region = network.region
    batch, rows, columns, _ = raw.shape
    shape = (rows, columns, len(region.anchors), 2)
    cells = np.stack(np.broadcast_arrays(np.arange(columns)[:, None], np.arange(rows)[:, None, None]), -1)
    cells = np.broadcast_to(cells, shape).reshape(-1, 2).astype(np.float32)
    half_anchors = np.broadcast_to(np.array(region.anchors, np.float32) / 2, shape).reshape(-1, 2)
    grid = np.array([columns, rows], np.float32)
    places = tf.reshape(raw, (batch, -1, 5 + region.classes))
    xy, objectness, logits = places[..., :2], places[..., 4:5], places[..., 5:]
    if exact:
        corner, scores = _exact_sigmoid(xy), _exact_scores(objectness, logits)
    else:
        corner, scores = tf.sigmoid(xy), tf.sigmoid(objectness) * tf.nn.softmax(logits)
    centres = (corner + cells) / grid
    halves = tf.exp(tf.minimum(places[..., 2:4], MOST_EXPONENT)) * (half_anchors / grid)
    return {'boxes': tf.concat([centres - halves, centres + halves], -1), 'scores': scores}


def _exact_sigmoid(x: tf.Tensor) -> tf.Tensor:
    """Written so that the converter does not know it; e^16 is 1 / (1 - 1e-7)."""
    power = tf.exp(tf.minimum(x, 16.0))
    return power / (power + 1)


def _exact_scores(objectness: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Sigmoid of the objectness x softmax of the logits, written so that the converter knows neither."""
    powers = tf.exp(logits - tf.reduce_max(logits, -1, keepdims=True))
    return powers / (tf.reduce_sum(powers, -1, keepdims=True) * (1 + tf.exp(-objectness)))
