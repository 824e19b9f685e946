"""A network with the same results whose channels have more equal ranges, so that one scale for all of them loses less.

Leaky ReLU, max pooling and concatenation commute with positive factors: a convolution's channel divided by a factor,
and the next convolutions' kernels multiplied by it, change nothing. Factors are powers of two: not even the last bit
changes. (Nagel et al. 2019, Data-Free Quantization Through Weight Equalization and Bias Correction, section 4.1.)
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from yolo.models.folding import FoldedNetwork, Weights
from yolo.models.spec import AveragePool, Convolution, Cost, MaxPool, Network, Region, Reorg, Route

MOST = 16  # factors are 2^-MOST .. 2^MOST
FIXED = 0  # the factor of channels that must stay as they are


@dataclasses.dataclass(frozen=True)
class Channels:
    """Which factor belongs to which channel: of the output (filters,) and of the input of each convolution."""

    outputs: Mapping[int, np.ndarray]
    inputs: Mapping[int, np.ndarray]


def equalize(folded: FoldedNetwork, largest: Mapping[int, np.ndarray]) -> FoldedNetwork:
    """The network with factors moved between its convolutions.

    largest: by index of the section, the largest absolute value (filters,) in each channel of the output of each
    convolution, after its activation. A factor f makes that value r / f, and the weights w of the next kernels f w: it
    is sqrt(r / w), which leaves both at sqrt(r w).
    """
    channels = find_channels(folded.network)
    number = 1 + max(int(each.max()) for each in channels.outputs.values())
    of_values, of_weights = np.zeros(number), np.zeros(number)
    for index, ids in channels.outputs.items():
        np.maximum.at(of_values, ids, largest[index])
        weights = np.abs(folded.weights[index].kernel).max((0, 1, 3))
        np.maximum.at(of_weights, channels.inputs[index], weights)
    is_known = (of_values > 0) & (of_weights > 0)
    exponents = np.zeros(number)
    exponents[is_known] = np.log2(of_values[is_known] / of_weights[is_known]) / 2
    factors = 2.0 ** np.clip(np.round(exponents), -MOST, MOST)
    factors[FIXED] = 1
    return dataclasses.replace(folded, weights=_scale(folded, channels, factors))


def _scale(folded: FoldedNetwork, channels: Channels, factors: np.ndarray) -> dict[int, Weights]:
    scaled = {}
    for index, weights in folded.weights.items():
        outputs, inputs = (factors[ids[index]].astype(np.float32) for ids in (channels.outputs, channels.inputs))
        scaled[index] = Weights(weights.kernel * inputs[:, None] / outputs, weights.bias / outputs)
    return scaled


def find_channels(network: Network) -> Channels:
    """The factors that a network leaves free; those that must be equal or 1 are one.

    Reorg mixes channels, so that all of its input have one factor; a logistic activation and the last convolution have
    none.
    """
    outputs: dict[int, np.ndarray] = {}
    inputs: dict[int, np.ndarray] = {}
    results: list[np.ndarray] = []
    same = [FIXED]  # of each factor, the one that it is equal to

    def merge(ids: np.ndarray) -> None:
        roots = {_root(same, each) for each in ids}
        for root in roots:
            same[root] = min(roots)

    x = np.full(network.channels, FIXED)
    for index, section in enumerate(network.sections):
        match section:
            case Convolution(filters, activation=activation):
                inputs[index], outputs[index] = x, np.arange(len(same), len(same) + filters)
                same += outputs[index].tolist()
                x = outputs[index]
                if activation == 'logistic':
                    merge(np.append(x, FIXED))
            case Route(layers):
                x = np.concatenate([results[index + layer] for layer in layers])
            case Reorg(stride):
                merge(x)
                x = np.full(len(x) * stride**2, x[0])
            case Region():
                merge(np.append(x, FIXED))
            case MaxPool() | AveragePool() | Cost():
                pass  # each channel for itself
        results.append(x)
    roots = np.array([_root(same, each) for each in range(len(same))])
    return Channels({i: roots[ids] for i, ids in outputs.items()}, {i: roots[ids] for i, ids in inputs.items()})


def _root(same: list[int], each: int) -> int:
    while same[each] != each:
        each = same[each]
    return each
