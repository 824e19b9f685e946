"""What lies behind a mAP, against slow loops."""

import dataclasses

import numpy as np
import pytest
from random_case import CLASSES, iou, random_case
from test_voc_ap import evaluate_slowly

from yolo.evaluation import breakdowns
from yolo.evaluation.voc_ap import voc_average_precision
from yolo.evaluation.voc_matching import Detections, match, select


def test_operating_points_are_the_best_of_all_thresholds():
    truth, detections = random_case(1)
    curves = voc_average_precision(truth, detections, CLASSES)
    for k, point in enumerate(breakdowns.operating_points(curves)):
        best = 0.0
        for threshold in np.unique(curves.scores[k]):
            n = int(np.sum(curves.scores[k] >= threshold))
            precision, recall = curves.precision[k][n - 1], curves.recall[k][n - 1]
            best = max(best, 2 * precision * recall / max(precision + recall, 1e-12))
        assert point['f1'] == pytest.approx(best)
        n = int(np.sum(curves.scores[k] >= point['score']))
        assert (point['precision'], point['recall']) == (curves.precision[k][n - 1], curves.recall[k][n - 1])


def test_sizes_and_numbers_of_objects_divide_the_truth():
    truth, detections = random_case(2)
    counted = int((~truth.difficult).sum())
    by_size = breakdowns.by_size(truth, detections, CLASSES, 0.5)
    assert sum(row['num_objects'] for row in by_size.values()) == counted
    by_number = breakdowns.by_number(truth, detections, CLASSES, 0.5)
    assert sum(row['num_objects'] for row in by_number.values()) == counted
    assert sum(row['num_images'] for row in by_number.values()) == len(np.unique(truth.images))
    only = dataclasses.replace(truth, boxes=np.tile([1.0, 1, 20, 20], (40, 1)))
    small = breakdowns.by_size(only, detections, CLASSES, 0.5)
    assert (small['large']['map_area'], small['large']['num_objects']) == (None, 0)


@pytest.mark.parametrize('seed', range(4))
def test_map_by_number_is_that_of_a_loop(seed):
    truth, detections = random_case(seed)
    by_number = breakdowns.by_number(truth, detections, CLASSES, 0.5)
    counts = np.bincount(truth.images, minlength=12)
    for name, (low, high) in breakdowns.NUM_OBJECTS.items():
        images = np.flatnonzero((counts >= low) & (counts <= high))
        objects, own = (select(items, np.isin(items.images, images)) for items in (truth, detections))
        values = [evaluate_slowly(objects, own, k, 0.5)[1] for k in range(CLASSES)]
        expected = pytest.approx(np.nanmean(values)) if not np.isnan(values).all() else None
        assert (by_number[name]['map_area'], by_number[name]['num_images']) == (expected, len(images))


@pytest.mark.parametrize('seed', range(4))
def test_confusion_is_that_of_a_loop(seed):
    truth, detections = random_case(seed)
    thresholds, table, taken = [0.3, 0.5, 0.2], np.zeros((CLASSES + 1, CLASSES + 1), int), set()
    for d in sorted(range(120), key=lambda d: -detections.scores[d]):
        if detections.scores[d] < thresholds[detections.classes[d]]:
            continue
        objects = np.flatnonzero(truth.images == detections.images[d])
        most, t = max(((iou(detections.boxes[d], truth.boxes[t]), -t) for t in objects), default=(0, 0))
        if most >= 0.5 and truth.difficult[-t]:
            continue
        if most >= 0.5 and -t not in taken:
            taken.add(-t)
            table[truth.classes[-t], detections.classes[d]] += 1
        else:
            table[CLASSES, detections.classes[d]] += 1
    for t in set(np.flatnonzero(~truth.difficult)) - taken:
        table[truth.classes[t], CLASSES] += 1
    np.testing.assert_array_equal(breakdowns.confusion(truth, detections, thresholds, CLASSES, 0.5), table)


def test_confusion_counts_every_object_and_every_confident_detection():
    truth, detections = random_case(3)
    table = breakdowns.confusion(truth, detections, [0.3, 0.5, 0.2], CLASSES, 0.5)
    objects = np.bincount(truth.classes[~truth.difficult], minlength=CLASSES)
    np.testing.assert_array_equal(table[:CLASSES].sum(1), objects)
    perfect = Detections(truth.images, truth.classes, np.ones(40), truth.boxes)
    table = breakdowns.confusion(truth, perfect, [0.3, 0.5, 0.2], CLASSES, 0.5)
    np.testing.assert_array_equal(table, np.diag([*objects, 0]))


def test_classes_taken_for_others_throughout_are_shown():
    """No class has an operating point of its own, so all take that of all classes taken for one."""
    truth, _ = random_case(3)
    shifted = Detections(truth.images, (truth.classes + 1) % CLASSES, np.ones(40), truth.boxes)
    curves = voc_average_precision(truth, shifted, CLASSES)
    assert breakdowns.operating_points(curves) == [None] * CLASSES
    thresholds = breakdowns.operating_scores(truth, shifted, curves, 0.5)
    assert thresholds == [1.0] * CLASSES
    table = breakdowns.confusion(truth, shifted, thresholds, CLASSES, 0.5)
    assert all(table[k, (k + 1) % CLASSES] == table[k].sum() > 0 for k in range(CLASSES))


def test_without_true_positives_no_score_is_high_enough():
    truth, detections = random_case(3)
    nowhere = dataclasses.replace(detections, boxes=detections.boxes + 1000)
    curves = voc_average_precision(truth, nowhere, CLASSES)
    assert breakdowns.operating_scores(truth, nowhere, curves, 0.5) == [np.inf] * CLASSES


@pytest.mark.parametrize('scale', [1, 100, -2])
def test_histograms_hold_every_score(scale):
    truth, detections = random_case(3)
    matches = match(truth, dataclasses.replace(detections, scores=scale * detections.scores), CLASSES)
    scores = matches.sorted_detections.scores
    for k in range(CLASSES):
        true_positives, false_positives, (low, high) = breakdowns.score_histogram(matches, k)
        is_own = matches.sorted_detections.classes == k
        assert sum(true_positives) == (matches.is_true_positive & is_own).sum() > 0
        assert sum(false_positives) == (is_own & matches.is_false_positive).sum() > 0
        assert low <= scores.min() <= scores.max() <= high
        top = true_positives[-1] + false_positives[-1]
        counted = is_own & ~matches.is_ignored
        assert top == np.sum(scores[counted] >= np.linspace(low, high, breakdowns.NUM_BINS + 1)[-2])
