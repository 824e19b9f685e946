"""The loss by CIoU against a slow twin, written from the papers' formulas, and its gradient against differences."""

import math

import keras
import numpy as np
import pytest
from test_ignored_in_losses import regions, slow_weights
from test_losses import cross_entropy, crowd, gradient, sigmoid
from training_runs import make_small_config, one_device, run_steps

from yolo.data import pipeline
from yolo.geometry.targets import encode_fitting_anchors, encode_targets
from yolo.training import state
from yolo.training.ciou_loss import ciou_loss, ciou_terms
from yolo.training.losses import TERMS


def ciou_slowly(a, b, alpha=None):
    """CIoU of two boxes given as x, y, w, h, and its alpha; with that of `alpha`, if given."""
    low, high = ([f(p[i] + sign * p[i + 2] / 2 for p in (a, b)) for i in (0, 1)] for f, sign in ((min, -1), (max, 1)))
    inner = [
        min(a[i] + a[i + 2] / 2, b[i] + b[i + 2] / 2) - max(a[i] - a[i + 2] / 2, b[i] - b[i + 2] / 2) for i in (0, 1)
    ]
    shared = max(inner[0], 0) * max(inner[1], 0)
    iou = shared / (a[2] * a[3] + b[2] * b[3] - shared)
    diagonal = sum((high[i] - low[i]) ** 2 for i in (0, 1))
    distance = sum((a[i] - b[i]) ** 2 for i in (0, 1))
    v = 4 / math.pi**2 * (math.atan(a[2] / a[3]) - math.atan(b[2] / b[3])) ** 2
    alpha = v / (1 - iou + v) if alpha is None else alpha
    return iou - distance / diagonal - alpha * v, iou, alpha


def owners(boxes, labels, anchors, rows, columns):
    """The object of each responsible place of one image: row, column, anchor -> number."""
    fitting, best = {}, {}
    for i, (x0, y0, x1, y1) in enumerate(boxes.astype(float)):
        if labels[i] < 0:
            continue
        w, h = (x1 - x0) * columns, (y1 - y0) * rows
        cell = min(int((y0 + y1) / 2 * rows), rows - 1), min(int((x0 + x1) / 2 * columns), columns - 1)
        shared = [min(w, aw) * min(h, ah) for aw, ah in anchors.astype(float)]
        ious = [s / (w * h + aw * ah - s) for s, (aw, ah) in zip(shared, anchors.astype(float), strict=True)]
        fitting |= {(*cell, k): i for k, iou in enumerate(ious) if iou >= 0.5}
        best[(*cell, ious.index(max(ious)))] = i
    return fitting | best


def truth_box(box, rows, columns):
    x0, y0, x1, y1 = box.astype(float)
    return (x0 + x1) / 2 * columns, (y0 + y1) / 2 * rows, (x1 - x0) * columns, (y1 - y0) * rows


def predicted_box(t, place, anchors):
    (row, column, k), t = place, t.astype(float)
    width, height = map(float, anchors[k])
    return sigmoid(t[0]) + column, sigmoid(t[1]) + row, math.exp(t[2]) * width, math.exp(t[3]) * height


def terms_slowly(raw, boxes, labels, anchors, weights=(1, 1, 1, 1), ignored=None):
    """Box, objectness and class loss, one place at a time."""
    rows, columns = raw.shape[1:3]
    is_background, is_ignored = slow_weights(
        raw, boxes, labels, anchors, np.zeros((3, 0, 4)) if ignored is None else ignored
    )
    box = objectness = crossed = 0.0
    for b in range(len(raw)):
        owner = owners(boxes[b], labels[b], anchors, rows, columns)
        for place in np.ndindex(raw.shape[1:4]):
            t = raw[b][place]
            confidence = sigmoid(float(t[4]))
            if place not in owner:
                objectness += (is_background[b][place] and not is_ignored[b][place]) * confidence**2 / 2
                continue
            i = owner[place]
            ciou, iou, _ = ciou_slowly(predicted_box(t, place, anchors), truth_box(boxes[b][i], rows, columns))
            box += 2 * (1 - ciou)
            objectness += 5 * (confidence - iou) ** 2 / 2
            crossed += weights[labels[b][i]] * cross_entropy(t[5:].astype(float), labels[b][i])
    return {'box': box, 'objectness': objectness, 'class': crossed}


