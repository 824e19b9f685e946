import json

import numpy as np
import pytest
from conftest import DATA

from yolo import voc_average_precision
from yolo.evaluation import pairs, voc_ap, voc_matching
from yolo.evaluation.voc_matching import Detections, GroundTruth


def golden():
    """The devkit's case as arrays, and what its MATLAB code makes of it."""
    cases = json.loads((DATA / 'voc_devkit' / 'cases.json').read_text())
    image, kind = ({name: i for i, name in enumerate(cases[key])} for key in ('images', 'classes'))
    objects, rows = cases['objects'], cases['detections']
    truth = GroundTruth(
        np.array([image[o[0]] for o in objects]),
        np.array([kind[o[1]] for o in objects]),
        np.array([o[2:6] for o in objects], float),
        np.array([o[6] for o in objects], bool),
    )
    detections = Detections(
        np.array([image[d[0]] for d in rows]),
        np.array([kind[d[1]] for d in rows]),
        np.array([d[2] for d in rows]),
        np.array([d[3:7] for d in rows], float),
    )
    return truth, detections, kind, json.loads((DATA / 'voc_devkit' / 'devkit.json').read_text())


def test_equals_the_devkit():
    truth, detections, kind, expected = golden()
    ap = voc_average_precision(truth, detections, len(kind))
    for name, k in kind.items():
        assert ap.ap_11pt[k] == pytest.approx(expected[name]['ap_11pt'], abs=1e-9)
        assert ap.ap_area[k] == pytest.approx(expected[name]['ap_area'], abs=1e-9)
        assert ap.num_detections[k] == expected[name]['detections']
        assert ap.recall[k][-1] == pytest.approx(expected[name]['max_recall'], abs=1e-9)
        assert ap.precision[k][-1] == pytest.approx(expected[name]['final_precision'], abs=1e-9)
    assert ap.map_11pt == pytest.approx(np.mean([row['ap_11pt'] for row in expected.values()]), abs=1e-9)
    assert ap.map_area == pytest.approx(np.mean([row['ap_area'] for row in expected.values()]), abs=1e-9)


def overlap(a, b):
    w = min(a[2], b[2]) - max(a[0], b[0]) + 1
    h = min(a[3], b[3]) - max(a[1], b[1]) + 1
    if w <= 0 or h <= 0:
        return 0.0
    area = (a[2] - a[0] + 1) * (a[3] - a[1] + 1) + (b[2] - b[0] + 1) * (b[3] - b[1] + 1)
    return w * h / (area - w * h)


def evaluate_slowly(truth, detections, k, threshold):
    """VOCevaldet, line by line: AP by 11 points and by area of a class."""
    order = sorted(np.flatnonzero(detections.classes == k), key=lambda d: -detections.scores[d])
    taken, hits, misses = set(), [], []
    for d in order:
        best, most = None, -np.inf
        for t in np.flatnonzero((truth.classes == k) & (truth.images == detections.images[d])):
            value = overlap(detections.boxes[d], truth.boxes[t])
            if value > most:
                best, most = t, value
        hit = miss = 0
        if most >= threshold:
            if not truth.difficult[best]:
                hit, miss = (1, 0) if best not in taken else (0, 1)
                taken.add(best)
        else:
            miss = 1
        hits.append(hit)
        misses.append(miss)
    num = np.sum((truth.classes == k) & ~truth.difficult)
    if num == 0:
        return np.nan, np.nan
    right, wrong = np.cumsum(hits), np.cumsum(misses)
    with np.errstate(invalid='ignore'):
        recall, precision = right / num, np.nan_to_num(right / (right + wrong))
    points = [max(precision[recall >= t], default=0) for t in np.arange(11) * 0.1]
    mrec, mpre = np.concatenate([[0], recall, [1]]), np.concatenate([[0], precision, [0]])
    for i in range(len(mpre) - 2, -1, -1):
        mpre[i] = max(mpre[i], mpre[i + 1])
    i = np.flatnonzero(mrec[1:] != mrec[:-1]) + 1
    return sum(points) / 11, np.sum((mrec[i] - mrec[i - 1]) * mpre[i])


