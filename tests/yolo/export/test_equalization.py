"""Factors moved between convolutions: the same results to the last bit, and more equal channels."""

import dataclasses

import numpy as np
import pytest
import random_networks
import tensorflow as tf
from random_networks import ANCHORS, SIZE

from yolo.export import draft, equalization, quantization
from yolo.export.tflite_graph import forward
from yolo.models import spec
from yolo.models.folding import FoldedNetwork, Weights, fold


def uneven(folded: FoldedNetwork) -> FoldedNetwork:
    """The same network, but for the channels of the first convolution, whose ranges are far from each other."""
    first, after = 0, min(index for index in folded.weights if index)
    size = len(folded.weights[first].bias)
    factors = 2.0 ** np.round(np.linspace(-6, 6, size)).astype(np.float32)
    weights = dict(folded.weights)
    weights[first] = Weights(weights[first].kernel * factors, weights[first].bias * factors)
    weights[after] = Weights(weights[after].kernel / factors[:, None], weights[after].bias)
    return dataclasses.replace(folded, weights=weights)


def equalized(folded: FoldedNetwork, images: np.ndarray) -> FoldedNetwork:
    measured = quantization.measure(folded, images)
    return equalization.equalize(folded, {index: measured.largest(str(index)) for index in folded.weights})


@pytest.mark.parametrize('name', [pytest.param('yolov2', marks=pytest.mark.slow), 'yolov2-tiny'])
def test_results_are_the_same_and_channels_more_equal(name):
    folded, images = draft.at_size(fold(random_networks.randomized(name)), SIZE), random_networks.images(SIZE, 4)
    values = tf.constant(images / 255, tf.float32)
    spoilt = uneven(folded)
    expected = forward(folded, values)
    np.testing.assert_array_equal(forward(spoilt, values), expected)
    mended, other = equalized(spoilt, images), equalized(folded, images)
    np.testing.assert_array_equal(forward(mended, values), expected)
    for index in folded.weights:  # whatever the ranges were before
        np.testing.assert_array_equal(mended.weights[index].kernel, other.weights[index].kernel)
        np.testing.assert_array_equal(mended.weights[index].bias, other.weights[index].bias)

    largest = quantization.measure(mended, images).largest('0')
    weights = np.abs(mended.weights[min(index for index in mended.weights if index)].kernel).max((0, 1, 3))
    ratios = largest / weights
    assert ratios.max() <= 4 * ratios.min()  # factors are rounded to powers of two


def test_channels_that_are_mixed_or_not_linear_keep_one_factor():
    network = spec.Network(
        (
            spec.Convolution(4, 1, padding=0, norm=False),
            spec.Convolution(4, 1, padding=0, norm=False, activation='logistic'),
            spec.Convolution(8, 1, padding=0, norm=False),
            spec.Reorg(2),
            spec.Route((-3,)),
            spec.Convolution(4, 3, 2, 1, norm=False),
            spec.Route((-1, -3)),
            spec.Convolution(16, 1, padding=0, norm=False, activation='linear'),
            spec.make_region(ANCHORS, 3),
        ),
        SIZE,
    )
    channels = equalization.find_channels(network)
    assert len(set(channels.outputs[0])) == 4  # each its own
    assert set(channels.outputs[1]) == {equalization.FIXED}  # sigmoid(x / 2) is not sigmoid(x) / 2
    assert len(set(channels.outputs[2])) == 1  # reorg takes parts of several channels for one
    assert set(channels.outputs[7]) == {equalization.FIXED}  # what is decoded
    np.testing.assert_array_equal(channels.inputs[7], [*channels.outputs[5], *[channels.outputs[2][0]] * 32])
    np.testing.assert_array_equal(channels.inputs[0], [equalization.FIXED] * 3)


def test_class_logits_are_centred_at_every_place():
    folded = draft.at_size(fold(random_networks.randomized('yolov2-tiny')), SIZE)
    images = tf.constant(random_networks.images(SIZE, 2) / 255, tf.float32)
    raw, centred = (
        forward(each, images).numpy().reshape(2, -1, 8) for each in (folded, quantization.centre_classes(folded))
    )
    np.testing.assert_allclose(centred[..., 5:].mean(-1), 0, atol=1e-5)
    np.testing.assert_array_equal(centred[..., :5], raw[..., :5])
    np.testing.assert_allclose(np.diff(centred[..., 5:]), np.diff(raw[..., 5:]), atol=1e-4)


def test_biases_make_good_what_rounding_the_kernels_adds_to_the_means():
    folded, images = (
        draft.at_size(fold(random_networks.randomized('yolov2-tiny')), SIZE),
        random_networks.images(SIZE, 4),
    )
    first = np.zeros_like(folded.weights[0].kernel)
    first[1, 1, 0], first[1, 2, 0], first[0] = 0.9971, -1.0, 0.00311  # sums up to little; rounded to another sum
    folded = dataclasses.replace(folded, weights={**folded.weights, 0: Weights(first, folded.weights[0].bias)})
    mean = quantization.measure(folded, images).mean
    np.testing.assert_allclose(mean['image'], (images / 255).mean((0, 1, 2)), atol=1e-4)
    exact = [quantization.measure(folded, images).mean['0']]
    for weights in (folded.weights[0], quantization.correct_biases(folded, mean).weights[0]):
        rounded = Weights(quantization._round_kernel(0, weights).numpy(), weights.bias)
        changed = dataclasses.replace(folded, weights={**folded.weights, 0: rounded})
        exact.append(quantization.measure(changed, images).mean['0'])
    expected, rounded_only, corrected = exact
    assert np.abs(corrected - expected).max() < 0.2 * np.abs(rounded_only - expected).max()
