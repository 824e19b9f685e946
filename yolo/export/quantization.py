"""The 8-bit form of a network: the range of each of its tensors, found with pictures, and all of them rounded.

TFLite has one scale for a whole tensor of activations and one for each filter of a kernel; biases have 32 bits. The
roundings are TensorFlow's `fake_quant` operations: the converter takes the ranges from there, and leaves what comes
after the last of them in floats.
"""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf

from yolo.export import equalization, tflite_graph
from yolo.models.folding import FoldedNetwork, Weights
from yolo.models.spec import AveragePool, Convolution, Network, Route

BATCH = 4  # images at once, in float32
DIGITS = 4  # of a range: the last bits of sums may differ between runs, those of a file may not
# Where sigmoid and softmax are within 0.0025 and 0.0003 of their ends: what is beyond costs steps, and shows nowhere.
LOWEST_RAW, HIGHEST_RAW = -6.0, 8.0
Range = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Measured:
    """Lowest, highest and mean value (C,) of each channel of tensors, by the names of `tflite_graph.forward`."""

    lowest: Mapping[str, np.ndarray]
    highest: Mapping[str, np.ndarray]
    mean: Mapping[str, np.ndarray]

    def range(self, name: str) -> Range:
        """The range of a whole tensor, with 0 in it, in few digits."""
        ends = min(0.0, float(self.lowest[name].min())), max(0.0, float(self.highest[name].max()))
        low, high = map(_few_digits, ends)
        return low, high if high > low else 1.0

    def largest(self, name: str) -> np.ndarray:
        """The largest absolute value (C,) of each channel."""
        return np.maximum(np.abs(self.lowest[name]), np.abs(self.highest[name]))


@dataclasses.dataclass(frozen=True)
class Quantized:
    """A network, and the range of each tensor of it that has a scale of its own."""

    folded: FoldedNetwork
    ranges: Mapping[str, Range]

    def forward(self, images: tf.Tensor) -> tf.Tensor:
        """The last convolution's output (B, GH, GW, A (5 + C)) for images (B, H, W, C) 0..1, as 8 bits give it."""
        return tflite_graph.forward(self.folded, images, self._round, _round_kernel)

    def _round(self, name: str, x: tf.Tensor) -> tf.Tensor:
        ranges = {'image': (0.0, 1.0), **self.ranges}
        return tf.quantization.fake_quant_with_min_max_args(x, *ranges[name]) if name in ranges else x


def quantize(folded: FoldedNetwork, images: np.ndarray) -> Quantized:
    """A network with a range for each of its tensors.

    images (N, H, W, C) uint8 of its size, of the data that it is for. Its results are those of `folded` but for the
    rounding, and the class logits of a place, whose mean becomes 0.
    """
    folded = centre_classes(folded)
    measured = measure(folded, images)
    largest = {index: measured.largest(str(index)) for index in folded.weights if str(index) in measured.lowest}
    folded = equalization.equalize(folded, largest)
    measured = measure(folded, images)
    ranges = {name: measured.range(name) for name in tensor_names(folded.network)}
    last = str(len(folded.network.sections) - 2)
    if last in ranges:
        low, high = ranges[last]
        ranges[last] = max(low, LOWEST_RAW), min(high, HIGHEST_RAW)
    return Quantized(correct_biases(folded, measured.mean), ranges)


def correct_biases(folded: FoldedNetwork, mean: Mapping[str, np.ndarray]) -> FoldedNetwork:
    """The network with biases that make good what rounding the kernels adds to the mean of each filter's output.

    mean: of the channels of the image and of each section's output. A kernel that looks for edges sums up to 0; rounded
    it does not, and in the first layers inputs are far from 0. (Nagel et al. 2019, section 4.2.)
    """
    weights = {}
    for index, exact in folded.weights.items():
        inputs = mean[str(index - 1) if index else 'image'].astype(np.float64)
        error = _round_kernel(index, exact).numpy().astype(np.float64) - exact.kernel
        shift = np.array([_few_digits(each) for each in inputs @ error.sum((0, 1))])
        weights[index] = Weights(exact.kernel, (exact.bias - shift).astype(np.float32))
    return dataclasses.replace(folded, weights=weights)