@pytest.mark.parametrize('seed', range(3))
def test_it_equals_the_slow_twin(seed):
    raw, boxes, labels, anchors = crowd(seed)
    weights, ignored = (0.25, 3.0, 1.0, 0.5), regions(seed)
    for more in ({}, {'class_weights': weights}, {'ignored': ignored}):
        got = ciou_terms(raw, boxes, labels, anchors, 0, **more)
        expected = terms_slowly(raw, boxes, labels, anchors, more.get('class_weights', (1,) * 4), more.get('ignored'))
        assert {name: float(value) for name, value in got.items()} == pytest.approx(expected, rel=1e-5)
        assert float(ciou_loss(raw, boxes, labels, anchors, **more)) == pytest.approx(sum(expected.values()), rel=1e-5)


def test_more_anchors_than_the_best_are_responsible():
    """An object of one size with two anchors that fit it, and one that does not."""
    boxes = np.array([[[0.3, 0.3, 0.7, 0.7], [0, 0, 0, 0]]], np.float32)
    labels, anchors = np.array([[1, -1]]), np.array([[2.1, 2.1], [1.6, 1.7], [0.5, 0.5]], np.float32)
    places = encode_targets(boxes, labels, anchors, (5, 5))
    found = encode_fitting_anchors(boxes, places, anchors, (5, 5), 0.5).numpy().reshape(3, 2, 3)  # anchors, objects
    np.testing.assert_array_equal(found[:, 0], [[2, 2, 0], [2, 2, 1], [-1, -1, -1]])
    assert (found[:, 1] == -1).all()
    raw = np.zeros((1, 5, 5, 3, 7), np.float32)
    _, gradients = gradient(lambda r: ciou_terms(r, boxes, labels, anchors, 0)['class'], raw)
    np.testing.assert_array_equal(np.argwhere(gradients.any(-1)), [[0, 2, 2, 0], [0, 2, 2, 1]])


@pytest.mark.parametrize('seed', range(2))
def test_the_gradient_of_the_boxes_equals_differences(seed):
    """Alpha is a constant in it, and so is the IoU that objectness learns."""
    raw, boxes, labels, anchors = crowd(seed)
    rows, columns = raw.shape[1:3]
    _, gradients = gradient(lambda r: ciou_terms(r, boxes, labels, anchors, 0)['box'], raw)
    expected = np.zeros(raw.shape)
    for b in range(len(raw)):
        for place, i in owners(boxes[b], labels[b], anchors, rows, columns).items():
            t, truth = raw[b][place].astype(float), truth_box(boxes[b][i], rows, columns)
            alpha = ciou_slowly(predicted_box(t, place, anchors), truth)[2]
            for k in range(4):
                step = np.eye(len(t))[k] * 1e-6
                low, high = (
                    ciou_slowly(predicted_box(t + sign * step, place, anchors), truth, alpha)[0] for sign in (-1, 1)
                )
                expected[(b, *place, k)] = -2 * (high - low) / 2e-6
    np.testing.assert_allclose(gradients, expected, atol=2e-5)
    _, of_objectness = gradient(lambda r: ciou_terms(r, boxes, labels, anchors, 0)['objectness'], raw)
    assert not of_objectness[..., :4].any()


@pytest.mark.slow
def test_a_step_trains_with_it_divided_by_the_size_of_the_batch(records_dir, tmp_path):
    config = make_small_config(records_dir, tmp_path, loss='ciou', augment=False, num_steps=1)
    metrics, _ = run_steps(config, one_device())
    assert TERMS['ciou'] is ciou_terms
    keras.utils.set_random_seed(0)
    run_state = state.make_state(config, one_device())
    batch = next(iter(pipeline.training_batches(records_dir, 'train', config.batch_size, config.seed)))
    raw = run_state.model(pipeline.augment_images(batch, config.image_size), training=True)
    expected = ciou_loss(raw, batch['boxes'], batch['labels'], config.anchors) / config.batch_size
    assert metrics['loss'][0] == pytest.approx(float(expected), rel=1e-4)
