"""Types of errors and their costs: as tidecv, TIDE's own program, has them, and as mending by hand gives them."""

import json

import numpy as np
import pytest
from conftest import DATA
from random_case import CLASSES, random_case

from yolo.evaluation import error_analysis
from yolo.evaluation.error_analysis import ERROR_TYPES, NO_ERROR
from yolo.evaluation.voc_ap import average_precision, voc_average_precision
from yolo.evaluation.voc_matching import Detections, GroundTruth, match, select

TIDE = json.loads((DATA / 'tide' / 'cases.json').read_text())


def tide_case(case):
    """Ground truth, matches and errors of a case, and the place of each sorted detection in the case's own order."""
    objects, rows = np.array(case['objects']), np.array(case['detections'])
    truth = GroundTruth(
        objects[:, 0].astype(int), objects[:, 1].astype(int), objects[:, 2:], np.zeros(len(objects), bool)
    )
    detections = Detections(rows[:, 0].astype(int), rows[:, 1].astype(int), rows[:, 6], rows[:, 2:6])
    matches = match(truth, detections, case['num_classes'])
    return truth, matches, error_analysis.classify(truth, matches, case['num_classes']), np.argsort(-rows[:, 6])


@pytest.mark.parametrize('case', TIDE)
def test_every_error_has_the_type_and_the_target_that_tidecv_gives_it(case):
    _, matches, error_types, order = tide_case(case)
    expected = [case['types'][d] for d in order]
    assert set(expected) == {None, *ERROR_TYPES} - {'missed'}
    assert [None if number == NO_ERROR else ERROR_TYPES[number] for number in error_types.types] == expected
    np.testing.assert_array_equal(matches.is_true_positive, [name is None for name in expected])
    assert [None if target < 0 else target for target in error_types.targets] == [case['targets'][d] for d in order]
    assert np.flatnonzero(error_types.is_missed).tolist() == case['missed'] != []


@pytest.mark.parametrize('case', TIDE)
def test_costs_are_in_tidecvs_order(case):
    """Its AP is a mean over 101 recalls, ours the area: they differ by less than 0.01."""
    truth, matches, error_types, _ = tide_case(case)
    costs = error_analysis.costs(truth, matches, error_types, case['num_classes'])
    assert sorted(costs, key=costs.get) == sorted(case['costs'], key=case['costs'].get)
    assert costs == pytest.approx(case['costs'], abs=0.01)
    assert average_precision(truth, matches, case['num_classes']).map_area == pytest.approx(case['map'], abs=0.01)


@pytest.mark.parametrize('seed', range(3))
def test_difficult_objects_change_nothing_but_what_they_ignore(seed):
    """Without difficult objects, and without the detections that match these, all else has the same errors."""
    truth, detections = random_case(seed)
    matches = match(truth, detections, CLASSES)
    error_types = error_analysis.classify(truth, matches, CLASSES)
    assert matches.is_ignored.any()
    assert (error_types.types[matches.is_ignored] == NO_ERROR).all()
    assert not error_types.is_missed[truth.difficult].any()
    easy = select(truth, ~truth.difficult)
    easy_matches = match(easy, select(matches.sorted_detections, ~matches.is_ignored), CLASSES)
    expected = error_analysis.classify(easy, easy_matches, CLASSES)
    number_of = np.append(np.cumsum(~truth.difficult) - 1, -1)  # of an object among the easy ones
    np.testing.assert_array_equal(error_types.types[~matches.is_ignored], expected.types)
    np.testing.assert_array_equal(number_of[error_types.targets[~matches.is_ignored]], expected.targets)
    np.testing.assert_array_equal(error_types.is_missed[~truth.difficult], expected.is_missed)
    costs = error_analysis.costs(truth, matches, error_types, CLASSES)
    assert costs == error_analysis.costs(easy, easy_matches, expected, CLASSES)


