import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from yolo import build_model
from yolo.models import build
from yolo.models.layers import BatchNorm, ReorgLayer


def count(weights):
    return sum(int(np.prod(weight.shape)) for weight in weights)


@pytest.fixture
def zero_weights(monkeypatch):
    """Weights of 0 in place of random ones: 50 million random numbers take a second, and are not what is counted."""
    monkeypatch.setattr(build, '_initializer', lambda norm: 'zeros')


def test_parameter_counts_of_the_notebook(zero_weights):
    model = build_model('yolov2', 20, np.ones((4, 2)))
    assert model.count_params() == 50_650_436
    assert count(model.trainable_variables) == 50_629_764


@pytest.mark.parametrize(('name', 'total'), [('yolov2', 50_676_061), ('yolov2-tiny', 15_867_885)])
def test_parameter_counts_of_darknet(name, total, zero_weights):
    assert build_model(name, 20, np.ones((5, 2))).count_params() == total


@pytest.mark.parametrize('name', ['yolov2', 'yolov2-tiny'])
@pytest.mark.parametrize(('height', 'width'), [(64, 64), (96, 160)])
def test_any_multiple_of_32(name, height, width):
    model = build_model(name, 3, np.ones((4, 2)), width=0.1)
    raw = model(np.random.default_rng(0).random((2, height, width, 3), np.float32))
    assert raw.shape == (2, height // 32, width // 32, 4, 8)
    assert raw.dtype == tf.float32


def test_unknown_model_and_width_are_refused():
    with pytest.raises(ValueError, match=r"'yolov3'.*yolov2, yolov2-tiny"):
        build_model('yolov3', 3, np.ones((4, 2)))
    with pytest.raises(ValueError, match='positive'):
        build_model('yolov2', 3, np.ones((4, 2)), width=0)


def test_saved_and_loaded_whole(tmp_path):
    model = build_model('yolov2', 3, np.ones((4, 2)), width=1 / 16)
    images = np.random.default_rng(0).random((1, 64, 64, 3), np.float32)
    model.save(tmp_path / 'm.keras')
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / 'm.keras')(images), model(images))


@pytest.mark.parametrize(('channels', 'stride'), [(4, 2), (8, 2), (18, 3)])
def test_reorg_is_darknets(channels, stride):
    height, width = 2 * stride, 3 * stride
    x = np.arange(2 * height * width * channels, dtype=np.float32).reshape(2, height, width, channels)
    flat_in = x.transpose(0, 3, 1, 2).reshape(2, -1)  # channel first, as Darknet keeps it
    flat_out, oc = np.empty_like(flat_in), channels // stride**2
    for k, j, i in itertools.product(range(channels), range(height), range(width)):
        offset = k // oc
        source = (i * stride + offset % stride) + width * stride * (
            (j * stride + offset // stride) + height * stride * (k % oc)
        )
        flat_out[:, i + width * (j + height * k)] = flat_in[:, source]
    expected = flat_out.reshape(2, channels * stride**2, height // stride, width // stride).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(ReorgLayer(stride)(x), expected)
    assert not np.array_equal(expected, tf.nn.space_to_depth(x, stride))


def test_batch_norm_in_training_and_after():
    rng = np.random.default_rng(0)
    x = rng.normal(3, [1e-4, 2, 5], (4, 3, 3, 3)).astype(np.float32)
    layer = BatchNorm()
    layer(x)
    layer.gamma.assign([1, 2, 3])
    layer.beta.assign([0.5, 0, -1])
    mean, variance = x.mean((0, 1, 2), dtype=float), x.var((0, 1, 2), ddof=1, dtype=float)
    expected = (x - mean) / (np.sqrt(variance) + 1e-6) * [1, 2, 3] + [0.5, 0, -1]
    np.testing.assert_allclose(layer(x, training=True)[..., 1:], expected[..., 1:], atol=1e-4)
    np.testing.assert_allclose(layer(x, training=True)[..., 0], expected[..., 0], atol=1e-2)  # 3 +- 1e-4 in float32
    np.testing.assert_allclose(layer.mean, mean * (1 - 0.99**2), rtol=1e-4)
    np.testing.assert_allclose(layer.variance, 0.99**2 + variance * (1 - 0.99**2), rtol=1e-4)
    after = (x - layer.mean.numpy()) / (np.sqrt(layer.variance.numpy()) + 1e-6) * [1, 2, 3] + [0.5, 0, -1]
    np.testing.assert_allclose(layer(x), after, rtol=1e-4, atol=1e-5)


def test_batch_norm_of_a_constant_channel_has_a_finite_gradient():
    layer = BatchNorm()
    x = tf.ones((2, 3, 3, 1))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(layer(x, training=True) ** 2)
    assert np.isfinite(tape.gradient(y, x)).all()


def test_pooling_of_stride_1_pads_at_the_end():
    model = build_model('yolov2-tiny', 3, np.ones((4, 2)), width=1 / 16)
    pool = next(layer for layer in model.layers if getattr(layer, 'pool_size', 0) and layer.strides == (1, 1))
    x = -np.arange(1, 10, dtype=np.float32).reshape(1, 3, 3, 1)  # falling, so a zero as padding would win
    np.testing.assert_array_equal(pool(x), x)
    np.testing.assert_array_equal(pool(-x)[0, ..., 0], [[5, 6, 6], [8, 9, 9], [8, 9, 9]])