@pytest.mark.parametrize('seed', range(8))
def test_equals_the_slow_twin_with_ties_duplicates_and_crowds(seed):
    rng = np.random.default_rng(seed)
    num, num_detections = 60, 300
    corners = rng.integers(1, 40, (num, 2))
    truth = GroundTruth(
        rng.integers(0, 6, num),
        rng.integers(0, 4, num),
        np.concatenate([corners, corners + rng.integers(0, 25, (num, 2))], 1),
        rng.random(num) < 0.2,
    )
    source = rng.integers(0, num, num_detections)
    boxes = truth.boxes[source] + rng.integers(-4, 5, (num_detections, 4))
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2])
    detections = Detections(
        truth.images[source],
        np.where(rng.random(num_detections) < 0.8, truth.classes[source], 3),
        rng.integers(0, 12, num_detections) / 12,
        boxes,
    )
    for threshold in (0.5, 0.75):
        ap = voc_average_precision(truth, detections, 5, threshold)
        for k in range(5):
            expected = evaluate_slowly(truth, detections, k, threshold)
            np.testing.assert_allclose([ap.ap_11pt[k], ap.ap_area[k]], expected, atol=1e-12)


def truths(*rows):
    """Objects of class 0 given as (image, box, difficult)."""
    images, boxes, difficult = zip(*rows, strict=True) if rows else ((), (), ())
    return GroundTruth(
        np.array(images, int),
        np.zeros(len(rows), int),
        np.array(boxes, float).reshape(-1, 4),
        np.array(difficult, bool),
    )


def detected(*rows):
    """Detections of class 0 given as (image, box, score)."""
    images, boxes, scores = zip(*rows, strict=True) if rows else ((), (), ())
    return Detections(
        np.array(images, int), np.zeros(len(rows), int), np.array(scores, float), np.array(boxes, float).reshape(-1, 4)
    )


BOX, AWAY = (10, 10, 19, 19), (50, 50, 59, 59)


@pytest.mark.parametrize(
    ('truth', 'detections', 'area'),
    [
        (truths((0, BOX, False)), detected((0, BOX, 0.5)), 1.0),
        (truths((0, BOX, False)), detected(), 0.0),
        (truths((0, BOX, False)), detected((1, BOX, 0.5)), 0.0),
        (truths(), detected((0, BOX, 0.5)), np.nan),
        (truths(), detected(), np.nan),
        (truths((0, BOX, True)), detected((0, BOX, 0.5)), np.nan),
        (truths((0, BOX, False), (1, BOX, True)), detected((1, BOX, 0.9), (1, BOX, 0.8), (0, BOX, 0.5)), 1.0),
        (truths((0, BOX, False)), detected((0, BOX, 0.9), (0, BOX, 0.8)), 1.0),
        (truths((0, BOX, False), (0, AWAY, False)), detected((0, BOX, 0.9), (0, BOX, 0.8), (0, AWAY, 0.7)), 5 / 6),
        (truths((0, BOX, False)), detected((0, AWAY, 0.5), (0, BOX, 0.5)), 0.5),
        (truths((0, BOX, False)), detected((0, BOX, 0.5), (0, AWAY, 0.5)), 1.0),
    ],
)
def test_small_cases(truth, detections, area):
    ap = voc_average_precision(truth, detections, 1)
    np.testing.assert_allclose([ap.ap_area[0], ap.map_area], area)
    assert np.isnan(ap.ap_11pt[0]) == np.isnan(area)


def test_the_mean_is_over_classes_with_objects():
    truth = GroundTruth(np.zeros(2, int), np.array([0, 2]), np.array([BOX, AWAY], float), np.zeros(2, bool))
    ap = voc_average_precision(truth, detected((0, BOX, 0.5)), 4)
    assert ap.map_area == 0.5
    assert np.isnan(ap.ap_area[[1, 3]]).all()
    assert ap.num_objects.tolist() == [1, 0, 1, 0]


