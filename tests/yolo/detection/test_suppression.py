"""Suppression as tensor code: what TensorFlow's kernels give, to the bit, on random cases, ties and extremes."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import DATA

from yolo.detection import host, nms, suppression
from yolo.detection.options import ALL_CLASSES, NMS_SCOPES, PER_CLASS

BATCH, PLACES, CLASSES = 50, 40, 3
NAMES = ('boxes', 'scores', 'classes', 'count')


def by_kernels(boxes, scores, score_threshold, iou_threshold, most, scope):
    """The same by TensorFlow's own kernels, which run on CPUs alone."""
    if scope == PER_CLASS:
        found = tf.image.combined_non_max_suppression(
            boxes[:, :, None], scores, most, most, iou_threshold, score_threshold, clip_boxes=False
        )
        return found.nmsed_boxes, found.nmsed_scores, tf.cast(found.nmsed_classes, tf.int32), found.valid_detections
    out = []
    for places, of_classes in zip(boxes, scores, strict=True):
        flat = np.reshape(of_classes, -1)
        repeated = np.repeat(places, scores.shape[2], 0)
        best = tf.image.non_max_suppression(repeated, flat, most, iou_threshold, score_threshold).numpy()
        rest = most - len(best)
        out.append(
            (
                np.pad(repeated[best], [(0, rest), (0, 0)]),
                np.pad(flat[best], (0, rest)),
                np.pad(best % scores.shape[2], (0, rest)),
                len(best),
            )
        )
    return tuple(map(np.stack, zip(*out, strict=True)))


def random_cases(rng, batch=BATCH, places=PLACES, classes=CLASSES):
    """Boxes in clusters, and scores; no two scores of an image are equal."""
    middle = rng.integers(0, 4, (batch, places, 2)) * 0.2 + rng.normal(0, 0.06, (batch, places, 2))
    sides = np.exp(rng.normal(-1.5, 0.6, (batch, places, 2)))
    boxes = np.concatenate([middle - sides / 2, middle + sides / 2], -1)
    scores = rng.permuted(np.arange(places * classes), axis=None) / (places * classes)
    scores = np.stack([rng.permutation(scores) for _ in range(batch)]).reshape(batch, places, classes)
    return boxes.astype(np.float32), scores.astype(np.float32)


