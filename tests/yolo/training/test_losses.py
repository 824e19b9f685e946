import math

import numpy as np
import pytest
import tensorflow as tf
from conftest import DATA

from yolo.geometry import boxes as box_ops
from yolo.geometry.targets import encode_targets
from yolo.training.ciou_loss import ciou_loss
from yolo.training.losses import notebook_loss, region_loss

GOLDEN = ('yolov2-w16', 'yolov2-tiny-w16')


def golden(name):
    """What Darknet itself computed, with its truths as boxes (B, N, 4) and labels (B, N)."""
    data = dict(np.load(DATA / 'darknet' / f'{name}.npz'))
    truth = data['truth']
    labels = np.where(truth[..., 2] > 0, truth[..., 4], -1).astype(np.int32)
    return data, box_ops.to_corners(tf.constant(truth[..., :4])).numpy(), labels


def gradient(loss, raw, *args):
    raw = tf.constant(raw)
    with tf.GradientTape() as tape:
        tape.watch(raw)
        value = loss(raw, *args)
    return value.numpy(), tape.gradient(value, raw).numpy()


@pytest.mark.parametrize('name', GOLDEN)
@pytest.mark.parametrize(('when', 'seen'), [('early', 0), ('late', 20000)])
def test_region_gradient_is_minus_darknets_delta(name, when, seen):
    data, boxes, labels = golden(name)
    _, gradients = gradient(region_loss, data['raw'], boxes, labels, data['anchors'], seen)
    np.testing.assert_allclose(-gradients, data[f'delta_{when}'], atol=1e-5, rtol=0)


def test_the_anchor_pull_ends_at_12800_images():
    data, boxes, labels = golden(GOLDEN[0])
    values = [gradient(region_loss, data['raw'], boxes, labels, data['anchors'], n)[0] for n in (0, 12799, 12800)]
    assert values[0] == values[1] > values[2]


def test_places_of_the_record_give_the_same_loss():
    data, boxes, labels = golden(GOLDEN[0])
    places = encode_targets(boxes, labels, data['anchors'], data['raw'].shape[1:3])
    for loss, args in ((region_loss, (5,)), (notebook_loss, ()), (ciou_loss, ())):
        plain = loss(data['raw'], boxes, labels, data['anchors'], *args)
        assert loss(data['raw'], boxes, labels, data['anchors'], *args, places).numpy() == plain.numpy()


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def overlap(a, b):
    """IoU of two boxes given as centre and size."""
    w = min(a[0] + a[2] / 2, b[0] + b[2] / 2) - max(a[0] - a[2] / 2, b[0] - b[2] / 2)
    h = min(a[1] + a[3] / 2, b[1] + b[3] / 2) - max(a[1] - a[3] / 2, b[1] - b[3] / 2)
    shared = max(w, 0) * max(h, 0)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def cross_entropy(logits, label):
    return math.log(sum(math.exp(v) for v in logits)) - logits[label]


def notebook_slowly(raw, boxes, labels, anchors, weights=(1, 1, 1, 1), places=None):
    """The notebook's formulas, one place at a time, with its scales; weights (C,) on the classes."""
    num_images, rows, columns, num_anchors, _ = raw.shape
    anchors = np.asarray(anchors, float)
    places = encode_targets(boxes, labels, anchors, (rows, columns)).numpy() if places is None else places
    box = crossed = conf = 0.0
    num_m = num_conf = 0
    for b in range(num_images):
        truths = [
            ((x0 + x1) / 2 * columns, (y0 + y1) / 2 * rows, (x1 - x0) * columns, (y1 - y0) * rows)
            for (x0, y0, x1, y1) in boxes[b].astype(float)
        ]
        mine = {tuple(place): n for n, place in enumerate(places[b]) if place[0] >= 0}
        for r, c, a in np.ndindex(rows, columns, num_anchors):
            t = raw[b, r, c, a].astype(float)
            predicted = sigmoid(t[0]) + c, sigmoid(t[1]) + r, *(math.exp(t[2 + i]) * anchors[a][i] for i in (0, 1))
            objectness, n = sigmoid(t[4]), mine.get((r, c, a))
            best = max([overlap(predicted, truths[i]) for i in np.flatnonzero(labels[b] >= 0)], default=0)
            own, mask = 0.0, (1.0 if best < 0.6 and n is None else 0.0)
            if n is not None:
                box += sum((p - q) ** 2 for p, q in zip(predicted, truths[n], strict=True))
                crossed += weights[labels[b, n]] * cross_entropy(t[5:], labels[b, n])
                own = overlap(predicted, truths[n])
                mask += own * 5.0
                num_m += 1
            conf += mask * (own - objectness) ** 2
            num_conf += mask > 0
    return box / (num_m + 1e-6) / 2 + crossed / (num_m + 1e-6) + conf / (num_conf + 1e-6) / 2


