"""Kinds of errors and their costs against slow loops, and what else lies behind a mAP."""

import dataclasses
import warnings

import numpy as np
import pytest
from test_voc_ap import evaluate_slowly

from yolo.evaluation import bootstrap, breakdowns, error_analysis
from yolo.evaluation.voc_ap import Detections, Truth, match, voc_average_precision

CLASSES = 3


def random_case(seed, num_images=12):
    """Objects, and detections near them, of other classes, anywhere, and twice."""
    rng = np.random.default_rng(seed)
    low = rng.integers(1, 150, (40, 2))
    boxes = np.concatenate([low, low + rng.integers(15, 60, (40, 2))], 1).astype(float)
    truth = Truth(rng.integers(0, num_images, 40), rng.integers(0, CLASSES, 40), boxes, rng.random(40) < 0.15)
    of = rng.integers(0, 40, 120)
    near = boxes[of] + rng.normal(0, rng.choice([1, 8, 20], (120, 1)), (120, 4))
    near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 3)
    classes = np.where(rng.random(120) < 0.7, truth.classes[of], rng.integers(0, CLASSES, 120))
    images = np.where(rng.random(120) < 0.9, truth.images[of], rng.integers(0, num_images, 120))
    return truth, Detections(images, classes, rng.random(120).round(2), near)


def iou(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]) + 1, min(a[3], b[3]) - max(a[1], b[1]) + 1
    if width <= 0 or height <= 0:
        return 0.0
    size = sum((box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b))
    return width * height / (size - width * height)


def slow_kind(truth, ranked, d):
    """TIDE's tests one after the other, for a detection that is wrong."""
    own, other = [], []
    for t in np.flatnonzero((truth.images == ranked.images[d]) & ~truth.difficult):
        (own if truth.classes[t] == ranked.classes[d] else other).append(iou(ranked.boxes[d], truth.boxes[t]))
    best_own, best_other = max(own, default=0), max(other, default=0)
    if 0.1 <= best_own < 0.5:
        return 'localisation'
    if best_other >= 0.5:
        return 'class'
    if best_own >= 0.5:
        return 'duplicate'
    return 'background' if max(best_own, best_other) < 0.1 else 'both'


@pytest.mark.parametrize('seed', range(5))
def test_kinds_are_those_of_a_loop(seed):
    truth, detections = random_case(seed)
    matches = match(truth, detections, CLASSES)
    found = error_analysis.classify(truth, matches, CLASSES)
    kinds = set()
    for d in range(120):
        if matches.right[d] or matches.ignored[d]:
            assert found.kinds[d] == error_analysis.NOTHING
            continue
        expected = slow_kind(truth, matches.ranked, d)
        kinds.add(expected)
        assert error_analysis.KINDS[found.kinds[d]] == expected
        assert (found.targets[d] >= 0) == (expected in ('class', 'localisation'))
    assert len(kinds) >= 4
    meant = set(matches.objects[matches.right]) | set(found.targets)
    for t in range(40):
        assert found.missed[t] == (not truth.difficult[t] and t not in meant)


def without(truth, detections, found, matches, kind):
    """Truth and detections with a kind of error mended by hand."""
    kept, classes, boxes = [], [], []
    taken = set(matches.objects[matches.right])
    for d in range(len(matches.right)):
        box, label = matches.ranked.boxes[d], matches.ranked.classes[d]
        if found.kinds[d] >= 0 and error_analysis.KINDS[found.kinds[d]] == kind:
            target = found.targets[d]
            if target < 0 or target in taken or np.flatnonzero(found.targets == target)[0] != d:
                continue
            box, label = truth.boxes[target], truth.classes[target]
        kept.append(d)
        classes.append(label)
        boxes.append(box)
    ranked = matches.ranked
    mended = Detections(ranked.images[kept], np.array(classes), ranked.scores[kept], np.array(boxes))
    stay = ~found.missed if kind == 'missed' else np.ones(len(truth.images), bool)
    return Truth(*(array[stay] for array in vars(truth).values())), mended