def check(found, expected):
    for name, value in zip(NAMES, expected, strict=True):
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize('jit_compile', [False, True])
@pytest.mark.parametrize('scope', NMS_SCOPES)
def test_ten_thousand_random_cases_are_those_of_the_kernels(scope, jit_compile, monkeypatch):
    monkeypatch.setattr(suppression, 'TILE', 16)  # so that most cases need several
    rng = np.random.default_rng(0)
    counts = []
    for score_threshold, iou_threshold, most in ((0.1, 0.45, 100), (0.005, 0.3, 12), (0.5, 0.7, 30), (0.0, 0.0, 25)):
        limits = score_threshold, iou_threshold, most, scope
        suppress = tf.function(lambda b, s, limits=limits: suppression.suppress(b, s, *limits), jit_compile=jit_compile)
        for _ in range(10_000 // 4 // BATCH):
            boxes, scores = random_cases(rng)
            found = suppress(boxes, scores)
            check(found, by_kernels(boxes, scores, *limits))
            counts.append(found['count'].numpy())
    counts = np.concatenate(counts)
    assert len(counts) == 10_000
    assert (counts == 12).sum() > 1000  # more than there was room for
    assert np.unique(counts).size > 20


@pytest.mark.parametrize('scope', NMS_SCOPES)
@pytest.mark.parametrize('name', ['yolov2-w16', 'yolov2-tiny-w16'])
def test_raw_output_of_darknet(name, scope):
    data = np.load(DATA / 'darknet' / f'{name}.npz')
    boxes, objectness, probabilities = nms.decode(data['raw'], data['anchors'])
    boxes = tf.reshape(boxes, (len(boxes), -1, 4)).numpy()
    scores = tf.reshape(objectness[..., None] * probabilities, (*boxes.shape[:2], -1)).numpy()
    found = nms.detect_unclipped(data['raw'], data['anchors'], 0.005, 0.45, 500, scope)
    check(found, by_kernels(boxes, scores, 0.005, 0.45, 500, scope))
    assert found['count'].numpy().min() > 20


@pytest.mark.parametrize('jit_compile', [False, True])
@pytest.mark.parametrize('scope', NMS_SCOPES)
def test_boxes_without_area_and_huge_ones(scope, jit_compile):
    rng = np.random.default_rng(1)
    boxes, scores = random_cases(rng, 6)
    boxes[0] = boxes[0, :1]  # all the same
    boxes[1, :, 2:] = boxes[1, :, :2]  # points: none overlaps any
    boxes[2, ::2, 2] = boxes[2, ::2, 0]  # lines between boxes
    boxes[3] *= np.float32(1e8)
    boxes[4, ::2] = [-8e6, -8e6, 8e6, 8e6]
    boxes[5] *= np.float32(1e-18)
    limits = 0.2, 0.45, 60, scope
    suppress = tf.function(lambda b, s: suppression.suppress(b, s, *limits), jit_compile=jit_compile)
    found = suppress(boxes, scores)
    check(found, by_kernels(boxes, scores, *limits))
    assert found['count'][0] == (CLASSES if scope == PER_CLASS else 1)
    assert found['count'][1] == 60


@pytest.mark.parametrize('jit_compile', [False, True])
@pytest.mark.parametrize(('iou_threshold', 'expected'), [(0.5, [2, 2, 2]), (0.45, [1, 2, 1]), (0.4499, [1, 1, 1])])
def test_an_overlap_of_just_the_threshold_suppresses_nothing(iou_threshold, expected, jit_compile):
    larger = np.nextafter(np.float32(0.45), np.float32(1))  # by the least step of float32
    boxes = np.array([[[0, 0, 1, 1], [0, 0, width, 1]] for width in (0.5, 0.45, larger)], np.float32)
    scores = np.tile(np.array([[0.9], [0.8]], np.float32), (3, 1, 1))
    limits = 0.1, iou_threshold, 5, PER_CLASS
    found = tf.function(lambda b, s: suppression.suppress(b, s, *limits), jit_compile=jit_compile)(boxes, scores)
    assert found['count'].numpy().tolist() == expected
    check(found, by_kernels(boxes, scores, *limits))


@pytest.mark.parametrize('jit_compile', [False, True])
@pytest.mark.parametrize('scope', NMS_SCOPES)
def test_equal_scores_come_in_the_order_of_the_host(scope, jit_compile, monkeypatch):
    monkeypatch.setattr(suppression, 'TILE', 8)
    rng = np.random.default_rng(2)
    boxes, _ = random_cases(rng, 20)
    scores = rng.choice([0.0, 0.25, 0.5, 0.75], (20, PLACES, CLASSES)).astype(np.float32)
    limits = host.Thresholds(0.1, 0.45, 60, scope)
    expected = host.detect({'boxes': boxes, 'scores': scores}, None, limits)
    suppress = tf.function(lambda b, s: suppression.suppress(b, s, 0.1, 0.45, 60, scope), jit_compile=jit_compile)
    found = {name: value.numpy() for name, value in suppress(boxes, scores).items()}
    found['boxes'] = found['boxes'].clip(0, 1)
    check(found, tuple(expected[name] for name in NAMES))


def test_equal_scores_in_the_kernels():
    """The kernel of all classes has our order of equal scores; that of each class none, so that sets are compared."""
    rng = np.random.default_rng(2)
    boxes, scores = random_cases(rng, 20)
    ties = rng.choice([0.0, 0.25, 0.5, 0.75], scores.shape).astype(np.float32)
    limits = 0.1, 0.45, PLACES * CLASSES
    found = suppression.suppress(boxes, ties, *limits, ALL_CLASSES)
    check(found, by_kernels(boxes, ties, *limits, ALL_CLASSES))
    between_classes = np.repeat(scores[..., :1], CLASSES, -1)  # in a class all differ, else what is kept would too
    found = suppression.suppress(boxes, between_classes, *limits, PER_CLASS)
    expected = by_kernels(boxes, between_classes, *limits, PER_CLASS)
    for mine, theirs in zip(*(_rows(*values) for values in (found.values(), expected)), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def _rows(boxes, scores, classes, count):
    """The detections of each image as rows in one order."""
    rows = np.concatenate([boxes, np.stack([scores, classes], -1)], -1)
    return [image[np.lexsort(image.T)] for image in (one[:n] for one, n in zip(rows, count, strict=True))]


@pytest.mark.parametrize('scope', NMS_SCOPES)
def test_shapes_that_are_not_known_before(scope):
    boxes, scores = random_cases(np.random.default_rng(3), 4)
    limits = 0.2, 0.45, 30, scope
    signature = [tf.TensorSpec((None, None, 4)), tf.TensorSpec((None, None, CLASSES))]
    suppress = tf.function(lambda b, s: suppression.suppress(b, s, *limits), signature)
    for images in (1, 4):
        check(suppress(boxes[:images], scores[:images]), by_kernels(boxes[:images], scores[:images], *limits))
    nothing = suppress(boxes, np.zeros_like(scores))
    assert nothing['count'].numpy().tolist() == [0] * 4
    assert not nothing['boxes'].numpy().any()
    assert nothing['boxes'].shape == (4, 30, 4)


def test_numbers_that_are_none_are_no_detections():
    boxes, scores = random_cases(np.random.default_rng(4), 2)
    scores[0] = np.nan
    found = suppression.suppress(boxes, scores, 0.2, 0.45, 30, ALL_CLASSES)
    assert found['count'][0] == 0 < found['count'][1]
