"""Objects that COCO's `ignore` flag ignores: in COCO's AP, in its files, and in mAP by size."""

import dataclasses
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from random_case import CLASS_NAMES, CLASSES, IMAGE_IDS, iou

from yolo.evaluation import breakdowns, coco_ap, summary
from yolo.evaluation.coco_evaluator import Evaluator
from yolo.evaluation.ignore_regions import IgnoreRegions, no_regions
from yolo.evaluation.result import EvaluationResult
from yolo.evaluation.voc_matching import Detections, GroundTruth

IOUS, RECALLS = np.linspace(0.5, 0.95, 10), np.linspace(0, 1, 101)
AREAS = {'all': (0, 1e10), 'small': (0, 32**2), 'medium': (32**2, 96**2), 'large': (96**2, 1e10)}


def crowded_case(seed: int, num_regions: int = 6) -> EvaluationResult:
    """Objects of all sizes that overlap, a third of them difficult, each detected some times, image by image.

    Some detections are of a class that no object of their image has.
    """
    rng = np.random.default_rng(seed)
    low = rng.integers(1, 100, (40, 2))
    truth_boxes = np.concatenate([low, low + rng.integers(12, 140, (40, 2))], 1).astype(float)
    of = np.concatenate([np.arange(20), np.arange(20)])
    near = rng.integers(-6, 7, (40, 4)) * (np.arange(40) >= 20)[:, None]
    boxes = truth_boxes[of] + near  # the last 20 lie on the first 20
    images, classes = rng.integers(0, 12, 20)[of], rng.integers(0, CLASSES, 20)[of]
    truth = GroundTruth(images, classes, boxes, rng.random(40) < 0.35)
    of = np.sort(rng.integers(0, 40, 260))
    detected = boxes[of] + rng.normal(0, rng.choice([1, 5, 12], (260, 1)), (260, 4))
    detected[:, 2:] = np.maximum(detected[:, 2:], detected[:, :2] + 3)
    order = np.argsort(images[of], kind='stable')
    scores = rng.random(260).round(2)
    found = np.where(rng.random(260) < 0.2, rng.integers(0, CLASSES, 260), classes[of])
    detections = Detections(*(array[order] for array in (images[of], found, scores, detected)))
    low = rng.integers(1, 120, (num_regions, 2))
    areas = np.concatenate([low, low + 70], 1).astype(float)
    regions = IgnoreRegions(rng.integers(0, 12, num_regions), rng.integers(0, CLASSES, num_regions), areas)
    return EvaluationResult(CLASS_NAMES, IMAGE_IDS, truth, detections, regions if num_regions else no_regions())


def shared_area(a, b) -> float:
    return np.prod([max(min(a[i + 2], b[i + 2]) - max(a[i], b[i]) + 1, 0) for i in (0, 1)])


def area_of(box) -> float:
    return (box[2] - box[0] + 1) * (box[3] - box[1] + 1)


def slow_hits(given: EvaluationResult, k: int, threshold: float, low: float, high: float, most: int):
    """Scores and hits (True, False; None for ignored) of a class, image by image, and how many objects count."""
    truth, detections, regions = given.truth, given.detections, given.regions
    hits, num = [], 0
    for image in range(12):
        objects = [  # box, ignored, by which detections it can be matched again, of which the share inside is asked
            (
                truth.boxes[t],
                bool(truth.difficult[t]) or not low <= area_of(truth.boxes[t]) <= high,
                truth.difficult[t],
                False,
            )
            for t in np.flatnonzero((truth.images == image) & (truth.classes == k))
        ]
        objects += [
            (regions.boxes[r], True, True, True)
            for r in np.flatnonzero((regions.images == image) & (regions.classes == k))
        ]
        num += sum(not each[1] for each in objects)
        taken = set()
        own = np.flatnonzero((detections.images == image) & (detections.classes == k))
        for d in sorted(own, key=lambda d: -detections.scores[d])[:most]:
            box, best, match = detections.boxes[d], threshold, None
            for wants_ignored in (False, True):
                for number, (other, ignored, again, inside) in enumerate(objects):
                    overlap = shared_area(box, other) / area_of(box) if inside else iou(box, other)
                    if ignored == wants_ignored and overlap >= best and (again or number not in taken):
                        best, match = overlap, number
                if match is not None:
                    break
            taken.add(match)
            is_outside = match is None and not low <= area_of(box) <= high
            hit = None if is_outside or (match is not None and objects[match][1]) else match is not None
            hits.append((detections.scores[d], hit))
    return sorted((each for each in hits if each[1] is not None), key=lambda each: -each[0]), num


