"""What a model takes (uint8 or float images, anywhere), and the .keras files that it reads."""

import io
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import DATA

from yolo.data.pipeline import evaluation_batches
from yolo.models import DarknetModel, cfg, model_folder

OLD = DATA / 'version_0_1'


def small_model() -> DarknetModel:
    model = DarknetModel(cfg.read(str(DATA / 'small.cfg')))
    assert model.convolutions()
    return model


def uint8_images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)


@pytest.mark.parametrize('policy', ['float32', 'mixed_bfloat16'])
def test_uint8_images_are_scaled_to_the_same_numbers_as_by_hand(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = small_model()
    finally:
        keras.config.set_dtype_policy(before)
    images = uint8_images()
    expected = model(images.astype(np.float32) / 255).numpy()
    tensor = tf.constant(images)
    in_graph = tf.function(lambda x: model(x, training=False))
    mapped = next(iter(tf.data.Dataset.from_tensors(images).map(lambda x: model(x, training=False))))
    for how, raw in {
        'array': model(images),
        'tensor': model(tensor),
        'float tensor': model(tf.cast(tensor, tf.float32) / 255),
        'tf.function': in_graph(tensor),
        'Dataset.map': mapped,
        'predict': model.predict(images, verbose=0),
        'inside another model': keras.Sequential([keras.Input((64, 96, 3), dtype='uint8'), model])(images),
    }.items():
        # A graph may fuse operations, which differs in the last bits; a factor of 255 would be far beyond.
        tolerance = 0 if how in ('array', 'tensor', 'float tensor') else 0.05 if 'mixed' in policy else 1e-4
        np.testing.assert_allclose(raw, expected, rtol=0, atol=tolerance * np.abs(expected).max(), err_msg=how)
    assert np.abs(expected - model(images.astype(np.float32)).numpy()).max() > 0.1 * np.abs(expected).max()


@pytest.mark.parametrize('dtype', [np.int32, np.uint16, bool])
def test_other_integers_are_refused(dtype):
    with pytest.raises(TypeError, match=r'give uint8 0\.\.255, or float 0\.\.1'):
        small_model()(uint8_images().astype(dtype))


def test_a_keras_file_of_version_0_1_is_read():
    model = keras.models.load_model(OLD / 'model.keras')
    assert isinstance(model, DarknetModel)
    batch = next(iter(evaluation_batches(str(OLD / 'records'), 'test', 2)))
    expected = np.load(OLD / 'expected.npz')['raw_step_4']
    np.testing.assert_allclose(model(tf.cast(batch['image'], tf.float32) / 255), expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(model(batch['image']), model(tf.cast(batch['image'], tf.float32) / 255))


def test_other_keras_files_are_refused_by_path(tmp_path):
    (tmp_path / 'text.keras').write_text('no')
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / 'other.keras')
    for name, message in (
        ('text.keras', 'not a .keras file'),
        ('none.keras', 'not a .keras file'),
        ('other.keras', 'holds a Sequential, not a model of this project'),
    ):
        with pytest.raises(ValueError, match=f'{name}.*{message}'):
            model_folder.load_keras(str(tmp_path / name))


def test_weights_that_are_not_finite_are_named():
    model = small_model()
    model.check_finite()
    index, conv, _ = model.convolutions()[1]
    kernel = conv.kernel.numpy()
    kernel[0, 0, 0, 0] = np.nan
    conv.kernel.assign(kernel)
    with pytest.raises(FloatingPointError, match=f'conv_{index}/kernel are not finite'):
        model.check_finite()


def test_a_damaged_keras_file_is_refused_by_path(tmp_path):
    """A byte of the weights whose checksum fails, and HDF5 that no longer hangs together under a good one."""
    data = (OLD / 'model.keras').read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        parts = {name: file.read(name) for name in file.namelist()}
        start = data.find(parts['model.weights.h5'])
    assert start > 0  # stored, not compressed
    place = start + len(parts['model.weights.h5']) // 2
    (tmp_path / 'bit.keras').write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    with pytest.raises(ValueError, match=r'bit\.keras: .*the checksum of model\.weights\.h5 fails'):
        model_folder.load_keras(str(tmp_path / 'bit.keras'))
    weights = bytearray(parts['model.weights.h5'])
    for at in range(1000, len(weights), 97):
        weights[at] ^= 0x55
    with zipfile.ZipFile(tmp_path / 'tree.keras', 'w') as file:
        for name, part in parts.items():
            file.writestr(name, bytes(weights) if name == 'model.weights.h5' else part)
    with pytest.raises(ValueError, match=r'tree\.keras: not a \.keras file of a model'):
        model_folder.load_keras(str(tmp_path / 'tree.keras'))
