"""Batch norm folded into the convolutions before it: the same network with fewer operations, for inference."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from yolo.models.build import DarknetModel
from yolo.models.layers import EPSILON
from yolo.models.spec import Convolution, Network


@dataclasses.dataclass(frozen=True)
class Weights:
    """The numbers of one convolution: kernel (height, width, inputs, filters) and bias (filters,), float32."""

    kernel: np.ndarray
    bias: np.ndarray


@dataclasses.dataclass(frozen=True)
class FoldedNetwork:
    """A network without batch norm, and its weights by the index of their section; seen: images of its training."""

    network: Network
    weights: Mapping[int, Weights]
    seen: int = 0


def fold(model: DarknetModel) -> FoldedNetwork:
    """The network of a model with every batch norm folded into the kernel and bias of its convolution.

    (x - mean) / (sqrt(variance) + 1e-6) * gamma + beta is linear in x, so the factor goes into the kernel and the rest
    into the bias; computed in float64. FloatingPointError, naming one, if weights are not finite.
    """
    model.check_finite()
    sections = list(model.network.sections)
    weights = {}
    for index, layer, norm in model.convolutions():
        kernel = np.asarray(layer.kernel, np.float64)
        if norm is None:
            bias = np.asarray(layer.bias, np.float64)
        else:
            gamma, beta, mean, variance = (
                np.asarray(each, np.float64) for each in (norm.gamma, norm.beta, norm.mean, norm.variance)
            )
            scale = gamma / (np.sqrt(np.maximum(variance, 0)) + EPSILON)
            kernel, bias = kernel * scale, beta - mean * scale
        weights[index] = Weights(kernel.astype(np.float32), bias.astype(np.float32))
        sections[index] = _without_norm(sections[index])
    return FoldedNetwork(dataclasses.replace(model.network, sections=tuple(sections)), weights, model.seen)


def _without_norm(section) -> Convolution:
    return dataclasses.replace(section, norm=False)


def build_folded(folded: FoldedNetwork) -> DarknetModel:
    """The Keras model of a folded network."""
    model = DarknetModel(folded.network, folded.seen)
    for index, layer, _ in model.convolutions():
        layer.kernel.assign(folded.weights[index].kernel)
        layer.bias.assign(folded.weights[index].bias)
    return model
