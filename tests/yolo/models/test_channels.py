"""Networks for grey images: against OpenCV's reader of Darknet's files, and the colour network they come from."""

import dataclasses

import keras
import numpy as np
import pytest
import random_networks
from test_darknet import GOLDEN, opencv_raw

import yolo
from yolo.models import cfg, conversion, model_folder, spec, weights
from yolo.models.architectures import build_spec
from yolo.models.build import DarknetModel, build_model
from yolo.models.channels import kernel_for_channels
from yolo.models.model_folder import ModelInfo

SLOW = pytest.mark.slow
ANCHORS = [(1.0, 2.0), (3.0, 3.0)]


def grey_images(number: int = 2, size: tuple[int, int] = random_networks.SIZE) -> np.ndarray:
    """Images (number, height, width, 1) uint8."""
    return random_networks.images(size, number)[..., :1].copy()


def in_channels(network: spec.Network, channels: int) -> spec.Network:
    return dataclasses.replace(network, channels=channels)


def golden(name: str, channels: int) -> DarknetModel:
    """Darknet's own small network, for images of so many channels."""
    model = yolo.load_darknet(str(GOLDEN / f'{name}.cfg'), str(GOLDEN / f'{name}.weights'))
    if channels == 3:
        return model
    grey = DarknetModel(in_channels(model.network, channels))
    weights.copy(model, grey)
    return grey


def test_a_kernel_for_grey_images_is_the_sum_and_back_gives_the_same():
    kernel = np.random.default_rng(0).normal(0, 1, (3, 3, 3, 8)).astype(np.float32)
    summed, done = kernel_for_channels(kernel, 1)
    assert summed.shape == (3, 3, 1, 8)
    np.testing.assert_allclose(summed[..., 0, :], kernel[..., 0, :] + kernel[..., 1, :] + kernel[..., 2, :], rtol=1e-6)
    assert 'summed' in done
    divided, done = kernel_for_channels(summed, 3)
    np.testing.assert_allclose(kernel_for_channels(divided, 1)[0], summed, rtol=1e-6)
    assert np.all(divided[:, :, :1] == divided)
    assert 'divided' in done