def test_costs_are_what_mending_by_hand_gives():
    """On objects far apart, where mended boxes change nothing for others."""
    grid = np.array([(x, y) for x in range(0, 900, 100) for y in range(0, 900, 100)])[:60] + 10
    boxes = np.concatenate([grid, grid + 40], 1).astype(float)
    rng = np.random.default_rng(0)
    truth = Truth(np.zeros(60, int), rng.integers(0, CLASSES, 60), boxes, np.zeros(60, bool))
    rows = []
    for t in range(50):
        label = truth.classes[t]
        kind = t % 5
        if kind < 2:
            rows.append((label, rng.random(), boxes[t]))
        if kind in (1, 2):  # a duplicate, or a wrong class alone
            rows.append(((label + (kind == 2)) % CLASSES, rng.random(), boxes[t] + 1))
        if kind == 3:
            rows += [(label, rng.random(), boxes[t] + 18), (label, rng.random(), boxes[t] - 18)]
        if kind == 4:
            rows += [((label + 1) % CLASSES, rng.random(), boxes[t] + 18), (label, rng.random(), boxes[t] + 52)]
    detections = Detections(
        np.zeros(len(rows), int),
        np.array([row[0] for row in rows]),
        np.array([row[1] for row in rows]),
        np.array([row[2] for row in rows]),
    )
    matches = match(truth, detections, CLASSES)
    found = error_analysis.classify(truth, matches, CLASSES)
    assert set(found.kinds) == {-1, 0, 1, 2, 3, 4}
    got = error_analysis.costs(truth, matches, found, CLASSES)
    before = voc_average_precision(truth, detections, CLASSES).map_area
    for kind in error_analysis.KINDS:
        mended = voc_average_precision(*without(truth, detections, found, matches, kind), CLASSES).map_area
        assert got[kind] == pytest.approx(mended - before, abs=1e-12), kind
        assert got[kind] > 0


def test_a_perfect_detector_has_no_errors():
    truth, _ = random_case(0)
    detections = Detections(truth.images, truth.classes, np.ones(40), truth.boxes)
    matches = match(truth, detections, CLASSES)
    found = error_analysis.classify(truth, matches, CLASSES)
    assert (found.kinds == error_analysis.NOTHING).all()
    assert not found.missed.any()
    assert set(error_analysis.costs(truth, matches, found, CLASSES).values()) == {0.0}


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


def slow_ap(truth, detections, k, low, high):
    """AP (area) of a class over objects of an area, COCO's way."""
    area = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in truth.boxes]
    ignored = [hard or not low <= size < high for size, hard in zip(area, truth.difficult, strict=True)]
    num, taken, hits = sum(not each for each, c in zip(ignored, truth.classes, strict=True) if c == k), set(), []
    for d in sorted(np.flatnonzero(detections.classes == k), key=lambda d: -detections.scores[d]):
        box = detections.boxes[d]
        objects = np.flatnonzero((truth.images == detections.images[d]) & (truth.classes == k))
        most, t = max(((iou(box, truth.boxes[t]), -t) for t in objects), default=(0, 0))
        if most >= 0.5 and ignored[-t]:
            continue
        if most >= 0.5 and -t not in taken:
            taken.add(-t)
            hits.append(1)
        elif low <= (box[2] - box[0] + 1) * (box[3] - box[1] + 1) < high:
            hits.append(0)
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return sum(max(precision[i:]) for i, hit in enumerate(hits) if hit) / num if num else None


@pytest.mark.parametrize('seed', range(4))
def test_sizes_numbers_and_confusion_equal_slow_loops(seed):
    truth, detections = random_case(seed)
    by_size = breakdowns.by_size(truth, detections, CLASSES, 0.5)
    by_number = breakdowns.by_number(truth, detections, CLASSES, 0.5)
    for name, (low, high) in breakdowns.SIZES.items():
        values = [slow_ap(truth, detections, k, low, high) for k in range(CLASSES)]
        values = [value for value in values if value is not None]
        assert by_size[name]['map_area'] == (pytest.approx(np.mean(values)) if values else None)
    counts = np.bincount(truth.images, minlength=12)
    for name, (low, high) in breakdowns.NUM_OBJECTS.items():
        images = np.flatnonzero((counts >= low) & (counts <= high))
        objects, own = (
            type(items)(*(array[np.isin(items.images, images)] for array in vars(items).values()))
            for items in (truth, detections)
        )
        values = [evaluate_slowly(objects, own, k, 0.5)[1] for k in range(CLASSES)]
        expected = pytest.approx(np.nanmean(values)) if not np.isnan(values).all() else None
        assert (by_number[name]['map_area'], by_number[name]['num_images']) == (expected, len(images))
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


def test_classes_taken_for_others_throughout_are_seen():
    truth, _ = random_case(3)
    wrong = Detections(truth.images, (truth.classes + 1) % CLASSES, np.ones(40), truth.boxes)
    curves = voc_average_precision(truth, wrong, CLASSES)
    assert breakdowns.operating_points(curves) == [None] * CLASSES
    thresholds = breakdowns.sure_scores(truth, wrong, curves, 0.5)
    table = breakdowns.confusion(truth, wrong, thresholds, CLASSES, 0.5)
    assert all(table[k, (k + 1) % CLASSES] == table[k].sum() > 0 for k in range(CLASSES))


@pytest.mark.parametrize('scale', [1, 100, -2])
def test_histograms_hold_every_score(scale):
    truth, detections = random_case(3)
    matches = match(truth, dataclasses.replace(detections, scores=scale * detections.scores), CLASSES)
    for k in range(CLASSES):
        right, wrong, (low, high) = breakdowns.score_histogram(matches, k)
        own = matches.ranked.classes == k
        assert sum(right) == (matches.right & own).sum() > 0
        assert sum(wrong) == (own & ~matches.right & ~matches.ignored).sum() > 0
        assert low <= matches.ranked.scores.min() <= matches.ranked.scores.max() <= high


