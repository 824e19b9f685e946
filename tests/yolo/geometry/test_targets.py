import numpy as np
import pytest
import tensorflow as tf
from conftest import NOTEBOOK_TABLE

from yolo.geometry import boxes as box_ops
from yolo.geometry.assignment import responsible_places, sizes_iou
from yolo.geometry.targets import encode_targets, responsible_objects

NOTEBOOK_ANCHORS = np.array(
    [[0.08285376, 0.13705531], [0.20850361, 0.39420716], [0.80552421, 0.77665105], [0.42194719, 0.62385487]]
)


def encode_slowly(boxes, labels, anchors, grid):
    """One box at a time, from the words of the paper."""
    rows, columns = grid
    places = np.full((*labels.shape, 3), -1)
    for at in np.ndindex(labels.shape):
        xmin, ymin, xmax, ymax = boxes[at].astype(float)
        if labels[at] < 0 or xmax <= xmin or ymax <= ymin:
            continue
        w, h = (xmax - xmin) * columns, (ymax - ymin) * rows
        best, best_iou = 0, -1.0
        for index, (aw, ah) in enumerate(anchors):
            shared = min(w, aw) * min(h, ah)
            overlap = shared / (w * h + aw * ah - shared)
            if overlap > best_iou:
                best, best_iou = index, overlap
        column = min(int((xmin + xmax) / 2 * columns), columns - 1)
        places[at] = min(int((ymin + ymax) / 2 * rows), rows - 1), column, best
    return places


def random_boxes(rng, shape):
    corners = np.sort(rng.random((*shape, 2, 2)), -2).reshape(*shape, 4).astype(np.float32)
    return corners, rng.integers(-1, 3, shape)


@pytest.mark.parametrize('where', ['eager', 'map', 'jit', 'numpy'])
def test_equals_the_slow_twin(where):
    boxes, labels = random_boxes(np.random.default_rng(0), (16, 40))
    boxes[0, 0] = [0.5, 0.5, 0.5, 0.7]  # no area
    anchors = np.array([[1.3, 1.7], [3.2, 4.0], [5, 8], [9.5, 4.8], [0.4, 0.2]], np.float32)
    expected = encode_slowly(boxes, labels, anchors, (7, 13))
    if where == 'map':
        dataset = tf.data.Dataset.from_tensors((boxes, labels))
        got = next(iter(dataset.map(lambda b, k: encode_targets(b, k, anchors, (7, 13)))))
    elif where == 'jit':
        got = tf.function(lambda b, k: encode_targets(b, k, anchors, (7, 13)), jit_compile=True)(boxes, labels)
    elif where == 'numpy':
        got = responsible_places(boxes, labels, anchors, (7, 13))
        assert got.dtype == np.int32
        np.testing.assert_array_equal(got, encode_targets(boxes, labels, anchors, (7, 13)))
    else:
        got = encode_targets(boxes, labels, anchors, (7, 13))
    np.testing.assert_array_equal(got, expected)
    assert (expected >= 0).any()
    assert (expected < 0).any()


@pytest.mark.parametrize(('width', 'height', 'anchor', 'overlap'), NOTEBOOK_TABLE)
def test_best_anchor_is_the_notebooks(width, height, anchor, overlap):
    got = sizes_iou(np.array([width, height]), NOTEBOOK_ANCHORS)
    assert got.argmax() == anchor
    assert round(float(got.max()), 2) == pytest.approx(overlap, abs=0.0051)


def test_box_in_cells_is_the_notebooks():
    box = tf.constant([150.0, 84.0, 300.0, 294.0]) / 416 * 13
    np.testing.assert_allclose(box_ops.to_centres(box), [7.031, 5.906, 4.688, 6.562], atol=5e-4)
    place = encode_targets(tf.constant([[150.0, 84.0, 300.0, 294.0]]) / 416, [0], NOTEBOOK_ANCHORS * 13, (13, 13))
    assert place.numpy().tolist() == [[5, 7, 3]]


def test_the_first_of_equal_anchors_wins():
    place = encode_targets([[0.0, 0.0, 0.5, 0.5]], [0], [[2.0, 1.0], [1.0, 2.0], [2.0, 1.0]], (4, 4))
    assert place.numpy().tolist() == [[1, 1, 0]]


def test_borders_belong_to_the_last_cell():
    places = encode_targets([[0.9, 0.9, 1.1, 1.1], [-0.2, -0.2, 0.1, 0.1]], [0, 0], [[1.0, 1.0]], (4, 5))
    assert places.numpy().tolist() == [[3, 4, 0], [0, 0, 0]]


def test_the_last_object_owns_a_place():
    none = [-1, -1, -1]
    places = tf.constant([[[1, 2, 0], none, [1, 2, 0], [0, 0, 1]], [[0, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 1]]])
    owner = responsible_objects(places, (2, 3), 2).numpy()
    assert owner.shape == (2, 2, 3, 2)
    expected = np.full((2, 2, 3, 2), -1)
    expected[0, 1, 2, 0], expected[0, 0, 0, 1] = 2, 3
    expected[1, 0, 0] = [2, 3]
    np.testing.assert_array_equal(owner, expected)


def test_no_objects_own_nothing():
    assert (responsible_objects(tf.zeros((3, 0, 3), tf.int32), (2, 2), 2).numpy() == -1).all()


def test_conversions_give_each_other_back_and_iou_is_the_definition():
    boxes, _ = random_boxes(np.random.default_rng(1), (100,))
    np.testing.assert_allclose(box_ops.to_corners(box_ops.to_centres(tf.constant(boxes))), boxes, atol=1e-6)
    a, b = boxes[:50], boxes[50:]
    got = box_ops.iou(tf.constant(a), tf.constant(b)).numpy()
    for i in range(50):
        w = max(0, min(a[i, 2], b[i, 2]) - max(a[i, 0], b[i, 0]))
        h = max(0, min(a[i, 3], b[i, 3]) - max(a[i, 1], b[i, 1]))
        area = (a[i, 2] - a[i, 0]) * (a[i, 3] - a[i, 1]) + (b[i, 2] - b[i, 0]) * (b[i, 3] - b[i, 1])
        assert got[i] == pytest.approx(w * h / (area - w * h), abs=1e-6)
    assert box_ops.iou(tf.zeros(4), tf.zeros(4)).numpy() == 0
