"""`--jitter_around=photo`: images in the photo's shape, as Darknet draws them (src/data.c, load_data_detection)."""

import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf
from training_runs import make_small_config, one_device

from yolo.data import augment, pipeline
from yolo.training import batches, checks

SEED = tf.constant([3, 7], tf.int64)
SIZES = np.random.default_rng(0).integers(50, 900, (300, 2))  # height, width of photos


def place_as_darknet(photo, canvas, jitter, numbers):
    """Width, height, left, top in pixels of a photo (height, width) on a canvas (height, width), in Darknet's words.

    numbers: uniform 0..1, for width, height, left, top.
    """
    h, w = canvas
    dw, dh = jitter * photo[1], jitter * photo[0]
    new_ar = (photo[1] + (2 * numbers[0] - 1) * dw) / (photo[0] + (2 * numbers[1] - 1) * dh)
    if new_ar < 1:
        nh = h
        nw = nh * new_ar
    else:
        nw = w
        nh = nw / new_ar
    return nw, nh, numbers[2] * (w - nw), numbers[3] * (h - nh)


def draw(ranges, sizes, canvas):
    aspects = augment.relative_aspects(tf.constant(sizes), canvas)
    return augment.random_augmentation(len(sizes), ranges, SEED, aspects=aspects)[0].numpy()


def test_photos_lie_where_darknet_places_them():
    warp = draw(augment.Ranges(jitter=0.3, flip=0.0), SIZES, (416, 416))
    numbers = tf.random.stateless_uniform((9, len(SIZES)), SEED).numpy()[[0, 1, 3, 4]].T.astype(float)
    for photo, of_photo, got in zip(SIZES, numbers, warp * 416, strict=True):
        np.testing.assert_allclose(got, place_as_darknet(photo, (416, 416), 0.3, of_photo), atol=1e-2)
    flipped = draw(augment.Ranges(jitter=0.3, flip=1.0), SIZES, (416, 416))
    np.testing.assert_allclose(flipped[:, 0], -warp[:, 0])
    np.testing.assert_allclose(flipped[:, 2], warp[:, 2] + warp[:, 0], atol=1e-6)


@pytest.mark.parametrize('canvas', [(416, 416), (320, 640), (640, 320)])
def test_without_jitter_a_photo_is_whole_in_its_own_shape_and_as_large_as_fits(canvas):
    warp = draw(augment.Ranges(jitter=0.0, flip=0.0), SIZES, canvas)
    width, height = warp[:, 0] * canvas[1], warp[:, 1] * canvas[0]
    np.testing.assert_allclose(width / height, SIZES[:, 1] / SIZES[:, 0], rtol=1e-5)
    np.testing.assert_allclose(warp[:, :2].max(1), 1, rtol=1e-5)
    assert warp[:, 2:].min() >= -1e-6
    assert (warp[:, :2] + warp[:, 2:]).max() <= 1 + 1e-5


STILL = augment.Ranges(jitter=0.0, around_photo=True)


def test_a_batch_takes_the_shapes_of_its_photos(records_dir):
    """Photos of the records are 3 : 2, their stored images square."""
    batch = next(iter(pipeline.training_batches(records_dir, 'train', 8, 0, STILL)))
    np.testing.assert_allclose(np.abs(batch['warp'].numpy()[:, :2]), np.tile([1, 2 / 3], (8, 1)), atol=1e-6)
    assert set(batch) == {'image', 'boxes', 'labels', 'warp', 'colour'}


@pytest.mark.slow
def test_mosaics_have_no_shape_and_shards_are_parts_of_the_batch(records_dir):
    still, args = STILL, (records_dir, 'train', 8, 0)
    for ranges in (still, dataclasses.replace(still, mosaic=0.5)):
        for batch in itertools.islice(pipeline.training_batches(*args, ranges), 3):
            whole = np.abs(batch['warp'].numpy()[:, :2])
            is_photo = np.isclose(whole, [1, 2 / 3], atol=1e-6).all(1)
            assert (is_photo | (whole == 1).all(1)).all()
            assert is_photo.all() if not ranges.mosaic else 0 < is_photo.sum() < 8
    own, usual = (
        next(iter(pipeline.training_batches(*args, dataclasses.replace(still, around_photo=around))))
        for around in (True, False)
    )
    np.testing.assert_array_equal(own['image'], usual['image'])
    np.testing.assert_array_equal(own['colour'], usual['colour'])
    parts = [
        next(iter(pipeline.training_batches(*args, still, shard=pipeline.InputShard(i, 2))))['warp'] for i in (0, 1)
    ]
    np.testing.assert_array_equal(np.concatenate(parts), own['warp'])


def test_the_setting_and_what_it_does_not_go_with(records_dir, tmp_path):
    config = make_small_config(records_dir, tmp_path, jitter_around='photo')
    assert batches.augmentation_ranges(config).around_photo
    assert not batches.augmentation_ranges(dataclasses.replace(config, jitter_around='stored')).around_photo
    checks.check_config(config, one_device())
    for change, message in (
        ({'augment': False}, r'--jitter_around=photo needs --augment'),
        ({'mosaic': 1.0}, r'--jitter_around=photo does nothing with --mosaic=1,.* --jitter_around=stored'),
        ({'resize': 'letterbox'}, r'--resize=stretch; in those of --resize=letterbox .*--jitter_around=stored'),
    ):
        with pytest.raises(ValueError, match=message):
            checks.check_config(dataclasses.replace(config, **change), one_device())
