import json
import logging

import numpy as np
import pytest
from pycocotools.coco import COCO
from random_case import random_case

from yolo.evaluation import coco_ap, result
from yolo.evaluation.result import EvaluationResult
from yolo.evaluation.voc_matching import Detections, GroundTruth

CLASSES, IDS = ('a', 'b', 'c'), tuple(f'image {number}' for number in range(12))


def found(detections=None, truth=None):
    objects, usual = random_case(7)
    return EvaluationResult(
        CLASSES, IDS, objects if truth is None else truth, usual if detections is None else detections
    )


def perfect():
    truth, _ = random_case(7)
    return found(Detections(truth.images, truth.classes, np.ones(40), truth.boxes))


def test_a_perfect_detector_has_an_ap_of_one():
    got = coco_ap.average_precision(perfect())
    assert got['ap'] == got['ap_50'] == got['ap_75'] == pytest.approx(1)
    assert got['ap_large'] is None or got['ap_large'] == pytest.approx(1)


def test_boxes_that_are_a_little_off_count_less_at_higher_overlaps():
    truth, _ = random_case(7)
    moved = truth.boxes + np.array([6, 0, 6, 0])
    got = coco_ap.average_precision(found(Detections(truth.images, truth.classes, np.ones(40), moved)))
    assert got['ap_50'] > got['ap'] > 0
    assert got['ap_50'] > got['ap_75']


def test_nothing_found_is_zero():
    none = Detections(np.zeros(0, int), np.zeros(0, int), np.zeros(0), np.zeros((0, 4)))
    assert coco_ap.average_precision(found(none))['ap'] == 0


def test_the_files_are_cocos(tmp_path):
    given = found()
    truth_path, results_path = coco_ap.write(str(tmp_path), given)
    truth = COCO(truth_path)
    results = truth.loadRes(results_path)
    assert len(results.dataset['annotations']) == 120
    first = json.loads((tmp_path / 'coco_annotations.json').read_text())['annotations'][0]
    x, y, w, h = first['bbox']
    np.testing.assert_allclose([x + 1, y + 1, x + w, y + h], given.truth.boxes[0])
    assert [image['file_name'] for image in truth.dataset['images']] == list(IDS)


def test_what_was_found_is_kept_and_lined_up_by_names(tmp_path):
    given = found()
    result.write(str(tmp_path), given)
    (tmp_path / 'metrics.json').write_text('{}')
    again = result.read(str(tmp_path / 'metrics.json'))
    for kind in ('truth', 'detections'):
        for name, value in vars(getattr(given, kind)).items():
            np.testing.assert_array_equal(getattr(getattr(again, kind), name), value)
    assert (again.classes, again.image_ids) == (CLASSES, IDS)
    order = np.random.default_rng(0).permutation(12)
    turned = EvaluationResult(
        CLASSES[::-1],
        tuple(IDS[i] for i in order),
        given.truth,
        Detections(
            np.argsort(order)[given.detections.images],
            2 - given.detections.classes,
            given.detections.scores,
            given.detections.boxes,
        ),
    )
    lined_up = result.aligned(given, turned, 'x')
    np.testing.assert_array_equal(lined_up.images, given.detections.images)
    np.testing.assert_array_equal(lined_up.classes, given.detections.classes)
    with pytest.raises(ValueError, match='x has the classes d, b, c, this evaluation has a, b, c'):
        result.aligned(given, EvaluationResult(('d', 'b', 'c'), IDS, given.truth, given.detections), 'x')
    with pytest.raises(ValueError, match="x has 11 images, this evaluation has 12: 'image 0' is only in this one"):
        result.aligned(given, EvaluationResult(CLASSES, IDS[1:], given.truth, given.detections), 'x')


def test_other_annotations_are_told(caplog):
    given = found()
    order = np.arange(40)[::-1]
    turned = GroundTruth(*(array[order] for array in vars(given.truth).values()))
    with caplog.at_level(logging.WARNING, 'absl'):
        result.aligned(given, found(truth=turned), 'x')
        assert not caplog.text
        fewer = GroundTruth(*(array[1:] for array in vars(given.truth).values()))
        result.aligned(given, found(truth=fewer), 'x')
    assert (
        'x has other annotations, 39 objects; both detectors are compared on the 40 objects of this evaluation'
        in caplog.text
    )


def test_files_that_are_none_are_refused(tmp_path):
    metrics, path = tmp_path / 'metrics.json', tmp_path / 'detections.npz'
    with pytest.raises(ValueError, match=r'there is no .*metrics.json'):
        result.read(str(metrics))
    metrics.write_text('{}')
    for name in (metrics, tmp_path):
        with pytest.raises(ValueError, match=r'there is no .*detections.npz: evaluate that detector'):
            result.read(str(name))
    given = found()
    result.write(str(tmp_path), given)
    whole = path.read_bytes()
    for damaged in (b'half', b'', whole[: len(whole) // 2], b'PK\3\4' + whole[4:400]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match='not a file of detections'):
            result.read(str(metrics))
    result.write(str(tmp_path), EvaluationResult(CLASSES[:2], IDS, given.truth, given.detections))
    with pytest.raises(ValueError, match='is damaged: it numbers 2 of 2'):
        result.read(str(metrics))


def test_difficult_objects_are_neither_asked_for_nor_blamed():
    truth, _ = random_case(7)
    hard = Detections(*(array[truth.difficult] for array in (truth.images, truth.classes, np.ones(40), truth.boxes)))
    easy = perfect().detections
    both = Detections(*(np.concatenate([getattr(easy, name), getattr(hard, name)]) for name in vars(easy)))
    assert coco_ap.average_precision(found(both))['ap'] == pytest.approx(1)
    only = GroundTruth(truth.images, truth.classes, truth.boxes, np.ones(40, bool))
    assert coco_ap.average_precision(found(truth=only))['ap'] is None
