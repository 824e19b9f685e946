"""Boxes in VOC pixels, and what a match says of every detection."""

import numpy as np
from random_case import CLASSES, iou, random_case

from yolo.evaluation.voc_matching import match, order_by_score, to_voc_pixels


def test_pixels_survive_the_record():
    rng = np.random.default_rng(0)
    sizes = rng.integers(50, 4000, (5000, 2))
    extent = sizes[:, [1, 0, 1, 0]]
    pixels = np.ceil(rng.random((5000, 4)) * extent)
    relative = ((pixels - [1, 1, 0, 0]) / extent).astype(np.float32)
    np.testing.assert_array_equal(to_voc_pixels(relative, sizes, exact=True), pixels)
    np.testing.assert_allclose(to_voc_pixels(relative, sizes), pixels, atol=1e-3)


def test_detections_are_clipped_to_the_image():
    boxes = np.array([[-0.5, 0.25, 1.5, 0.5], [0, 0, 1, 1]], np.float32)
    expected = [[1, 26, 200, 50], [1, 1, 200, 100]]
    np.testing.assert_array_equal(to_voc_pixels(boxes, np.array([[100, 200]] * 2)), expected)
    np.testing.assert_array_equal(to_voc_pixels(boxes[None], np.array([100, 200])), [expected])


def test_a_match_names_the_best_object_and_the_fate_of_every_detection():
    truth, detections = random_case(6)
    matches = match(truth, detections, CLASSES)
    order = sorted(range(120), key=lambda d: -detections.scores[d])
    np.testing.assert_array_equal(matches.sorted_detections.boxes, detections.boxes[order])
    taken = set()
    for place, d in enumerate(order):
        objects = np.flatnonzero((truth.images == detections.images[d]) & (truth.classes == detections.classes[d]))
        overlaps = [iou(detections.boxes[d], truth.boxes[t]) for t in objects]
        highest = max(overlaps, default=0)
        best = objects[overlaps.index(highest)] if highest > 0 else -1
        assert matches.best_object[place] == best
        np.testing.assert_allclose(matches.overlap[place], highest if highest > 0 else -np.inf)
        is_ignored = highest >= 0.5 and truth.difficult[best]
        is_true_positive = highest >= 0.5 and not is_ignored and best not in taken
        taken |= {best} if is_true_positive else set()
        assert matches.is_ignored[place] == is_ignored
        assert matches.is_true_positive[place] == is_true_positive
        assert matches.is_false_positive[place] == (not is_ignored and not is_true_positive)
    assert len(taken) > 10
    assert matches.is_ignored.any()


def test_equal_scores_stay_in_the_order_given():
    scores = np.random.default_rng(0).integers(0, 5, 1000) / 5
    np.testing.assert_array_equal(order_by_score(scores), np.argsort(-scores, kind='stable'))