def crowd(seed=0):
    """Random raw output and objects, two of them in one place, one on each border, some padding."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(0, 1, (3, 4, 5, 3, 9)).astype(np.float32)
    corners = np.sort(rng.random((3, 9, 2, 2)), -2).reshape(3, 9, 4).astype(np.float32)
    labels = rng.integers(0, 4, (3, 9)).astype(np.int32)
    labels[0, 6:], labels[2] = -1, -1
    corners[0, 1] = corners[0, 0]
    corners[1, 0], corners[1, 1] = [0.8, 0.8, 1, 1], [0, 0, 0.1, 0.1]
    return raw, corners, labels, np.array([[1.0, 1.2], [2.5, 2.0], [0.4, 0.7]], np.float32)


@pytest.mark.parametrize('seed', range(3))
def test_notebook_equals_the_slow_twin(seed):
    raw, boxes, labels, anchors = crowd(seed)
    got = notebook_loss(raw, boxes, labels, anchors).numpy()
    assert got == pytest.approx(notebook_slowly(raw, boxes, labels, anchors), rel=2e-6)


WEIGHTS = (0.25, 3.0, 1.0, 0.5)


@pytest.mark.parametrize('seed', range(3))
def test_class_weights_of_the_notebook_equal_the_slow_twin(seed):
    raw, boxes, labels, anchors = crowd(seed)
    got = notebook_loss(raw, boxes, labels, anchors, class_weights=WEIGHTS).numpy()
    assert got == pytest.approx(notebook_slowly(raw, boxes, labels, anchors, WEIGHTS), rel=2e-6)


@pytest.mark.parametrize('seed', range(3))
def test_class_weights_of_the_region_loss_equal_the_slow_twin(seed):
    """What they add is the weight less 1 times the cross-entropy of each place; gradients of nothing else change."""
    raw, boxes, labels, anchors = crowd(seed)
    places = encode_targets(boxes, labels, anchors, raw.shape[1:3]).numpy()
    added, factors = 0.0, np.zeros(raw.shape[:4])
    for b in range(len(raw)):
        for place, label in {tuple(place): label for place, label in zip(places[b], labels[b], strict=True)}.items():
            if label >= 0:
                added += (WEIGHTS[label] - 1) * cross_entropy(raw[b][place][5:].astype(float), label)
                factors[(b, *place)] = WEIGHTS[label]
    plain, plain_gradient = gradient(region_loss, raw, boxes, labels, anchors, 5)
    weighted, weighted_gradient = gradient(
        lambda *args: region_loss(*args, class_weights=WEIGHTS), raw, boxes, labels, anchors, 5
    )
    assert abs(added) > 0.1
    assert weighted - plain == pytest.approx(added, rel=1e-4)
    np.testing.assert_array_equal(weighted_gradient[..., :5], plain_gradient[..., :5])
    np.testing.assert_allclose(weighted_gradient[..., 5:], factors[..., None] * plain_gradient[..., 5:], atol=1e-6)


@pytest.mark.parametrize(
    ('loss', 'args'), [(region_loss, (0,)), (region_loss, (20000,)), (notebook_loss, ()), (ciou_loss, ())]
)
def test_finite_for_every_kind_of_image(loss, args):
    raw, boxes, labels, anchors = crowd()
    cases = {
        'crowd': (boxes, labels),
        'padding alone': (np.zeros_like(boxes), np.full_like(labels, -1)),
        'no room for objects': (boxes[:, :0], labels[:, :0]),
        'whole image': (np.broadcast_to(np.array([0, 0, 1, 1], np.float32), boxes.shape), np.zeros_like(labels)),
        'one point on the border': (np.ones_like(boxes), np.zeros_like(labels)),
        'tiny on the border': (
            np.broadcast_to(np.array([1 - 1e-6, 0, 1, 1e-6], np.float32), boxes.shape),
            np.zeros_like(labels),
        ),
    }
    for name, (b, k) in cases.items():
        value, gradients = gradient(loss, raw, b, k, anchors, *args)
        assert np.isfinite(value), name
        assert np.isfinite(gradients).all(), name
    value, gradients = gradient(loss, raw * 1000, boxes, labels, anchors, *args)
    assert np.isfinite(value)
    assert np.isfinite(gradients).all()


@pytest.mark.parametrize(('loss', 'args'), [(region_loss, (0,)), (notebook_loss, ())])
def test_same_in_a_map_and_compiled(loss, args):
    raw, boxes, labels, anchors = crowd()
    plain = loss(raw, boxes, labels, anchors, *args).numpy()
    dataset = tf.data.Dataset.from_tensors((raw, boxes, labels)).map(lambda r, b, k: loss(r, b, k, anchors, *args))
    assert next(iter(dataset)).numpy() == pytest.approx(plain, rel=1e-6)
    compiled = tf.function(lambda r, b, k: loss(r, b, k, anchors, *args), jit_compile=True)
    assert compiled(raw, boxes, labels).numpy() == pytest.approx(plain, rel=1e-5)


def test_a_grid_of_unknown_size_is_refused():
    raw, boxes, labels, anchors = crowd()
    function = tf.function(
        lambda r: region_loss(r, boxes, labels, anchors, 0), input_signature=[tf.TensorSpec((3, None, None, 3, 9))]
    )
    with pytest.raises(ValueError, match='known size'):
        function(raw)
