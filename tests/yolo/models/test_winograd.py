"""Winograd's convolutions against TensorFlow's in float64: outputs, gradients, when they are taken, and where not."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from yolo.models import layers, winograd
from yolo.models import winograd_transforms as transforms

# (B, H, W, C), K: one block; several blocks of images; of filters; of filters and laid out as one picture; odd sides.
SHAPES = [
    ((1, 8, 8, 65), 64),
    ((3, 9, 11, 64), 70),
    ((4, 52, 52, 64), 64),
    ((2, 16, 18, 640), 512),
    ((4, 13, 13, 512), 576),
]


def with_gradients(convolve, *arrays: np.ndarray, dtype=tf.float64) -> list[np.ndarray]:
    """Outputs and the gradients to inputs and kernel."""
    inputs, kernel, upstream = (tf.constant(array, dtype) for array in arrays)
    with tf.GradientTape() as tape:
        tape.watch([inputs, kernel])
        outputs = convolve(inputs, kernel)
    return [each.numpy() for each in (outputs, *tape.gradient(outputs, [inputs, kernel], upstream))]


def plain(inputs, kernel):
    return tf.nn.conv2d(inputs, kernel, 1, 'SAME')


def compiled(inputs, kernel):
    return tf.function(winograd.convolve, jit_compile=True, autograph=False)(inputs, kernel)


def relative_error(values: np.ndarray, expected: np.ndarray) -> float:
    """The root of the mean squared error, in units of that of the expected values."""
    return float(np.sqrt(np.mean((values - expected) ** 2) / np.mean(expected**2)))


def draw(shape: tuple[int, ...], filters: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(each) for each in (shape, (3, 3, shape[-1], filters), (*shape[:3], filters))]


@pytest.mark.parametrize(('shape', 'filters'), SHAPES)
def test_outputs_and_gradients(shape, filters):
    arrays = draw(shape, filters)
    expected = with_gradients(plain, *arrays)
    results = with_gradients(winograd.convolve, *arrays, dtype=tf.float32)
    errors = [relative_error(value, truth) for value, truth in zip(results, expected, strict=True)]
    assert max(errors) < 4e-6


@pytest.mark.parametrize(('shape', 'filters'), SHAPES[1:2])
@pytest.mark.slow
def test_compiled_by_xla_twice_the_same_bits(shape, filters):
    arrays = draw(shape, filters)
    expected = with_gradients(plain, *arrays)
    first, second = (with_gradients(compiled, *arrays, dtype=tf.float32) for _ in range(2))
    for value, again, truth in zip(first, second, expected, strict=True):
        assert relative_error(value, truth) < 4e-6
        np.testing.assert_array_equal(value, again)


def test_transforms_are_exact_in_float64():
    to_outputs, of_kernel, of_inputs = transforms.matrices()
    rng = np.random.default_rng(1)
    inputs, kernel = rng.standard_normal(6), rng.standard_normal(3)
    outputs = to_outputs @ ((of_kernel @ kernel) * (of_inputs @ inputs))
    np.testing.assert_allclose(outputs, [inputs[i : i + 3] @ kernel for i in range(4)], rtol=1e-12)


def test_arrangement_takes_the_fewest_tiles():
    assert winograd.arrangement(8, 13, 13) == (2, 4)  # 98 tiles in place of 128
    assert winograd.arrangement(8, 16, 16) == (0, 0)  # whole tiles already
    assert winograd.arrangement(7, 13, 13) == (1, 7)


@pytest.mark.parametrize(
    ('shape', 'kernel', 'dtype'),
    [
        ((2, 8, 8, 64), (1, 1, 64, 64), 'float32'),
        ((2, 8, 8, 63), (3, 3, 63, 64), 'float32'),
        ((2, 8, 8, 64), (3, 3, 64, 63), 'float32'),
        ((2, 7, 8, 64), (3, 3, 64, 64), 'float32'),
        ((2, 8, 8, 64), (3, 3, 64, 64), 'bfloat16'),
        ((None, 8, 8, 64), (3, 3, 64, 64), 'float32'),
    ],
)
def test_where_it_does_not_pay(shape, kernel, dtype):
    with winograd.enabled():
        assert not winograd.pays(tf.TensorSpec(shape, dtype), tf.TensorSpec(kernel, dtype))
        assert winograd.pays(tf.TensorSpec((2, 8, 8, 64)), tf.TensorSpec((3, 3, 64, 64)))
    assert not winograd.pays(tf.TensorSpec((2, 8, 8, 64)), tf.TensorSpec((3, 3, 64, 64)))


@pytest.mark.parametrize(
    'options', [{'padding': 'same'}, {'padding': 'valid'}, {'strides': 2}, {'dilation_rate': 2}, {'groups': 2}]
)
def test_layer_equals_that_of_keras(options, monkeypatch):
    options = {'padding': 'same', **options}
    inputs = np.random.default_rng(2).standard_normal((2, 9, 10, 64)).astype(np.float32)
    own, of_keras = (cls(64, 3, **options) for cls in (layers.Conv2D, keras.layers.Conv2D))
    expected = of_keras(inputs).numpy()
    own.build(inputs.shape)
    own.set_weights(of_keras.get_weights())
    np.testing.assert_array_equal(own(inputs), expected)
    calls = []
    convolve = winograd.convolve
    monkeypatch.setattr(winograd, 'convolve', lambda *args: calls.append(args) or convolve(*args))
    with winograd.enabled():
        np.testing.assert_allclose(own(inputs), expected, atol=2e-5)
    assert len(calls) == (options == {'padding': 'same'})
