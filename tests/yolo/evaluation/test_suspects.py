import dataclasses

import numpy as np
import pytest
from random_case import iou, random_result
from spoiled_case import NAMES, made, place_of, without

from yolo.evaluation import evidence, pairs, suspects
from yolo.evaluation.ignore_regions import IgnoreRegions
from yolo.evaluation.result import pool
from yolo.evaluation.suspects import BOX, CLASS, KINDS, MISSING, NOTHING, TWICE
from yolo.evaluation.voc_matching import Detections, GroundTruth, select

WHOLE = np.array([[1, 1, 200, 200]], float)  # of an image
NO_TRUTH = GroundTruth(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 4)), np.zeros(0, bool))
NO_DETECTIONS = Detections(np.zeros(0, int), np.zeros(0, int), np.zeros(0), np.zeros((0, 4)))


def kinds_met(result, found):
    """Of each suspect: its kind, image, and place in the image."""
    rows = []
    for kind, image, t, d in zip(found.kinds, found.images, found.objects, found.detections, strict=True):
        box = result.truth.boxes[t] if t >= 0 else result.detections.boxes[d]
        rows.append((KINDS[kind], (int(image), place_of(box))))
    return rows


@pytest.mark.parametrize('seed', [0, 1, 2])
def test_spoiled_labels_come_first_each_as_its_kind(seed):
    result, spoiled = made(seed)
    found = suspects.find(result, len(spoiled))
    met = kinds_met(result, found)
    right = [spoiled.get(place) == kind for kind, place in met]
    assert np.mean(right) > 0.9
    for kind in (MISSING, NOTHING, CLASS, BOX):
        assert sum(spoiled.get(place) == kind == named for named, place in met) >= 9  # of 12
    assert (np.diff(found.probabilities) <= 0).all()
    assert found.probabilities.max() <= 1


@pytest.mark.parametrize('seed', [0, 1])
def test_probabilities_are_the_share_of_wrong_labels(seed):
    result, spoiled = made(seed)
    found = suspects.find(result, 1000)
    expected, wrong = found.probabilities.sum(), sum(place in spoiled for _, place in kinds_met(result, found))
    assert 0.5 * wrong < expected < 1.5 * wrong


def test_right_labels_of_a_good_detector_are_not_suspected():
    found = suspects.find(made(spoil=False, confident=True)[0], 1000)
    assert not len(found.images)
    assert not found.reasons


@pytest.mark.parametrize(('truth', 'detections'), [(True, False), (False, True), (False, False)])
def test_nothing_annotated_or_nothing_detected(truth, detections):
    result = made()[0]
    result = without(
        result,
        truth=result.truth if truth else NO_TRUTH,
        detections=result.detections if detections else NO_DETECTIONS,
    )
    assert not len(suspects.find(result, 1000).images)  # a detector that sees nothing says nothing of labels


def test_a_class_that_is_never_detected_is_not_suspected():
    result, _ = made(spoil=False)
    blind = without(result, detections=select(result.detections, result.detections.classes != 0))
    found = suspects.find(blind, 1000)
    assert not (blind.truth.classes[found.objects[found.objects >= 0]] == 0).sum() > 3


def test_one_class_alone():
    result, spoiled = made()
    one = without(
        result,
        truth=dataclasses.replace(result.truth, classes=np.zeros_like(result.truth.classes)),
        detections=dataclasses.replace(result.detections, classes=np.zeros_like(result.detections.classes)),
    )
    found = suspects.find(dataclasses.replace(one, classes=('thing',)), 36)
    assert KINDS.index(CLASS) not in found.kinds
    assert np.mean([spoiled.get(place) == kind for kind, place in kinds_met(one, found)]) > 0.85


def test_an_object_that_is_annotated_twice():
    result, _ = made(spoil=False, confident=True)
    copy = select(result.truth, np.array([5]))
    truth = GroundTruth(
        *(np.concatenate([a, b]) for a, b in zip(vars(result.truth).values(), vars(copy).values(), strict=True))
    )
    found = suspects.find(without(result, truth=truth), 10)
    assert [KINDS[kind] for kind in found.kinds] == [TWICE]
    assert found.objects.tolist() == [len(truth.images) - 1]


def test_difficult_objects_are_never_suspected_but_are_there():
    result, spoiled = made()
    hard = without(result, truth=dataclasses.replace(result.truth, difficult=np.ones(len(result.truth.images), bool)))
    found = suspects.find(hard, 1000)
    assert set(found.objects.tolist()) <= {-1}
    places = [place for _, place in kinds_met(hard, found)]
    assert not [place for place in places if place not in spoiled and found.probabilities[places.index(place)] > 0.9]


def test_each_object_is_listed_once_and_reasons_name_what_was_seen():
    result, _ = made()
    found = suspects.find(result, 1000)
    objects = found.objects[found.objects >= 0].tolist()
    assert len(set(objects)) == len(objects)
    for kind, t, d, reason in zip(found.kinds, found.objects, found.detections, found.reasons, strict=True):
        if KINDS[kind] == CLASS:
            assert f'annotated as {NAMES[result.truth.classes[t]]}' in reason
            assert f'detected as {NAMES[result.detections.classes[d]]}' in reason
        if KINDS[kind] == MISSING:
            assert f'{result.detections.scores[d]:.2f}' in reason