def test_overlap_of_exactly_the_threshold_counts():
    half = (10, 10, 19, 14)  # 50 of 100 pixels, ends included
    assert voc_average_precision(truths((0, BOX, False)), detected((0, half, 0.5)), 1).map_area == 1
    less = (10, 10, 19, 13.99)
    assert voc_average_precision(truths((0, BOX, False)), detected((0, less, 0.5)), 1).map_area == 0


@pytest.mark.parametrize(
    ('detections', 'message'),
    [
        (detected((0, BOX, np.nan)), r'scores\[0\] is nan'),
        (detected((0, BOX, 0.1), (0, (1, 2, np.inf, 4), 0.5)), r'boxes\[1\]'),
        (Detections(np.zeros(1, int), np.array([3]), np.ones(1), np.ones((1, 4))), r'classes\[0\] is 3'),
        (Detections(np.zeros(2, int), np.array([0]), np.ones(1), np.ones((1, 4))), 'has shape'),
    ],
)
def test_bad_arrays_are_refused(detections, message):
    with pytest.raises(ValueError, match=message):
        voc_average_precision(truths((0, BOX, False)), detections, 1)


def test_few_pairs_at_once_change_nothing(monkeypatch):
    truth, detections, kind, _ = golden()
    whole = voc_average_precision(truth, detections, len(kind))
    for number in (1, 7, 100):
        monkeypatch.setattr(pairs, 'PAIRS_AT_ONCE', number)
        np.testing.assert_array_equal(voc_average_precision(truth, detections, len(kind)).ap_area, whole.ap_area)


@pytest.mark.parametrize('at_once', [1, 7, 100])
def test_few_images_at_once_change_nothing(at_once, monkeypatch):
    truth, detections, kind, _ = golden()
    rng = np.random.default_rng(at_once)
    order = rng.permutation(len(detections.scores))
    order = order[np.argsort(detections.images[order], kind='stable')]
    detections = Detections(
        detections.images[order], detections.classes[order], detections.scores[order].round(1), detections.boxes[order]
    )
    whole = voc_ap.average_precision(truth, voc_matching.match(truth, detections, len(kind)), len(kind))
    monkeypatch.setattr(voc_ap, 'DETECTIONS_AT_ONCE', at_once)
    parts = list(voc_ap._parts_of_images(truth, detections))
    assert len(parts) > 3
    assert sum(len(part.scores) for _, part in parts) == len(order)
    np.testing.assert_equal(vars(voc_average_precision(truth, detections, len(kind))), vars(whole))


def test_equal_overlaps_take_the_first_object():
    detections = detected((0, BOX, 0.5))
    assert voc_average_precision(truths((0, BOX, False), (0, BOX, True)), detections, 1).recall[0].tolist() == [1]
    assert voc_average_precision(truths((0, BOX, True), (0, BOX, False)), detections, 1).recall[0].tolist() == []


def test_recall_of_three_tenths_is_below_the_fourth_point():
    truth = truths(*((image, BOX, False) for image in range(10)))
    ap = voc_average_precision(truth, detected((0, BOX, 0.9), (1, BOX, 0.8), (2, BOX, 0.7)), 1)
    assert ap.ap_11pt[0] == pytest.approx(3 / 11)  # 0, .1, .2; the fourth is 3 * 0.1, a bit over 3 / 10


def test_the_curve_has_the_detections_that_count():
    truth = truths((0, BOX, False), (0, AWAY, True))
    ap = voc_average_precision(truth, detected((0, BOX, 0.7), (0, AWAY, 0.8), (0, BOX, 0.9)), 1)
    assert ap.precision[0].tolist() == [1, 0.5]
    assert ap.recall[0].tolist() == [1, 1]
    assert ap.scores[0].tolist() == [0.9, 0.7]
    assert (ap.num_objects[0], ap.num_difficult[0], ap.num_detections[0]) == (1, 1, 3)


def test_other_types_and_thresholds_are_refused():
    with pytest.raises(ValueError, match=r'GroundTruth\.classes has type float64'):
        voc_average_precision(
            GroundTruth(np.zeros(1, int), np.zeros(1), np.ones((1, 4)), np.zeros(1, bool)), detected(), 1
        )
    with pytest.raises(ValueError, match='iou_threshold is 50'):
        voc_average_precision(truths(), detected(), 1, 50)
