import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from random_case import IMAGE_IDS, random_case, random_result

from yolo.evaluation import coco_ap
from yolo.evaluation.voc_matching import Detections, GroundTruth


def perfect():
    truth, _ = random_case(7)
    return random_result(Detections(truth.images, truth.classes, np.ones(40), truth.boxes))


def test_a_perfect_detector_has_an_ap_of_one():
    got = coco_ap.average_precision(perfect())
    assert got['ap'] == got['ap_50'] == got['ap_75'] == pytest.approx(1)
    assert (got['ap_medium'], got['ap_large']) == (pytest.approx(1), None)  # no object has 96 x 96 pixels


def test_boxes_that_are_a_little_off_count_less_at_higher_overlaps():
    truth, _ = random_case(7)
    moved = truth.boxes + np.array([6, 0, 6, 0])
    got = coco_ap.average_precision(random_result(Detections(truth.images, truth.classes, np.ones(40), moved)))
    assert got['ap_50'] > got['ap'] > 0
    assert got['ap_50'] > got['ap_75']


def test_no_detections_give_zero():
    none = Detections(np.zeros(0, int), np.zeros(0, int), np.zeros(0), np.zeros((0, 4)))
    assert coco_ap.average_precision(random_result(none))['ap'] == 0


def test_the_files_are_cocos(tmp_path):
    given = random_result()
    truth_path, results_path = coco_ap.write(str(tmp_path), given)
    truth = COCO(truth_path)
    results = truth.loadRes(results_path)
    assert len(results.dataset['annotations']) == 120
    first = json.loads((tmp_path / 'coco_annotations.json').read_text())['annotations'][0]
    x, y, w, h = first['bbox']
    np.testing.assert_allclose([x + 1, y + 1, x + w, y + h], given.truth.boxes[0])
    assert [image['file_name'] for image in truth.dataset['images']] == list(IMAGE_IDS)


def test_difficult_objects_are_neither_asked_for_nor_blamed():
    truth, _ = random_case(7)
    hard = Detections(*(array[truth.difficult] for array in (truth.images, truth.classes, np.ones(40), truth.boxes)))
    easy = perfect().detections
    both = Detections(*(np.concatenate([getattr(easy, name), getattr(hard, name)]) for name in vars(easy)))
    assert coco_ap.average_precision(random_result(both))['ap'] == pytest.approx(1)
    only = GroundTruth(truth.images, truth.classes, truth.boxes, np.ones(40, bool))
    assert coco_ap.average_precision(random_result(truth=only))['ap'] is None
