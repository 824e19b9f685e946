"""Grey images: one formula everywhere, and the same pixels through every stage as three equal channels have."""

import cv2
import numpy as np
import pytest
import tensorflow as tf
from conftest import write_records

from yolo.data import augment, damage, grey, images, mosaic, parsing, pipeline, records
from yolo.export import resizing


def picture(channels: int = 3, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    return grey.to_channels(cv2.GaussianBlur(noise, (0, 0), 2), channels)


def all_colours() -> np.ndarray:
    """Every fifth level of each colour, with both ends: (52, 52 * 52, 3) uint8."""
    levels = np.arange(0, 256, 5, dtype=np.uint8)
    return np.stack(np.meshgrid(levels, levels, levels, indexing='ij'), -1).reshape(len(levels), -1, 3)


def test_grey_is_opencvs_and_at_most_one_more_than_darknets():
    colours = all_colours()
    red, green, blue = np.moveaxis(colours.astype(np.int64), -1, 0)
    found = grey.to_channels(colours, 1)[..., 0]
    np.testing.assert_array_equal(found, (9798 * red + 19235 * green + 3735 * blue + (1 << 14)) >> 15)
    np.testing.assert_array_equal(found, cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY))
    np.testing.assert_allclose(found, 0.299 * red + 0.587 * green + 0.114 * blue, atol=0.51)
    above = found - ((77 * red + 150 * green + 29 * blue) >> 8)  # stb_image, which Darknet reads images with
    assert set(np.unique(above)) == {0, 1}


def test_the_order_of_the_colours_is_known_and_the_graph_computes_the_same():
    colours = all_colours()
    found = grey.to_channels(colours, 1)
    np.testing.assert_array_equal(grey.to_channels(np.ascontiguousarray(colours[..., ::-1]), 1, is_bgr=True), found)
    np.testing.assert_array_equal(resizing.to_grey(tf.constant(colours)), found)
    assert np.any(grey.to_channels(colours, 1, is_bgr=True) != found)


def test_what_is_grey_stays_as_it_is():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    three = grey.to_channels(levels, 3)
    assert three.shape == (16, 16, 3)
    np.testing.assert_array_equal(grey.to_channels(three, 1), levels)
    assert grey.to_channels(levels, 1) is levels


@pytest.mark.parametrize('how', ['stretch', 'letterbox'])
@pytest.mark.parametrize('size', [(32, 96), (64, 32), (40, 60)])
def test_resizing_grey_is_resizing_three_equal_channels(how, size):
    image = picture(1)
    found = images.resize(image, size, how)
    assert found.shape == (*size, 1)
    np.testing.assert_array_equal(images.resize(grey.to_channels(image, 3), size, how), np.repeat(found, 3, 2))


def describe(how: str, channels: int = 1) -> records.Description:
    return records.Description(('a',), (40, 60), ((1, 1),), '', 0, 95, {}, '', image_format=how, channels=channels)


@pytest.mark.parametrize(('how', 'tolerance'), [('jpeg', 6), ('png', 0), ('raw', 0)])
def test_stored_grey_images_have_one_channel_and_come_back(how, tolerance):
    image = picture(1)
    data = images.encode_stored(image, how, 95)
    assert len(data) < len(images.encode_stored(grey.to_channels(image, 3), how, 95))
    decoded = images.decode_stored(data, how, (40, 60), 1)
    np.testing.assert_allclose(decoded.astype(int), image, atol=tolerance)
    np.testing.assert_array_equal(parsing.decode_image(tf.constant(data), describe(how), (40, 60)).numpy(), decoded)
    with pytest.raises(ValueError, match='60 x 41'):
        images.decode_stored(data, how, (41, 60), 1)
    if how == 'raw':
        assert len(data) == 40 * 60
        record = records.Record('x', data, (1, 1), np.zeros((0, 4)), np.zeros(0), np.zeros(0), np.zeros((0, 3)))
        assert not list(damage.unreadable(describe(how), record, describe(how).image_size))
        (reason,) = damage.unreadable(describe(how, 3), record, describe(how).image_size)
        assert reason == '2400 bytes are no raw image of 60 x 40 with 3 channels'


@pytest.mark.parametrize('colour', [[0.1, 1.5, 1.4], [-0.05, 0.7, 0.6], [0, 1, 1]])
def test_grey_images_change_in_brightness_as_three_equal_channels_do(colour):
    images_1 = tf.constant(picture(1)[None], tf.float32) / 255
    changes = tf.constant([colour], tf.float32)
    found = augment.distort_colours(images_1, changes)
    assert found.shape == (1, 40, 60, 1)
    in_colour = augment.distort_colours(tf.repeat(images_1, 3, -1), changes)
    np.testing.assert_allclose(in_colour, tf.repeat(found, 3, -1), atol=1e-6)
    assert np.any(found != images_1) == (colour[2] != 1)


def test_mosaics_of_grey_images_are_those_of_three_equal_channels():
    group = [picture(1, seed) for seed in range(4)]
    mosaics = mosaic.random_mosaics(4, 0.7, (40, 60), tf.constant([3, 1], tf.int64))
    assert 0 < np.sum(mosaics.chosen) <= 4
    found = mosaic.compose([tf.constant(each) for each in group], mosaics)
    in_colour = mosaic.compose([tf.constant(grey.to_channels(each, 3)) for each in group], mosaics)
    np.testing.assert_array_equal(in_colour, np.repeat(found, 3, -1))


@pytest.mark.slow
def test_batches_of_grey_records_have_one_channel_in_training_and_evaluation(tmp_path):
    folder = write_records(tmp_path / 'grey', channels=1)
    in_colour = write_records(tmp_path / 'colour')
    ranges = augment.Ranges(mosaic=0.5)
    batches = [next(iter(pipeline.training_batches(each, 'train', 4, 7, ranges))) for each in (folder, in_colour)]
    shapes = [tuple(pipeline.augment_images(batch, (64, 96)).shape) for batch in batches]
    assert shapes == [(4, 64, 96, 1), (4, 64, 96, 3)]
    for name in ('boxes', 'labels', 'warp', 'colour'):
        np.testing.assert_array_equal(batches[0][name], batches[1][name])
    expected = np.stack([grey.to_channels(each, 1) for each in batches[1]['image'].numpy()])
    assert np.abs(batches[0]['image'].numpy().astype(int) - expected).mean() < 2  # JPEGs of grey and of colours
    (evaluated,) = pipeline.evaluation_batches(folder, 'test', 8)
    assert evaluated['image'].shape == (8, 96, 96, 1)