@pytest.mark.parametrize('name', [pytest.param('yolov2-w16', marks=SLOW), 'yolov2-tiny-w16'])
def test_weights_of_another_number_of_channels_give_the_same_for_grey_images(name):
    """Colour -> grey -> colour; the raw output of the grey network is that of three equal channels, to 1e-5."""
    colour, grey = golden(name, 3), golden(name, 1)
    images = grey_images(2, colour.network.image_size)
    expected = colour(np.repeat(images, 3, -1)).numpy()
    assert np.std(expected) > 0.1
    np.testing.assert_allclose(grey(images), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    back = DarknetModel(colour.network)
    loaded = weights.copy(grey, back)
    assert not loaded.random
    assert str(loaded).endswith(
        'conv_0 was for images with 1 channels: its kernel was divided among 3, which gives the same for grey images'
    )
    np.testing.assert_allclose(back(np.repeat(images, 3, -1)), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert np.abs(back(random_networks.images(colour.network.image_size, 2)) - expected).max() > 1e-3


def sources(tmp_path, model: DarknetModel) -> dict[str, str]:
    """The same model in files of every kind that --init_weights takes."""
    paths = {'weights': str(tmp_path / 'm.weights'), 'keras': str(tmp_path / 'm.keras'), 'run': str(tmp_path / 'run')}
    yolo.save_darknet(model, str(tmp_path / 'm.cfg'), paths['weights'])
    conversion.write_keras(model, paths['keras'])
    conversion.write_folder(model, ModelInfo(('a', 'b', 'c'), 'stretch'), paths['run'])
    return paths


@pytest.mark.parametrize('kind', ['weights', pytest.param('keras', marks=SLOW), pytest.param('run', marks=SLOW)])
def test_first_weights_come_from_any_file_of_a_colour_network(kind, tmp_path):
    colour = random_networks.randomized('yolov2-tiny')
    path = sources(tmp_path, colour)[kind]
    grey = DarknetModel(in_channels(colour.network, 1))
    loaded = model_folder.initialize(grey, path)
    assert loaded.random == ()
    assert 'conv_0 was for images with 3 channels: its kernel was summed over them' in str(loaded)
    images = grey_images()
    expected = colour(np.repeat(images, 3, -1)).numpy()
    np.testing.assert_allclose(grey(images), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.slow
def test_a_backbone_and_a_file_with_other_classes_are_read_as_far_as_they_go(tmp_path):
    colour = random_networks.randomized('yolov2-tiny')
    yolo.save_darknet(colour, str(tmp_path / 'm.cfg'), str(tmp_path / 'backbone.weights'), num_convolutions=7)
    yolo.save_darknet(colour, str(tmp_path / 'm.cfg'), str(tmp_path / 'm.weights'))
    summed = kernel_for_channels(colour.convolutions()[0][1].kernel.numpy(), 1)[0]
    for name, classes in (('backbone', 3), ('m', 5)):
        grey = DarknetModel(build_spec('yolov2-tiny', classes, ANCHORS, 0.1, channels=1))
        last = grey.convolutions()[-1][1].kernel.numpy()
        loaded = model_folder.initialize(grey, str(tmp_path / f'{name}.weights'))
        assert len(loaded.loaded) == {'backbone': 7, 'm': 8}[name]
        np.testing.assert_array_equal(grey.convolutions()[0][1].kernel, summed)
        np.testing.assert_array_equal(grey.convolutions()[-1][1].kernel, last)
        assert grey.seen == 77


def test_a_grey_file_stays_one_for_a_grey_network(tmp_path):
    grey = DarknetModel(build_spec('yolov2-tiny', 3, ANCHORS, 0.1, channels=1))
    yolo.save_darknet(grey, str(tmp_path / 'm.cfg'), str(tmp_path / 'm.weights'))
    again = DarknetModel(grey.network)
    loaded = model_folder.initialize(again, str(tmp_path / 'm.weights'))
    assert loaded.note == ''
    np.testing.assert_array_equal(again.convolutions()[0][1].kernel, grey.convolutions()[0][1].kernel)
    colour = DarknetModel(in_channels(grey.network, 3))
    assert 'divided among 3' in model_folder.initialize(colour, str(tmp_path / 'm.weights')).note


def test_a_file_that_could_be_either_is_refused(tmp_path):
    """One convolution more would fit by chance: 2 x 32 numbers of the first are two filters of the last."""
    first, last = spec.Convolution(32, 1, padding=0), spec.Convolution(12, 1, padding=0, norm=False)
    middle = spec.Convolution(31, 1, padding=0)
    network = spec.Network((first, middle, last), (32, 32))
    yolo.save_darknet(DarknetModel(network), str(tmp_path / 'm.cfg'), str(tmp_path / 'm.weights'))
    whole = (tmp_path / 'm.weights').read_bytes()
    (tmp_path / 'm.weights').write_bytes(whole + bytes(4 * 32))  # a head of 13 filters
    with pytest.raises(ValueError, match='grey images or for colour ones, by its length: give the folder that'):
        model_folder.initialize(DarknetModel(in_channels(network, 1)), str(tmp_path / 'm.weights'))


@pytest.mark.parametrize('name', [pytest.param('yolov2', marks=SLOW), 'yolov2-tiny'])
def test_opencv_computes_the_same_with_one_channel(name, tmp_path):
    model = DarknetModel(build_spec(name, 3, ANCHORS, 0.1, random_networks.SIZE, channels=1))
    rng = np.random.default_rng(1)
    for _, layer, norm in model.convolutions():
        layer.kernel.assign(rng.normal(0, 1 / np.sqrt(np.prod(layer.kernel.shape[:3])), layer.kernel.shape))
        if norm is not None:
            norm.mean.assign(rng.normal(0, 0.1, norm.mean.shape))
            norm.variance.assign(rng.uniform(0.5, 1, norm.variance.shape))
    yolo.save_darknet(model, str(tmp_path / 'm.cfg'), str(tmp_path / 'm.weights'))
    assert 'channels=1\n' in (tmp_path / 'm.cfg').read_text()
    images = grey_images().astype(np.float32) / 255
    raw = model(images).numpy()
    theirs = opencv_raw(tmp_path / 'm.cfg', tmp_path / 'm.weights', images).reshape(raw.shape)
    np.testing.assert_allclose(theirs, raw, rtol=0, atol=1e-4 * np.abs(raw).max())
    assert np.std(raw) > 1e-3
    again = yolo.load_darknet(str(tmp_path / 'm.cfg'), str(tmp_path / 'm.weights'))
    assert again.network == model.network
    np.testing.assert_array_equal(again(images), raw)
    assert sum(spec.num_weights(model.network)) == sum(spec.num_weights(in_channels(model.network, 3))) - 2 * 9 * (
        model.convolutions()[0][1].filters
    )


def test_a_keras_file_keeps_the_channels(tmp_path):
    model = DarknetModel(build_spec('yolov2-tiny', 1, ANCHORS, 0.05, channels=1))
    model.save(tmp_path / 'm.keras')
    again = keras.models.load_model(tmp_path / 'm.keras')
    assert again.network == model.network
    assert again.input_shape == (None, None, None, 1)
    assert build_model('yolov2-tiny', 1, ANCHORS, 0.05).network.channels == 3


@pytest.mark.parametrize('text', ['0', '2', '4', 'x'])
def test_other_numbers_of_channels_are_refused_by_line(text):
    lines = f'[net]\nwidth=32\nheight=32\nchannels={text}\n[convolutional]\nfilters=4\n'
    with pytest.raises(ValueError, match=rf'm\.cfg:4: \[net\] channels={text}: only 3 \(colour\) and 1 \(grey\)'):
        cfg.parse(lines, 'm.cfg')


def test_a_cfg_for_colours_is_fitted_to_grey_records():
    network = cfg.read(str(GOLDEN / 'yolov2-tiny-w16.cfg'))
    adapted = spec.adapt(network, 4, ANCHORS, (64, 96, 1))
    assert adapted.input_shape == (64, 96, 1)
    assert spec.adapt(adapted, 4, ANCHORS, (64, 96, 3)).channels == 3
    assert DarknetModel(adapted)(grey_images()).shape == (2, 2, 3, 2, 9)