def slow_ap_and_recall(given: EvaluationResult, name: str, thresholds, most: int) -> tuple[float, float]:
    """COCO's AP and recall over classes with objects; -1 without."""
    aps, recalls = [], []
    for k in range(CLASSES):
        for threshold in thresholds:
            hits, num = slow_hits(given, k, threshold, *AREAS[name], most)
            if num:
                true = np.cumsum([hit for _, hit in hits])
                recall, precision = true / num, true / np.arange(1, len(hits) + 1)
                aps.append(np.mean([max(precision[recall >= r], default=0) for r in RECALLS]))
                recalls.append(max(recall, default=0))
    return (float(np.mean(aps)), float(np.mean(recalls))) if aps else (-1, -1)


def twelve(given: EvaluationResult) -> list[float]:
    return [-1 if value is None else value for value in coco_ap.average_precision(given).values()]


@pytest.mark.parametrize('seed', [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
def test_cocos_numbers_are_those_of_a_loop(seed):
    given = crowded_case(seed)
    of = [(name, IOUS, 100) for name in AREAS]
    expected = [slow_ap_and_recall(given, *each)[0] for each in (of[0], ('all', [0.5], 100), ('all', [0.75], 100))]
    expected += [slow_ap_and_recall(given, *each)[0] for each in of[1:]]
    expected += [slow_ap_and_recall(given, 'all', IOUS, most)[1] for most in (1, 10, 100)]
    expected += [slow_ap_and_recall(given, *each)[1] for each in of[1:]]
    np.testing.assert_allclose(twelve(given), expected, atol=1e-12)


class WithIgnore(COCOeval):
    """COCOeval that does not overwrite `ignore`, and no more."""

    def _prepare(self):
        flags = {each['id']: each['ignore'] for each in self.cocoGt.dataset['annotations']}
        super()._prepare()
        for key, ignore in flags.items():
            self.cocoGt.anns[key]['ignore'] = ignore


def by_pycocotools(given: EvaluationResult, times: int, areas=None) -> COCOeval:
    """Of files made here, each difficult object so many times, for COCOeval itself takes each once."""
    rows = [
        (image, k, box, 0, int(difficult))
        for image, k, box, difficult in zip(*vars(given.truth).values(), strict=True)
        for _ in range(times if difficult else 1)
    ]
    rows += [(image, k, box, 1, 1) for image, k, box in zip(*vars(given.regions).values(), strict=True)]
    coco = COCO()
    coco.dataset = {'images': [{'id': i} for i in range(12)], 'categories': [{'id': k} for k in range(CLASSES)]}
    coco.dataset['annotations'] = [
        {'id': number, 'image_id': image, 'category_id': k, 'bbox': [x0 - 1, y0 - 1, x1 - x0 + 1, y1 - y0 + 1]}
        | {'iscrowd': crowd, 'ignore': ignore, 'area': (x1 - x0 + 1) * (y1 - y0 + 1)}
        for number, (image, k, (x0, y0, x1, y1), crowd, ignore) in enumerate(rows, 1)
    ]
    coco.createIndex()
    evaluator = WithIgnore(coco, coco.loadRes(coco_ap.results(given)), 'bbox')
    if areas is not None:
        evaluator.params.areaRng, evaluator.params.iouThrs, evaluator.params.maxDets = areas, np.array([0.5]), [10**6]
    evaluator.evaluate()
    return evaluator


def stats_of(evaluator: COCOeval) -> np.ndarray:
    evaluator.accumulate()
    evaluator.summarize()
    return evaluator.stats


@pytest.mark.parametrize('seed', range(3))
def test_cocos_numbers_are_pycocotools_with_ignore_set(seed):
    """To the digit where each difficult object is there often enough; with one of each, second detections cost."""
    given = crowded_case(seed)
    np.testing.assert_allclose(twelve(given), stats_of(by_pycocotools(given, times=20)), atol=1e-12)
    assert twelve(given)[1] > stats_of(by_pycocotools(given, times=1))[1] + 0.01


def once(given: EvaluationResult) -> EvaluationResult:
    """The same with no more than one detection on each difficult object."""
    truth, detections, dropped = given.truth, given.detections, set()
    for t in np.flatnonzero(truth.difficult):
        own = np.flatnonzero((detections.images == truth.images[t]) & (detections.classes == truth.classes[t]))
        dropped |= set([d for d in own if iou(detections.boxes[d], truth.boxes[t]) > 0.4][1:])
    kept = np.setdiff1d(np.arange(len(detections.images)), list(dropped))
    found = Detections(*(getattr(detections, name)[kept] for name in ('images', 'classes', 'scores', 'boxes')))
    return EvaluationResult(CLASS_NAMES, IMAGE_IDS, truth, found, given.regions)


@pytest.mark.parametrize('seed', range(3))
def test_without_second_detections_it_is_pycocotools_with_ignore_set_and_nothing_else(seed):
    given = once(crowded_case(seed))
    assert len(given.detections.images) > 80
    np.testing.assert_allclose(twelve(given), stats_of(by_pycocotools(given, times=1)), atol=1e-12)


def made(objects, detected) -> EvaluationResult:
    """One image and class; objects: boxes and whether they are difficult; detected: boxes, by falling score."""
    boxes, difficult = zip(*objects, strict=True)
    none, zeros = np.zeros(len(objects), int), np.zeros(len(detected), int)
    truth = GroundTruth(none, none, np.array(boxes, float), np.array(difficult))
    detections = Detections(zeros, zeros, 1 - np.arange(len(detected)) / 10, np.array(detected, float))
    return EvaluationResult(('a',), ('x',), truth, detections)


EASY, HARD = ((301, 301, 340, 340), False), ((1, 1, 200, 200), True)


@pytest.mark.parametrize(
    ('detected', 'ap_50'),
    [
        ([HARD[0], EASY[0]], 1),  # neither right nor wrong
        ([HARD[0], (1, 1, 200, 190), (1, 1, 190, 200), EASY[0]], 1),  # nor are second and third detections
        ([(51, 51, 100, 100), EASY[0]], 0.5),  # inside of the difficult object, which is no crowd: wrong
        ([(1, 1, 200, 99), EASY[0]], 0.5),  # less than half of it
        ([(1, 1, 200, 100), EASY[0]], 1),  # half
    ],
)
def test_detections_on_a_difficult_object(detected, ap_50):
    assert coco_ap.average_precision(made([EASY, HARD], detected))['ap_50'] == pytest.approx(ap_50)


def test_a_detection_goes_to_an_object_that_counts_first():
    """Though its IoU with a difficult one is higher."""
    objects = [((1, 1, 100, 100), False), ((1, 1, 100, 90), True)]
    given = made(objects, [(1, 1, 100, 88)])
    assert coco_ap.average_precision(given)['ap_50'] == pytest.approx(1)
    assert breakdowns.by_size(given.truth, given.detections, 1, 0.5)['large']['map_area'] == 1


def test_of_objects_that_are_overlapped_alike_the_last_is_taken_as_pycocotools_does():
    """The second detection then has the other one, which is the only one that it can have."""
    objects = [((1, 1, 100, 100), False), ((11, 1, 110, 100), False)]
    given = made(objects, [(6, 1, 105, 100), (1, 1, 60, 100)])
    assert coco_ap.average_precision(given)['ap_50'] == pytest.approx(1)
    assert breakdowns.by_size(given.truth, given.detections, 1, 0.5)['large']['map_area'] == 1


def test_an_evaluator_can_be_used_twice():
    given = crowded_case(2)
    coco = COCO()
    coco.dataset = coco_ap.annotations(given)
    coco.createIndex()
    evaluator = Evaluator(coco, coco.loadRes(coco_ap.results(given)), 'bbox')
    first, second = [], []
    for stats in (first, second):
        evaluator.evaluate()
        stats.extend(stats_of(evaluator))
    assert first == second


def test_the_file_says_what_is_ignored(tmp_path):
    """Difficult objects by `ignore`, regions as crowds."""
    given = crowded_case(3)
    coco_ap.write(str(tmp_path), given)
    rows = json.loads((tmp_path / 'coco_annotations.json').read_text())['annotations']
    flags = [(row['ignore'], row['iscrowd']) for row in rows]
    assert flags == [(int(each), 0) for each in given.truth.difficult] + [(0, 1)] * 6


def slow_area(hits: list, num: int) -> float:
    """The area under the curve of hits by falling score."""
    true = np.cumsum(hits)
    precision = true / np.arange(1, len(hits) + 1)
    return sum(max(precision[i:]) for i, hit in enumerate(hits) if hit) / num


def map_of_an_area(evaluator: COCOeval, a: int) -> tuple[float | None, int]:
    """mAP (area) of one of the evaluator's area ranges, from its matches alone; and the objects that count."""
    matched = [each for each in evaluator.evalImgs if each is not None and each['aRng'] == evaluator.params.areaRng[a]]
    values, total = [], 0
    for k in range(CLASSES):
        own = [each for each in matched if each['category_id'] == k]
        scores, matches, ignored = (
            np.concatenate([np.ravel(each[name]) for each in own]) for name in ('dtScores', 'dtMatches', 'dtIgnore')
        )
        num = sum(int((each['gtIgnore'] == 0).sum()) for each in own)
        order = np.argsort(-scores, kind='stable')
        if num:
            values.append(slow_area([matches[i] > 0 for i in order if not ignored[i]], num))
        total += num
    return (float(np.mean(values)) if values else None), total


def many_regions(seed: int) -> EvaluationResult:
    """A case with twenty regions near objects of their class, few of which are difficult."""
    given, rng = crowded_case(seed, num_regions=0), np.random.default_rng(seed + 100)
    of = rng.integers(0, 40, 20)
    boxes = given.truth.boxes[of] + rng.integers(-20, 21, (20, 4))
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 10)
    truth = dataclasses.replace(given.truth, difficult=given.truth.difficult & (rng.random(40) < 0.3))
    regions = IgnoreRegions(truth.images[of], truth.classes[of], boxes)
    return EvaluationResult(CLASS_NAMES, IMAGE_IDS, truth, given.detections, regions)


def sizes_of(given: EvaluationResult) -> list[dict]:
    """mAP by size as it is in `metrics.json`."""
    return list(summary.evaluate(given, 0.5).metrics['by_size'].values())


@pytest.mark.parametrize('case', [lambda seed: crowded_case(seed, num_regions=0), many_regions])
@pytest.mark.parametrize('seed', [0, 3, 7, 8])
def test_map_by_size_is_that_of_pycocotools_matches(case, seed):
    """At every area range, to the digit."""
    given = case(seed)
    areas = [[low, float(np.nextafter(high, 0))] for low, high in breakdowns.SIZES.values()]
    evaluator = by_pycocotools(given, times=20, areas=areas)
    for a, row in enumerate(sizes_of(given)):
        expected, num = map_of_an_area(evaluator, a)
        assert row['num_objects'] == num
        assert row['map_area'] == (None if expected is None else pytest.approx(expected, abs=1e-12))


@pytest.mark.parametrize(('bottom', 'map_of_small'), [(18, 1), (9, 0.5)])
def test_a_crowd_has_a_detection_before_an_object_of_another_size(bottom, map_of_small):
    """The first detection's share inside, 1 or 0.5, against its IoU with the object of medium size, 0.55.

    Where the crowd has it, the second one, which is small, goes to the object and is ignored; else it is wrong.
    """
    objects = [((1, 1, 33, 33), False), ((301, 301, 320, 320), False)]
    given = made(objects, [(1, 1, 33, 18), (1, 12, 33, 30), objects[1][0]])
    zeros = np.zeros(1, int)
    regions = IgnoreRegions(zeros, zeros, np.array([[1, 1, 33, bottom]], float))
    given = dataclasses.replace(given, regions=regions)
    assert sizes_of(given)[0]['map_area'] == map_of_small