def slow_evidence(result):
    """support and any_support, object by object."""
    truth, detections = result.truth, result.detections
    overlap = np.array(
        [
            [iou(a, b) if truth.images[t] == detections.images[d] else 0 for d, b in enumerate(detections.boxes)]
            for t, a in enumerate(truth.boxes)
        ]
    )
    support = np.zeros((len(truth.images), len(result.classes)))
    anything = np.zeros(len(truth.images))
    for t, d in np.argwhere(overlap > 0):
        score, k = detections.scores[d], detections.classes[d]
        if overlap[t, d] >= 0.5:
            support[t, k] = max(support[t, k], score)
        if overlap[t, d] >= 0.5 or (overlap[t, d] >= 0.2 and overlap[t, d] == overlap[:, d].max()):
            anything[t] = max(anything[t], score)
    return support, anything


def test_evidence_is_that_of_a_slow_loop(monkeypatch):
    monkeypatch.setattr(pairs, 'PAIRS_AT_ONCE', 50)
    result = random_result()
    found = evidence.gather(result)
    support, anything = slow_evidence(result)
    np.testing.assert_array_equal(found.support, support)
    np.testing.assert_array_equal(found.any_support, anything)
    t, k = np.nonzero(support)
    np.testing.assert_array_equal(result.detections.scores[found.supporter[t, k]], support[t, k])
    assert (found.supporter[support == 0] == -1).all()


def test_what_lies_in_an_ignore_region_is_not_missing():
    result, _spoiled = made()
    ignored = IgnoreRegions(
        np.arange(len(result.image_ids)), np.full(len(result.image_ids), -1), np.tile(WHOLE, (len(result.image_ids), 1))
    )
    found = suspects.find(dataclasses.replace(result, regions=ignored), 1000)
    assert KINDS.index(MISSING) in suspects.find(result, 1000).kinds
    assert KINDS.index(MISSING) not in found.kinds


def test_pooled_parts_are_the_whole():
    result, _ = made()
    numbers = [np.arange(1, 120, 2), np.arange(0, 120, 2)]
    parts = []
    for own in numbers:
        number_of = np.full(120, -1)
        number_of[own] = np.arange(len(own))
        truth, detections = (select(items, np.isin(items.images, own)) for items in (result.truth, result.detections))
        parts.append(
            dataclasses.replace(
                result,
                image_ids=tuple(result.image_ids[number] for number in own),
                truth=dataclasses.replace(truth, images=number_of[truth.images]),
                detections=dataclasses.replace(detections, images=number_of[detections.images]),
            )
        )
    pooled = pool(parts, numbers)
    assert pooled.image_ids == result.image_ids
    for items, whole in ((pooled.truth, result.truth), (pooled.detections, result.detections)):
        order = np.argsort(items.images, kind='stable')
        np.testing.assert_array_equal(items.images[order], whole.images)
        np.testing.assert_array_equal(items.boxes[order], whole.boxes)
    with pytest.raises(ValueError, match='not all of a split'):
        pool(parts, [numbers[0], numbers[0]])


@pytest.mark.parametrize('least', [0.3, 0.5, 0.9])
def test_boxes_that_are_alike_are_those_of_a_loop(least):
    """Each pair once, of one image; equal boxes, boxes of all sizes, and inverted ones, which overlap nothing."""
    rng = np.random.default_rng(3)
    low = rng.integers(1, 60, (150, 2))
    boxes = np.concatenate([low, low + rng.integers(0, 70, (150, 2))], 1).astype(float)
    boxes[100:140] = boxes[:40] + rng.integers(-3, 4, (40, 4))
    boxes[140:145], boxes[145:] = boxes[:5], boxes[:5][:, [2, 3, 0, 1]]
    boxes[145, 2] = -1000
    images = rng.integers(0, 4, 150)
    images[140:145] = images[:5]
    expected = {
        (i, j)
        for i in range(150)
        for j in range(i + 1, 150)
        if images[i] == images[j] and iou(boxes[i], boxes[j]) >= least
    }
    first, second = evidence.find_alike(images, boxes, least)
    got = [tuple(sorted(pair)) for pair in zip(first.tolist(), second.tolist(), strict=True)]
    assert len(got) == len(set(got)) >= 5
    assert set(got) == expected


@pytest.mark.parametrize(('scores', 'best'), [((0.5, 0.5, 0.5), 0), ((0.5, 0.6, 0.6), 1), ((0.5, 0.6, 0.7), 2)])
def test_of_detections_in_one_place_the_best_is_unexplained_and_of_equal_ones_the_first(scores, best):
    given = made(spoil=False)[0]
    zeros = np.zeros(3, int)
    found = Detections(zeros, np.arange(3), np.array(scores), np.tile([900.0, 900, 950, 950], (3, 1)))
    is_unexplained = evidence.gather(without(given, detections=found)).is_unexplained
    assert np.flatnonzero(is_unexplained).tolist() == [best]


def test_of_no_boxes_none_are_alike():
    first, second = evidence.find_alike(np.zeros(0, int), np.zeros((0, 4)), 0.5)
    assert (len(first), len(second)) == (0, 0)