def tensor_names(network: Network) -> list[str]:
    """The names of the tensors that have a scale of their own; pooling and reordering keep that of their input."""
    names = []
    for index, section in enumerate(network.sections):
        if isinstance(section, Convolution):
            names += [f'{index}/linear'] if section.activation in ('leaky', 'logistic') else []
            names += [str(index)] if section.activation != 'logistic' else []  # whose scale is TFLite's: 1 / 256
        elif isinstance(section, AveragePool) or (isinstance(section, Route) and len(section.layers) > 1):
            names.append(str(index))
    return names


def centre_classes(folded: FoldedNetwork) -> FoldedNetwork:
    """The network with the mean of the class logits taken away at every place: softmax does not see it.

    The logits share one scale with all else in the output, and so need less of it.
    """
    region, index = folded.network.region, len(folded.network.sections) - 2
    if index not in folded.weights or folded.network.sections[index].activation != 'linear':  # type: ignore[union-attr]
        return folded

    def centre(values: np.ndarray) -> np.ndarray:
        parts = values.astype(np.float64).reshape(*values.shape[:-1], len(region.anchors), 5 + region.classes)
        parts[..., 5:] -= parts[..., 5:].mean(-1, keepdims=True)
        return parts.reshape(values.shape).astype(np.float32)

    last = folded.weights[index]
    weights = {**folded.weights, index: Weights(centre(last.kernel), centre(last.bias))}
    return dataclasses.replace(folded, weights=weights)


def measure(folded: FoldedNetwork, images: np.ndarray) -> Measured:
    """What the channels of a network's tensors are for images (N, H, W, C) uint8."""
    names = tensor_names(folded.network)

    @tf.function(autograph=False)
    def forward(batch: tf.Tensor) -> tuple[dict[str, tuple[tf.Tensor, tf.Tensor]], dict[str, tf.Tensor]]:
        ranges, means = {}, {}

        def look(name: str, x: tf.Tensor) -> tf.Tensor:
            if name in names:
                ranges[name] = tf.reduce_min(x, (0, 1, 2)), tf.reduce_max(x, (0, 1, 2))
            if '/' not in name:
                means[name] = tf.reduce_mean(x, (0, 1, 2))
            return x

        tflite_graph.forward(folded, tf.cast(batch, tf.float32) / 255, look)
        return ranges, means

    lowest: dict[str, np.ndarray] = {}
    highest: dict[str, np.ndarray] = {}
    total: dict[str, np.ndarray] = {}
    for batch in _batches(images):
        ranges, means = forward(batch)
        for name, (low, high) in ranges.items():
            lowest[name] = np.minimum(lowest.get(name, np.inf), low.numpy())
            highest[name] = np.maximum(highest.get(name, -np.inf), high.numpy())
        for name, value in means.items():
            total[name] = total.get(name, 0) + value.numpy().astype(np.float64)
    number = -(-len(images) // BATCH)
    return Measured(lowest, highest, {name: value / number for name, value in total.items()})


def _few_digits(value: float) -> float:
    return float(f'{value:.{DIGITS}g}')


def _batches(images: np.ndarray) -> Iterator[tf.Tensor]:
    """All images in batches of BATCH; the last is filled up with the first images."""
    for start in range(0, len(images), BATCH):
        yield tf.constant(images[np.arange(start, start + BATCH) % len(images)])


def _round_kernel(index: int, weights: Weights) -> tf.Tensor:
    """A kernel (h, w, in, out) with a scale for each filter; those of zeros keep them."""
    largest = np.abs(weights.kernel).max((0, 1, 2))
    largest = np.where(largest > 0, largest, 1).astype(np.float32)
    return tf.quantization.fake_quant_with_min_max_vars_per_channel(
        weights.kernel, -largest, largest, narrow_range=True
    )