def test_a_class_that_was_never_found_is_all_missed():
    boxes = np.array([[1.0, 1, 20, 20], [50, 50, 70, 70]])
    truth = Truth(np.zeros(2, int), np.array([0, 1]), boxes, np.zeros(2, bool))
    matches = match(truth, Detections(*(array[:1] for array in (truth.images, truth.classes, np.ones(2), boxes))), 2)
    costs = error_analysis.costs(truth, matches, error_analysis.classify(truth, matches, 2), 2)
    assert costs == {name: 0.5 if name == 'missed' else 0 for name in error_analysis.KINDS}


def test_confusion_counts_every_object_and_every_sure_detection():
    truth, detections = random_case(3)
    thresholds = [0.3, 0.5, 0.2]
    table = breakdowns.confusion(truth, detections, thresholds, CLASSES, 0.5)
    objects = np.bincount(truth.classes[~truth.difficult], minlength=CLASSES)
    np.testing.assert_array_equal(table[:CLASSES].sum(1), objects)
    perfect = Detections(truth.images, truth.classes, np.ones(40), truth.boxes)
    table = breakdowns.confusion(truth, perfect, thresholds, CLASSES, 0.5)
    assert table.sum() == np.trace(table[:CLASSES, :CLASSES])
    wrong = dataclasses.replace(perfect, classes=(perfect.classes + 1) % CLASSES)
    table = breakdowns.confusion(truth, wrong, thresholds, CLASSES, 0.5)
    assert all(table[k, (k + 1) % CLASSES] == table[k].sum() for k in range(CLASSES))


def test_a_bootstrap_sample_is_what_repeated_images_give():
    truth, detections = random_case(4)
    matches = match(truth, detections, CLASSES)
    times = np.random.default_rng(0).multinomial(12, np.full(12, 1 / 12), 3)
    got = bootstrap._aps(truth, matches, times, CLASSES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, 'AT_ONCE', 40)  # in pieces
        np.testing.assert_array_equal(bootstrap._aps(truth, matches, times, CLASSES), got)
    for sample, row in zip(got.T, times, strict=True):
        copies = np.repeat(np.arange(12), row)  # image of each copy
        objects = [np.flatnonzero(truth.images == image) for image in copies]
        found = [np.flatnonzero(detections.images == image) for image in copies]
        new = [np.repeat(np.arange(len(copies)), [len(part) for part in parts]) for parts in (objects, found)]
        o, d = np.concatenate(objects), np.concatenate(found)
        again = voc_average_precision(
            Truth(new[0], truth.classes[o], truth.boxes[o], truth.difficult[o]),
            Detections(new[1], detections.classes[d], detections.scores[d] - 1e-9 * d, detections.boxes[d]),
            CLASSES,
        )
        np.testing.assert_allclose(sample, again.ap_area, atol=1e-12)


def test_the_interval_holds_the_middle_95_percent(monkeypatch):
    monkeypatch.setattr(bootstrap, '_aps', lambda truth, matches, times, num: matches * np.arange(1002.0)[None, :])
    monkeypatch.setattr(bootstrap, 'match', lambda truth, detections, *_: detections)
    row = bootstrap.difference(random_case(0)[0], 2.0, 1.0, 12, 1, 0.5)[0]
    assert (row['difference'], row['real']) == (0, True)
    assert (row['low'], row['high']) == pytest.approx((26, 976), abs=1)


def test_a_class_in_few_images_leaves_samples_without_it():
    truth = Truth(np.array([0, 1, 2]), np.array([0, 0, 1]), np.tile([1.0, 1, 9, 9], (3, 1)), np.zeros(3, bool))
    found = Detections(truth.images, truth.classes, np.ones(3), truth.boxes)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        rows = bootstrap.difference(truth, found, found, 3, 2, 0.5)
    assert [row['difference'] for row in rows] == [0, 0, 0]


def test_luck_is_told_from_skill():
    truth, detections = random_case(5, 40)
    rng = np.random.default_rng(0)
    noise = dataclasses.replace(detections, scores=detections.scores + rng.normal(0, 1e-3, 120))
    rows = bootstrap.difference(truth, detections, noise, 40, CLASSES, 0.5, samples=300)
    assert not rows[-1]['real']
    assert rows[-1]['low'] <= rows[-1]['difference'] <= rows[-1]['high']
    perfect = Detections(truth.images, truth.classes, np.ones(40), truth.boxes)
    rows = bootstrap.difference(truth, perfect, detections, 40, CLASSES, 0.5, samples=300)
    assert rows[-1]['real']
    assert rows[-1]['low'] > 0
    table = bootstrap.format_table(['a', 'b', 'c'], rows)
    assert table.splitlines()[-1].startswith('mAP')
    assert 'yes' in table
