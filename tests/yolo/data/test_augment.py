import colorsys

import cv2
import numpy as np
import pytest
import tensorflow as tf

from yolo.data import augment

IDENTITY = np.array([[1.0, 1.0, 0.0, 0.0]], np.float32)


def draws(ranges, count=4000):
    warp, colour = augment.random_augmentation(count, ranges, tf.constant([3, 7], tf.int64))
    return warp.numpy(), colour.numpy()


def test_random_numbers_are_a_function_of_the_seed():
    one, two = (augment.random_augmentation(4, augment.Ranges(), tf.constant([1, step], tf.int64)) for step in (0, 1))
    again = augment.random_augmentation(4, augment.Ranges(), tf.constant([1, 0], tf.int64))
    np.testing.assert_array_equal(one[0], again[0])
    assert not np.array_equal(one[0], two[0])


def test_ranges_of_darknet_are_kept_and_reached():
    warp, colour = draws(augment.Ranges(jitter=0.3, scale=(1, 1)))
    width, height = np.abs(warp[:, 0]), warp[:, 1]
    aspect = width / height
    assert np.allclose(np.maximum(width, height), 1, atol=1e-6)
    assert 0.7 / 1.3 - 1e-5 <= aspect.min() < 0.6
    assert 1.6 < aspect.max() <= 1.3 / 0.7 + 1e-5
    assert np.mean(warp[:, 0] < 0) == pytest.approx(0.5, abs=0.05)
    left = np.where(warp[:, 0] < 0, warp[:, 2] - width, warp[:, 2])
    for low, size in ((left, width), (warp[:, 3], height)):  # the whole image is on the canvas
        assert low.min() >= -1e-6
        assert (low + size).max() <= 1 + 1e-6
    assert np.abs(colour[:, 0]).max() == pytest.approx(0.1, abs=0.001)
    for factor in (colour[:, 1], colour[:, 2]):
        assert factor.min() == pytest.approx(1 / 1.5, abs=0.01)
        assert factor.max() == pytest.approx(1.5, abs=0.01)
        assert np.mean(factor > 1) == pytest.approx(0.5, abs=0.05)


def test_flips_alone_can_be_turned_off():
    """And the default flips the same images as before there was a setting, or runs would go on with other batches."""
    usual, never, always = (draws(augment.Ranges(flip=share), 200) for share in (0.5, 0.0, 1.0))
    u = tf.random.stateless_uniform((9, 200), tf.constant([3, 7], tf.int64)).numpy()
    np.testing.assert_array_equal(usual[0][:, 0] < 0, u[5] < 0.5)
    np.testing.assert_array_equal(draws(augment.Ranges(), 200)[0], usual[0])
    assert (never[0][:, 0] > 0).all()
    assert (always[0][:, 0] < 0).all()
    flipped = usual[0][:, 0] < 0
    np.testing.assert_array_equal(usual[0], np.where(flipped[:, None], always[0], never[0]))
    for warp, colour in (never, always):
        np.testing.assert_array_equal(np.abs(warp[:, :2]), np.abs(usual[0][:, :2]))  # all else stays
        np.testing.assert_array_equal(colour, usual[1])


def test_nothing_to_do_changes_nothing():
    images = tf.constant(np.random.default_rng(0).random((1, 40, 50, 3), np.float32))
    np.testing.assert_allclose(augment.warp_images(images, IDENTITY, (40, 50)), images, atol=1e-5)
    np.testing.assert_allclose(augment.distort_colours(images, tf.constant([[0.0, 1.0, 1.0]])), images, atol=1e-5)


def test_pixels_are_opencvs():
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.random((60, 80, 3)).astype(np.float32), (0, 0), 2)
    warp = np.array([[-0.7, 0.6, 0.9, 0.25]], np.float32)
    got = augment.warp_images(image[None], warp, (64, 96)).numpy()[0]
    sx, sy, dx, dy = warp[0] * [96 / 80, 64 / 60, 96, 64]
    matrix = np.array([[sx, 0, dx + sx / 2 - 0.5], [0, sy, dy + sy / 2 - 0.5]])
    expected = cv2.warpAffine(image, matrix, (96, 64), flags=cv2.INTER_LINEAR, borderValue=(0.5, 0.5, 0.5))
    inside = cv2.erode(cv2.warpAffine(np.ones((60, 80), np.float32), matrix, (96, 64)), np.ones((3, 3))) == 1
    assert inside.sum() > 1000
    np.testing.assert_allclose(got[inside], expected[inside], atol=0.02)
    assert (got[:14] == 0.5).all()  # above the image
    assert (got[:, :18] == 0.5).all()  # left of it


def test_boxes_follow_the_pixels_exactly():
    rng = np.random.default_rng(0)
    images, boxes = np.zeros((64, 128, 128, 3), np.float32), np.zeros((64, 1, 4), np.float32)
    for i in range(64):
        x0, y0 = rng.integers(8, 60, 2)
        x1, y1 = x0 + rng.integers(20, 60), y0 + rng.integers(20, 60)
        images[i, y0:y1, x0:x1] = 1
        boxes[i, 0] = np.array([x0, y0, x1, y1]) / 128
    warp, _ = augment.random_augmentation(64, augment.Ranges(), tf.constant([0, 1], tf.int64))
    moved, labels = augment.warp_boxes(tf.constant(boxes), tf.zeros((64, 1), tf.int32), warp)
    pixels = augment.warp_images(images, warp, (256, 256)).numpy()[..., 0]
    for i in np.flatnonzero(labels.numpy()[:, 0] == 0):
        ys, xs = np.nonzero(pixels[i] > 0.75)
        extent = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]) / 256
        np.testing.assert_allclose(moved[i, 0], extent, atol=1.6 / 256)
    assert (labels.numpy() == 0).sum() > 50


def test_boxes_off_the_canvas_are_padding():
    boxes = tf.constant([[[0.0, 0.0, 0.5, 0.5], [0.6, 0.6, 0.9, 0.9], [0.1, 0.1, 0.2, 0.2], [0.2, 0.2, 0.9, 0.9]]])
    labels = tf.constant([[2, 1, -1, 0]])
    moved, labels_left = augment.warp_boxes(boxes, labels, tf.constant([[2.0, 2.0, -0.95, -0.95]]))
    assert labels_left.numpy().tolist() == [[-1, 1, -1, 0]]
    assert (moved.numpy()[0, [0, 2]] == 0).all()
    np.testing.assert_allclose(moved[0, 1], [0.25, 0.25, 0.85, 0.85], atol=1e-6)
    np.testing.assert_allclose(moved[0, 3], [0, 0, 0.85, 0.85], atol=1e-6)


def test_colours_are_those_of_hsv():
    rng = np.random.default_rng(0)
    image = rng.random((1, 5, 5, 3)).astype(np.float32)
    for hue, saturation, exposure in ((0.1, 1.4, 0.7), (-0.08, 0.7, 1.4)):
        got = augment.distort_colours(image, tf.constant([[hue, saturation, exposure]])).numpy()
        for at in np.ndindex(1, 5, 5):
            h, s, v = colorsys.rgb_to_hsv(*image[at].astype(float))
            expected = colorsys.hsv_to_rgb((h + hue) % 1, s * saturation, v * exposure)
            np.testing.assert_allclose(got[at], np.clip(expected, 0, 1), atol=1e-4)
