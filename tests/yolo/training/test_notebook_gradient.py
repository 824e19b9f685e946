"""The gradient of the notebook's loss, against that of a slow twin of its value, by differences in float64."""

import math

import numpy as np
import pytest
import tensorflow as tf
from test_losses import gradient, notebook_slowly, overlap, sigmoid

from yolo.geometry.targets import encode_targets
from yolo.training.losses import notebook_loss

ANCHORS = np.array([[1.0, 1.2], [2.1, 1.8]], np.float32)
STEP = 1e-5


def small_case(seed: int):
    """Two images of 2 x 3 cells, 2 anchors and 3 classes, with two and one objects, a padded one, and predictions near.

    One prediction that is responsible for no object overlaps one by 0.6 or more; others are responsible, background, or
    responsible for an object that they do not overlap at all.
    """
    rng = np.random.default_rng(seed)
    raw = rng.normal(0, 0.6, (2, 2, 3, 2, 8))
    boxes = np.array(
        [
            [[0.10, 0.20, 0.45, 0.90], [0.40, 0.05, 0.99, 0.80]],
            [[0.55, 0.55, 0.95, 0.97], [0, 0, 0, 0]],
        ],
        np.float32,
    )
    boxes[:, 0] += rng.uniform(-0.03, 0.03, (2, 4)).astype(np.float32)
    labels = np.array([[2, 0], [1, -1]], np.int32)
    x0, y0, x1, y1 = boxes[0, 0].astype(float) * [3, 2, 3, 2]
    [row, column, anchor] = encode_targets(boxes, labels, ANCHORS, (2, 3)).numpy()[0, 0]
    offset = np.array([(x0 + x1) / 2 - column, (y0 + y1) / 2 - row])
    raw[0, row, column, 1 - anchor, :2] = np.log(offset / (1 - offset))  # the other anchor sees the object too
    raw[0, row, column, 1 - anchor, 2:4] = np.log([x1 - x0, y1 - y0] / ANCHORS[1 - anchor].astype(float)) + 0.1
    raw = raw.astype(np.float32).astype(float)  # the same numbers in both
    return raw, boxes, labels, ANCHORS


def differences(value, raw: np.ndarray, step: float) -> np.ndarray:
    """The gradient of value(raw), a scalar, by central differences."""
    out = np.zeros_like(raw)
    for place in np.ndindex(raw.shape):
        ends = []
        for sign in (1, -1):
            moved = raw.copy()
            moved[place] += sign * step
            ends.append(value(moved))
        out[place] = (ends[0] - ends[1]) / (2 * step)
    return out


def kinds_of_places(raw, boxes, labels) -> tuple[int, int, int]:
    """How many places are responsible for an object that they overlap, background, and spared by their overlap."""
    places = encode_targets(boxes, labels, ANCHORS, raw.shape[1:3]).numpy()
    counts = [0, 0, 0]
    for b, r, c, a in np.ndindex(raw.shape[:4]):
        t = raw[b, r, c, a]
        mine = [n for n, place in enumerate(places[b]) if tuple(place) == (r, c, a)]
        predicted = sigmoid(t[0]) + c, sigmoid(t[1]) + r, *(math.exp(t[2 + i]) * ANCHORS[a][i] for i in (0, 1))
        truths = [
            ((x0 + x1) / 2 * 3, (y0 + y1) / 2 * 2, (x1 - x0) * 3, (y1 - y0) * 2)
            for (x0, y0, x1, y1) in boxes[b][labels[b] >= 0].astype(float)
        ]
        best = max(overlap(predicted, truth) for truth in truths)
        if mine:
            counts[0] += overlap(predicted, truths[mine[0]]) > 0.1
        else:
            counts[1 + (best >= 0.6)] += 1
    return tuple(counts)


@pytest.mark.parametrize(
    ('seed', 'weights'),
    [(0, ()), (1, (0.25, 3.0, 1.5)), *(pytest.param(seed, (), marks=pytest.mark.slow) for seed in range(2, 6))],
)
def test_the_gradient_is_that_of_the_slow_twin(seed, weights):
    """Of every number of raw: what the value says, IoU* differentiated in target and weight, and nothing else.

    Where two steps give the same differences, no maximum, threshold or edge of a box lies in between.
    """
    raw, boxes, labels, anchors = small_case(seed)
    responsible, background, spared = kinds_of_places(raw, boxes, labels)
    assert responsible >= 2
    assert background > 10
    assert spared >= 1

    places = encode_targets(boxes, labels, anchors, raw.shape[1:3]).numpy()

    def value(moved):
        return notebook_slowly(moved, boxes, labels, anchors, weights or (1, 1, 1), places)

    expected = differences(value, raw, STEP)
    np.testing.assert_allclose(differences(value, raw, 2 * STEP), expected, atol=1e-8)
    _, got = gradient(
        lambda *args: notebook_loss(*args, class_weights=weights), raw.astype(np.float32), boxes, labels, anchors
    )
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(got, expected, atol=2e-6, rtol=2e-5)


def test_the_gradient_of_iou_flows_through_target_and_weight():
    """One place, by hand: 5 IoU (IoU - o)^2 / 2 changes by 5 / 2 ((IoU - o)^2 + 2 IoU (IoU - o)) times its change."""
    raw = np.zeros((1, 1, 1, 1, 6), np.float32)
    raw[..., 2:4] = math.log(0.5)
    boxes, anchors = np.array([[[0.3, 0.3, 0.7, 0.7]]], np.float32), np.ones((1, 2), np.float32)
    labels = np.zeros((1, 1), np.int32)
    _, got = gradient(notebook_loss, raw, boxes, labels, anchors)
    w, h, iou = 0.5, 0.5, 0.16 / 0.25  # the object lies inside of the box
    of_iou = 2.5 * ((iou - 0.5) ** 2 + 2 * iou * (iou - 0.5)) * (-0.16 / (w * w * h)) * w  # dw/dt = w
    of_size = (w - 0.4) * w
    np.testing.assert_allclose(got[0, 0, 0, 0, 2:4], of_iou + of_size, rtol=1e-5)
    np.testing.assert_allclose(got[0, 0, 0, 0, 4], 2.5 * iou * -2 * (iou - 0.5) * 0.25, rtol=1e-5)
    assert tf.reduce_max(tf.abs(got[..., :2])) < 1e-6  # moved inside, the object keeps its IoU
