import numpy as np
import pytest
import tensorflow as tf
from conftest import make_image

from yolo.data import augment, mosaic

SIZE = (64, 96)


def all_mosaics(batch_size=8, share=1.0, seed=3):
    return mosaic.random_mosaics(batch_size, share, SIZE, tf.constant([seed, 5], tf.int64))


def parts(mosaics, i):
    """The four parts of image i by slow arithmetic: source, place in the mosaic and in the source, as pixels."""
    row, column = mosaics.cut.numpy()[i]
    rows, columns = ((0, row), (row, SIZE[0])), ((0, column), (column, SIZE[1]))
    for k in range(4):
        (top, bottom), (left, right) = rows[k // 2], columns[k % 2]
        y, x = mosaics.origins.numpy()[i, k]
        yield i // 4 * 4 + (i + k) % 4, (top, bottom, left, right), (y, y + bottom - top, x, x + right - left)


def compose(images, mosaics):
    """All images of a batch, group by group."""
    groups = [slice(start, start + 4) for start in range(0, len(images), 4)]
    return np.concatenate(
        [mosaic.compose([tf.constant(image) for image in images[rows]], mosaics.of(rows)) for rows in groups]
    )


def test_every_part_shows_its_source():
    images = np.random.default_rng(0).integers(0, 255, (8, *SIZE, 3), dtype=np.uint8)
    mosaics = all_mosaics()
    got = compose(images, mosaics)
    origins = set()
    for i in range(8):
        for source, (top, bottom, left, right), (y0, y1, x0, x1) in parts(mosaics, i):
            assert 0 <= y0 < y1 <= SIZE[0]
            assert 0 <= x0 < x1 <= SIZE[1]
            np.testing.assert_array_equal(got[i, top:bottom, left:right], images[source, y0:y1, x0:x1])
            origins.add((y0, x0))
    assert len(origins) > 20


def test_boxes_go_with_their_parts():
    rng = np.random.default_rng(0)
    boxes, labels = np.zeros((8, 3, 4), np.float32), np.full((8, 3), -1, np.int32)
    for i in range(8):
        _, boxes[i, : i % 4], labels[i, : i % 4] = make_image(rng, 96, i % 4)
    mosaics = all_mosaics()
    moved = mosaic.mosaic_boxes(tf.constant(boxes), tf.constant(labels), mosaics, SIZE)
    got, labels_left = (value.numpy() for value in moved)
    assert got.shape == (8, 12, 4)
    scale, seen = np.array([SIZE[1], SIZE[0]] * 2), [0, 0]
    for i in range(8):
        for k, (source, (top, bottom, left, right), (y0, _, x0, _)) in enumerate(parts(mosaics, i)):
            for n in range(3):
                whole = boxes[source, n] * scale + [left - x0, top - y0, left - x0, top - y0]
                cut = np.clip(whole, [left, top, left, top], [right, bottom, right, bottom])
                area, before = (np.prod(box[2:] - box[:2]) for box in (cut, whole))
                stays = labels[source, n] >= 0 and area > 0 and area >= augment.MIN_VISIBLE * before
                seen[int(stays)] += labels[source, n] >= 0
                assert labels_left[i, 3 * k + n] == (labels[source, n] if stays else -1)
                np.testing.assert_allclose(got[i, 3 * k + n] * scale, cut if stays else 0, atol=1e-3)
    assert min(seen) > 5  # some are cut away, some stay


def test_only_that_share_is_put_together():
    images = np.random.default_rng(0).integers(0, 255, (400, 32, 32, 3), dtype=np.uint8)
    mosaics = mosaic.random_mosaics(400, 0.25, (32, 32), tf.constant([0, 0], tf.int64))
    assert np.mean(mosaics.chosen) == pytest.approx(0.25, abs=0.06)
    changed = (compose(images, mosaics) != images).any((1, 2, 3))
    np.testing.assert_array_equal(changed, mosaics.chosen)
    boxes, labels = tf.random.uniform((400, 2, 4)), tf.zeros((400, 2), tf.int32)
    got, labels_left = mosaic.mosaic_boxes(boxes, labels, mosaics, (32, 32))
    still = ~mosaics.chosen.numpy()
    np.testing.assert_array_equal(got.numpy()[still][:, :2], boxes.numpy()[still])
    assert (labels_left.numpy()[still] == [0, 0] + [-1] * 6).all()
