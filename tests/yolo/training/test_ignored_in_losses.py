"""Ignore regions in both losses: what lies inside of one is not trained as background; all else is as it was."""

import math

import numpy as np
import pytest
import tensorflow as tf
from conftest import write_records
from regions import add_regions
from test_losses import crowd, gradient, overlap, sigmoid
from training_runs import make_small_config

from yolo.data import pipeline
from yolo.geometry.targets import encode_targets
from yolo.training import gradients as gradients_of
from yolo.training.losses import notebook_loss, notebook_terms, region_loss

LOSSES = [(region_loss, (20000,)), (notebook_loss, ())]


def regions(seed=0) -> np.ndarray:
    """Two or three regions in each image of `crowd`, the others padding; in the last image none."""
    low = np.random.default_rng(100 + seed).uniform(0, 0.5, (3, 4, 2))
    boxes = np.concatenate([low, low + 0.45], -1).astype(np.float32)
    boxes[:, 3], boxes[0, 2], boxes[2] = 0, 0, 0
    return boxes


def slow_weights(raw, boxes, labels, anchors, ignored):
    """Of each place: whether it is background, and whether it lies in a region; by loops, with centre and size."""
    num_images, rows, columns, num_anchors, _ = raw.shape
    places = encode_targets(boxes, labels, anchors, (rows, columns)).numpy()
    is_background, is_ignored = (np.zeros(raw.shape[:4], bool) for _ in range(2))
    for b in range(num_images):
        mine = {tuple(place) for place in places[b]}
        truths = [
            ((x0 + x1) / 2 * columns, (y0 + y1) / 2 * rows, (x1 - x0) * columns, (y1 - y0) * rows)
            for (x0, y0, x1, y1) in boxes[b][labels[b] >= 0].astype(float)
        ]
        for r, c, a in np.ndindex(rows, columns, num_anchors):
            t = raw[b, r, c, a].astype(float)
            x, y = sigmoid(t[0]) + c, sigmoid(t[1]) + r
            w, h = math.exp(t[2]) * anchors[a][0], math.exp(t[3]) * anchors[a][1]
            best = max([overlap((x, y, w, h), truth) for truth in truths], default=0)
            is_background[b, r, c, a] = (r, c, a) not in mine and best < 0.6
            for x0, y0, x1, y1 in ignored[b].astype(float):
                width = min(x + w / 2, x1 * columns) - max(x - w / 2, x0 * columns)
                height = min(y + h / 2, y1 * rows) - max(y - h / 2, y0 * rows)
                is_ignored[b, r, c, a] |= max(width, 0) * max(height, 0) >= 0.5 * w * h
    return is_background, is_ignored


def case_of(seed):
    """What a loss is given, ignore regions, which places are background, and which of these lie in a region."""
    given, ignored = crowd(seed), regions(seed)
    is_background, is_ignored = slow_weights(*given, ignored)
    return given, ignored, is_background, is_background & is_ignored


@pytest.mark.parametrize('seed', range(3))
def test_the_region_loss_loses_what_the_slow_twin_says(seed):
    """Half the squared objectness of each background place in a region; and its gradient, and no other one."""
    (raw, boxes, labels, anchors), ignored, is_background, gone = case_of(seed)
    assert 10 < gone.sum() < is_background.sum() - 10
    plain, plain_gradient = gradient(region_loss, raw, boxes, labels, anchors, 20000)
    value, gradients = gradient(lambda *args: region_loss(*args, ignored=ignored), raw, boxes, labels, anchors, 20000)
    objectness = 1 / (1 + np.exp(-raw[..., 4].astype(float)))
    assert plain - value == pytest.approx(np.sum(objectness[gone] ** 2) / 2, rel=1e-4)
    assert not gradients[..., 4][gone].any()
    assert plain_gradient[..., 4][gone].all()
    np.testing.assert_array_equal(gradients[~gone], plain_gradient[~gone])
    np.testing.assert_array_equal(gradients[..., :4], plain_gradient[..., :4])  # pulled to anchors as before


