"""Fast convolutions against TensorFlow's in float64: outputs, gradients, which one is taken, and where none."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from yolo.models import fast_convolutions, layers, patches, winograd
from yolo.models import winograd_transforms as transforms

# (B, H, W, C), K: one block; less than a tile; several blocks of images; of filters; of filters and laid out as one
# picture; odd sides.
SHAPES = [
    ((1, 8, 8, 65), 64),
    ((2, 2, 3, 64), 64),
    ((3, 9, 11, 64), 70),
    ((4, 52, 52, 64), 64),
    ((2, 16, 18, 640), 512),
    ((4, 13, 13, 512), 576),
]
CASES = [(winograd.convolve, *case) for case in SHAPES] + [(patches.convolve, *case) for case in SHAPES[:3]]


def with_gradients(convolve, *arrays: np.ndarray, dtype=tf.float64) -> list[np.ndarray]:
    """Outputs and the gradients to inputs and kernel."""
    inputs, kernel, upstream = (tf.constant(array, dtype) for array in arrays)
    with tf.GradientTape() as tape:
        tape.watch([inputs, kernel])
        outputs = convolve(inputs, kernel)
    return [each.numpy() for each in (outputs, *tape.gradient(outputs, [inputs, kernel], upstream))]


def plain(inputs, kernel):
    return tf.nn.conv2d(inputs, kernel, 1, 'SAME')


def compiled(convolve):
    return tf.function(convolve, jit_compile=True, autograph=False)


def relative_error(values: np.ndarray, expected: np.ndarray) -> float:
    """The root of the mean squared error, in units of that of the expected values."""
    return float(np.sqrt(np.mean((values - expected) ** 2) / np.mean(expected**2)))


def draw(shape: tuple[int, ...], filters: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(each) for each in (shape, (3, 3, shape[-1], filters), (*shape[:3], filters))]


@pytest.mark.parametrize(('convolve', 'shape', 'filters'), CASES)
def test_outputs_and_gradients(convolve, shape, filters):
    arrays = draw(shape, filters)
    expected = with_gradients(plain, *arrays)
    results = with_gradients(convolve, *arrays, dtype=tf.float32)
    errors = [relative_error(value, truth) for value, truth in zip(results, expected, strict=True)]
    assert max(errors) < 4e-6


@pytest.mark.parametrize('convolve', [winograd.convolve, patches.convolve])
@pytest.mark.slow
def test_compiled_by_xla_twice_the_same_bits(convolve):
    shape, filters = SHAPES[2]
    arrays = draw(shape, filters)
    expected = with_gradients(plain, *arrays)
    first, second = (with_gradients(compiled(convolve), *arrays, dtype=tf.float32) for _ in range(2))
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
    assert winograd.num_tiles((8, 13, 13), 1024, 1024) == 98
    assert winograd.num_tiles((8, 16, 16), 1024, 1024) == 128
    assert winograd.num_tiles((8, 13, 13), 64, 64) == 128  # of a small kernel, in blocks of images, each by itself


def choice(shape: tuple[int | None, ...], kernel: tuple[int, ...], dtype: str = 'float32'):
    return fast_convolutions.choose(tf.TensorSpec(shape, dtype), tf.TensorSpec(kernel, dtype))


@pytest.mark.parametrize(
    ('shape', 'kernel', 'dtype'),
    [
        ((2, 8, 8, 64), (1, 1, 64, 64), 'float32'),
        ((2, 8, 8, 63), (3, 3, 63, 64), 'float32'),
        ((2, 8, 8, 64), (3, 3, 64, 63), 'float32'),
        ((2, 8, 8, 64), (3, 3, 64, 64), 'bfloat16'),
        ((None, 8, 8, 64), (3, 3, 64, 64), 'float32'),
    ],
)
def test_where_none_is_faster(shape, kernel, dtype):
    with fast_convolutions.enabled():
        assert choice(shape, kernel, dtype) is None
        assert choice((2, 8, 8, 64), (3, 3, 64, 64)) is not None


@pytest.mark.parametrize(
    ('images', 'convolve'),
    [
        ((4, 6, 6), patches.convolve),
        ((4, 8, 8), patches.convolve),
        ((4, 10, 10), patches.convolve),
        ((8, 8, 8), winograd.convolve),
        ((4, 12, 12), winograd.convolve),
        ((8, 13, 13), winograd.convolve),
        ((20, 5, 5), patches.convolve),
        ((1, 104, 104), winograd.convolve),
    ],
)
def test_few_outputs_do_not_pay_for_a_transformed_kernel(images, convolve):
    assert choice((*images, 64), (3, 3, 64, 64)) is None  # outside of `enabled`
    with fast_convolutions.enabled():
        assert choice((*images, 64), (3, 3, 64, 64)) is convolve


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
    convolve = patches.convolve
    monkeypatch.setattr(patches, 'convolve', lambda *args: calls.append(args) or convolve(*args))
    with fast_convolutions.enabled():
        np.testing.assert_allclose(own(inputs), expected, atol=2e-5)
    assert len(calls) == (options == {'padding': 'same'})
