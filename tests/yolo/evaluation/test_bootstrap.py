"""Differences of two detectors and their intervals."""

import dataclasses
import warnings

import numpy as np
import pytest
from random_case import CLASSES, random_case

from yolo.evaluation import bootstrap
from yolo.evaluation.voc_ap import voc_average_precision
from yolo.evaluation.voc_matching import Detections, GroundTruth, match


def test_a_bootstrap_sample_is_what_repeated_images_give():
    truth, detections = random_case(4)
    image_counts = np.random.default_rng(0).multinomial(12, np.full(12, 1 / 12), 3)
    ap = bootstrap._average_precisions(truth, match(truth, detections, CLASSES), image_counts, CLASSES)
    for sample, row in zip(ap.T, image_counts, strict=True):
        copies = np.repeat(np.arange(12), row)  # image of each copy
        objects = [np.flatnonzero(truth.images == image) for image in copies]
        detected = [np.flatnonzero(detections.images == image) for image in copies]
        new = [np.repeat(np.arange(len(copies)), [len(part) for part in parts]) for parts in (objects, detected)]
        o, d = np.concatenate(objects), np.concatenate(detected)
        again = voc_average_precision(
            GroundTruth(new[0], truth.classes[o], truth.boxes[o], truth.difficult[o]),
            Detections(new[1], detections.classes[d], detections.scores[d] - 1e-9 * d, detections.boxes[d]),
            CLASSES,
        )
        np.testing.assert_allclose(sample, again.ap_area, atol=1e-12)


def test_counting_in_pieces_changes_nothing(monkeypatch):
    truth, detections = random_case(4)
    matches = match(truth, detections, CLASSES)
    image_counts = np.random.default_rng(0).multinomial(12, np.full(12, 1 / 12), 3)
    whole = bootstrap._average_precisions(truth, matches, image_counts, CLASSES)
    monkeypatch.setattr(bootstrap, 'NUMBERS_AT_ONCE', 40)
    np.testing.assert_array_equal(bootstrap._average_precisions(truth, matches, image_counts, CLASSES), whole)


def test_the_interval_holds_the_middle_95_percent(monkeypatch):
    monkeypatch.setattr(bootstrap, '_average_precisions', lambda truth, ap, *_: ap * np.arange(1002.0)[None, :])
    monkeypatch.setattr(bootstrap, 'match', lambda truth, detections, *_: detections)
    row = bootstrap.difference(random_case(0)[0], 2.0, 1.0, 12, 1, 0.5)[0]
    assert (row['difference'], row['real']) == (0, True)
    assert (row['low'], row['high']) == pytest.approx((26, 976), abs=1)


def test_a_class_in_few_images_leaves_samples_without_it():
    truth = GroundTruth(np.array([0, 1, 2]), np.array([0, 0, 1]), np.tile([1.0, 1, 9, 9], (3, 1)), np.zeros(3, bool))
    perfect = Detections(truth.images, truth.classes, np.ones(3), truth.boxes)
    empty = Detections(*(array[:0] for array in vars(perfect).values()))
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert bootstrap.difference(truth, perfect, perfect, 3, 3, 0.5)[2] is None  # a class without any object
        rows = bootstrap.difference(truth, perfect, empty, 3, 2, 0.5)
    assert [(row['difference'], row['low'], row['high']) for row in rows] == [(1, 1, 1)] * 3


def test_chance_is_not_taken_for_a_difference():
    truth, detections = random_case(5, 40)
    noise = np.random.default_rng(0).normal(0, 1e-3, 120)
    noisy = dataclasses.replace(detections, scores=detections.scores + noise)
    rows = bootstrap.difference(truth, detections, noisy, 40, CLASSES, 0.5, samples=300)
    assert not rows[-1]['real']
    assert rows[-1]['low'] <= rows[-1]['difference'] <= rows[-1]['high']
    perfect = Detections(truth.images, truth.classes, np.ones(40), truth.boxes)
    rows = bootstrap.difference(truth, perfect, detections, 40, CLASSES, 0.5, samples=300)
    assert rows[-1]['real']
    assert rows[-1]['low'] > 0