@pytest.mark.parametrize('seed', range(3))
def test_the_notebooks_loss_equals_the_slow_twin(seed):
    """Its sum over places and the number that divides it both lose the places in regions."""
    (raw, boxes, labels, anchors), ignored, is_background, gone = case_of(seed)
    plain = notebook_loss(raw, boxes, labels, anchors).numpy()
    nothing = notebook_loss(raw, boxes, labels, anchors, ignored=np.zeros_like(ignored)).numpy()
    assert nothing == plain
    objectness = 1 / (1 + np.exp(-raw[..., 4].astype(float)))
    places = encode_targets(boxes, labels, anchors, raw.shape[1:3]).numpy()
    num_objects = sum(len({tuple(place) for place in own if place[0] >= 0}) for own in places)
    before, after = int(is_background.sum()) + num_objects, int((is_background & ~gone).sum()) + num_objects
    of_background = [np.sum(objectness[mask] ** 2) for mask in (is_background, is_background & ~gone)]
    # Two equations, of the losses with and without regions, in the one unknown share of the objects.
    box_and_class = _without_objectness(raw, boxes, labels, anchors)
    of_objects = (plain - box_and_class) * 2 * before - of_background[0]
    expected = box_and_class + (of_objects + of_background[1]) / after / 2
    assert notebook_loss(raw, boxes, labels, anchors, ignored=ignored).numpy() == pytest.approx(expected, rel=1e-4)
    assert before - after > 10


def _without_objectness(raw, boxes, labels, anchors) -> float:
    terms = notebook_terms(raw, boxes, labels, anchors, 0)
    return float(terms['box'] + terms['class'])


@pytest.mark.parametrize(('loss', 'args'), LOSSES)
def test_without_regions_it_is_equal_to_the_bit(loss, args):
    raw, boxes, labels, anchors = crowd()
    plain = gradient(loss, raw, boxes, labels, anchors, *args)
    for none in (None, np.zeros((3, 0, 4), np.float32), np.zeros((3, 4, 4), np.float32)):
        value, gradients = gradient(lambda *a, none=none: loss(*a, ignored=none), raw, boxes, labels, anchors, *args)
        assert value == plain[0]
        np.testing.assert_array_equal(gradients, plain[1])


@pytest.mark.parametrize(('loss', 'args'), LOSSES)
def test_a_region_of_the_whole_image_leaves_no_background(loss, args):
    raw, boxes, labels, anchors = crowd()
    raw[..., :4] = np.clip(raw[..., :4], -0.5, 0.5)
    raw[:, [0, -1]] -= 100  # of the rim the objectness is 0
    raw[:, :, [0, -1]] -= 100
    ignored = np.tile(np.array([0, 0, 1, 1], np.float32), (3, 1, 1))
    none = np.zeros_like(boxes), np.full_like(labels, -1)
    value, gradients = gradient(lambda *a: loss(*a, ignored=ignored), raw, *none, anchors, *args)
    assert value == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(gradients[..., 4], 0, atol=1e-6)


@pytest.mark.parametrize(('loss', 'args'), LOSSES)
def test_it_is_finite(loss, args):
    raw, boxes, labels, anchors = crowd()
    ignored = regions()
    for scale in (1, 1000):
        value, gradients = gradient(lambda *a: loss(*a, ignored=ignored), raw * scale, boxes, labels, anchors, *args)
        assert np.isfinite(value)
        assert np.isfinite(gradients).all()


@pytest.mark.slow
@pytest.mark.parametrize(('loss', 'args'), LOSSES)
def test_it_is_the_same_compiled(loss, args):
    raw, boxes, labels, anchors = crowd()
    ignored = regions()
    plain = loss(raw, boxes, labels, anchors, *args, ignored=ignored).numpy()
    compiled = tf.function(lambda r, i: loss(r, boxes, labels, anchors, *args, ignored=i), jit_compile=True)
    assert compiled(raw, ignored).numpy() == pytest.approx(plain, rel=1e-5)


@pytest.fixture(scope='module')
def folders(tmp_path_factory) -> tuple[str, str]:
    """The same records with regions and without."""
    folder = tmp_path_factory.mktemp('ignored')
    whole = np.array([[0, 0, 1, 1]], np.float32), np.array([-1])
    return add_regions(write_records(folder / 'with'), 'train', lambda record: whole), write_records(folder / 'without')


@pytest.mark.parametrize('loss', ['region', pytest.param('notebook', marks=pytest.mark.slow)])
def test_a_step_takes_the_regions_of_its_batch(folders, tmp_path, loss):
    """Of the loss only the part of the objectness changes; the notebook's is a mean, over fewer places."""
    raw = tf.random.stateless_normal((4, 3, 3, 3, 7), (1, 2))
    found = []
    for folder in folders:
        config = make_small_config(folder, tmp_path, loss=loss)
        [batch] = pipeline.training_batches(folder, 'train', 4, 0).take(1)
        found.append(gradients_of._loss_terms(config, raw, batch, batch['places'], tf.constant(0), 1))
    ignored, plain = found
    assert (float(ignored['box']), float(ignored['class'])) == (float(plain['box']), float(plain['class']))
    assert abs(float(ignored['objectness']) - float(plain['objectness'])) > 0.005
    assert (float(ignored['objectness']) < float(plain['objectness'])) == (loss == 'region')