def without(truth, matches, error_types, name):
    """Ground truth and detections with a type of error mended by hand."""
    kept, classes, boxes = [], [], []
    detections, taken = matches.sorted_detections, set(matches.best_object[matches.is_true_positive])
    for d in range(len(detections.scores)):
        box, label = detections.boxes[d], detections.classes[d]
        if error_types.types[d] >= 0 and ERROR_TYPES[error_types.types[d]] == name:
            target = error_types.targets[d]
            if target < 0 or target in taken or np.flatnonzero(error_types.targets == target)[0] != d:
                continue
            box, label = truth.boxes[target], truth.classes[target]
        kept.append(d)
        classes.append(label)
        boxes.append(box)
    mended = Detections(detections.images[kept], np.array(classes), detections.scores[kept], np.array(boxes))
    return select(truth, ~error_types.is_missed) if name == 'missed' else truth, mended


def case_of_all_errors():
    """60 objects far apart, where mended boxes change nothing for others, and detections with every type of error."""
    grid = np.array([(x, y) for x in range(0, 900, 100) for y in range(0, 900, 100)])[:60] + 10
    boxes = np.concatenate([grid, grid + 40], 1).astype(float)
    rng = np.random.default_rng(0)
    truth = GroundTruth(np.zeros(60, int), rng.integers(0, CLASSES, 60), boxes, np.zeros(60, bool))
    rows = []
    for t in range(50):
        label, variant = truth.classes[t], t % 5
        if variant < 2:
            rows.append((label, rng.random(), boxes[t]))
        if variant in (1, 2):  # a duplicate, or a wrong class alone
            rows.append(((label + (variant == 2)) % CLASSES, rng.random(), boxes[t] + 1))
        if variant == 3:
            rows += [(label, rng.random(), boxes[t] + 18), (label, rng.random(), boxes[t] - 18)]
        if variant == 4:
            rows += [((label + 1) % CLASSES, rng.random(), boxes[t] + 18), (label, rng.random(), boxes[t] + 52)]
    classes, scores, detected = (np.array(column) for column in zip(*rows, strict=True))
    return truth, Detections(np.zeros(len(rows), int), classes, scores, detected)


def test_costs_are_what_mending_by_hand_gives():
    truth, detections = case_of_all_errors()
    matches = match(truth, detections, CLASSES)
    error_types = error_analysis.classify(truth, matches, CLASSES)
    assert set(error_types.types) == {-1, 0, 1, 2, 3, 4}
    costs = error_analysis.costs(truth, matches, error_types, CLASSES)
    before = voc_average_precision(truth, detections, CLASSES).map_area
    for name in ERROR_TYPES:
        mended = voc_average_precision(*without(truth, matches, error_types, name), CLASSES).map_area
        assert costs[name] == pytest.approx(mended - before, abs=1e-12), name
        assert costs[name] > 0


def test_a_perfect_detector_has_no_errors():
    truth, _ = random_case(0)
    matches = match(truth, Detections(truth.images, truth.classes, np.ones(40), truth.boxes), CLASSES)
    error_types = error_analysis.classify(truth, matches, CLASSES)
    assert (error_types.types == NO_ERROR).all()
    assert not error_types.is_missed.any()
    assert set(error_analysis.costs(truth, matches, error_types, CLASSES).values()) == {0.0}


def test_a_class_that_was_never_detected_is_all_missed():
    boxes = np.array([[1.0, 1, 20, 20], [50, 50, 70, 70]])
    truth = GroundTruth(np.zeros(2, int), np.array([0, 1]), boxes, np.zeros(2, bool))
    one = Detections(*(array[:1] for array in (truth.images, truth.classes, np.ones(2), boxes)))
    matches = match(truth, one, 2)
    costs = error_analysis.costs(truth, matches, error_analysis.classify(truth, matches, 2), 2)
    assert costs == {name: 0.5 if name == 'missed' else 0 for name in ERROR_TYPES}


def test_correcting_one_type_leaves_the_inputs_as_they_were():
    truth, detections = random_case(1)
    matches = match(truth, detections, CLASSES)
    error_types = error_analysis.classify(truth, matches, CLASSES)
    everything = [*vars(truth).values(), matches.is_true_positive, matches.is_ignored, *vars(error_types).values()]
    before = [array.copy() for array in everything]
    first = error_analysis.costs(truth, matches, error_types, CLASSES)
    for array, copy in zip(everything, before, strict=True):
        np.testing.assert_array_equal(array, copy)
    assert error_analysis.costs(truth, matches, error_types, CLASSES) == first
