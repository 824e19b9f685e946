"""Resizing in the graph against OpenCV: the same bytes."""

import numpy as np
import pytest
import tensorflow as tf

from yolo.data import images
from yolo.export import resizing
from yolo.geometry.letterbox import RESIZES, inner_pixels

SIZES = [(375, 500), (97, 33), (500, 333), (1, 1), (1, 500), (3, 2000), (832, 832), (832, 416), (416, 416), (44, 76)]
SIZES += [(int(h), int(w)) for h, w in np.random.default_rng(1).integers(1, 700, (8, 2))]


@pytest.fixture(scope='module')
def resize():
    return tf.function(resizing.resize, reduce_retracing=True)


@pytest.mark.slow
@pytest.mark.parametrize('how', RESIZES)
@pytest.mark.parametrize('canvas', [(416, 416), (96, 160), (224, 64)])
def test_integers_are_those_of_opencv_and_floats_are_near(resize, canvas, how):
    rng = np.random.default_rng(0)
    for size in SIZES:
        photos = rng.integers(0, 256, (2, *size, 3), dtype=np.uint8)
        expected = np.stack([images.resize(photo, canvas, how) for photo in photos])
        np.testing.assert_array_equal(resize(tf.constant(photos), canvas, how), expected, str(size))
        floats = resize(tf.constant(photos / np.float32(255)), canvas, how).numpy() * 255
        assert np.abs(floats - expected).max() <= 1.01, size  # OpenCV rounds twice


def test_places_are_those_of_the_library():
    sizes = np.random.default_rng(2).integers(1, 5000, (500, 2)).astype(np.int32)
    for how in RESIZES:
        placed = resizing.place(tf.constant(sizes[:, 0]), tf.constant(sizes[:, 1]), (416, 320), how)
        expected = inner_pixels(sizes, (416, 320), how)
        np.testing.assert_array_equal(np.stack(np.broadcast_arrays(*placed, sizes[:, 0])[:4], -1), expected)
