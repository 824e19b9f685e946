"""Ignore regions in evaluation: which detections lie inside, and that none of them is right or wrong, everywhere."""

import dataclasses
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from annotated_sets import write
from conftest import write_records
from random_case import CLASS_NAMES, CLASSES, IMAGE_IDS, random_case
from regions import add_regions, random_regions

import eval
from preprocess.report.contact_sheet import read_records
from yolo.cli import flags
from yolo.data import records, voc_folder
from yolo.evaluation import annotations, coco_ap, inference, report, result, summary, tables
from yolo.evaluation.breakdowns import confusion
from yolo.evaluation.error_analysis import NO_ERROR, classify
from yolo.evaluation.ignore_regions import ANY_CLASS, IgnoreRegions, inside, mark, no_regions
from yolo.evaluation.result import EvaluationResult
from yolo.evaluation.settings import EvalSettings
from yolo.evaluation.voc_ap import voc_average_precision
from yolo.evaluation.voc_matching import Detections, GroundTruth, match


def random_areas(seed: int, number: int = 40) -> IgnoreRegions:
    rng = np.random.default_rng(50 + seed)
    low = rng.integers(1, 150, (number, 2))
    boxes = np.concatenate([low, low + rng.integers(20, 90, (number, 2))], 1).astype(float)
    return IgnoreRegions(rng.integers(0, 12, number), rng.integers(-1, CLASSES, number), boxes)


def case_with_regions(seed: int = 7) -> EvaluationResult:
    return EvaluationResult(CLASS_NAMES, IMAGE_IDS, *random_case(seed), random_areas(seed))


def share_inside(box, region) -> float:
    """The share of the area of a box in a region, both ends included."""
    width, height = (min(box[2 + i], region[2 + i]) - max(box[i], region[i]) + 1 for i in (0, 1))
    return max(width, 0) * max(height, 0) / ((box[2] - box[0] + 1) * (box[3] - box[1] + 1))


@pytest.mark.parametrize('seed', range(4))
def test_inside_equals_the_slow_twin(seed):
    _, detections = random_case(seed)
    regions = random_areas(seed)
    expected = [
        any(
            image == detections.images[d]
            and k in (ANY_CLASS, detections.classes[d])
            and share_inside(detections.boxes[d], box) >= 0.5
            for image, k, box in zip(regions.images, regions.classes, regions.boxes, strict=True)
        )
        for d in range(len(detections.images))
    ]
    assert 5 < sum(expected) < 60
    np.testing.assert_array_equal(inside(detections, regions), expected)


@pytest.mark.parametrize('seed', range(3))
def test_the_devkits_rule_comes_first(seed):
    given = case_with_regions(seed)
    matches = match(given.truth, given.detections, CLASSES)
    plain = match(given.truth, dataclasses.replace(given.detections, in_region=None), CLASSES)
    np.testing.assert_array_equal(matches.is_true_positive, plain.is_true_positive)
    in_region = matches.sorted_detections.in_region
    np.testing.assert_array_equal(matches.is_ignored, plain.is_ignored | (plain.is_false_positive & in_region))
    assert (plain.is_true_positive & in_region).any()
    assert (plain.is_false_positive & in_region).any()


def hand_made(region, region_class, *detected) -> Detections:
    """Detections of class 0 or given as (box, score, class), marked by one region."""
    boxes, scores, classes = zip(*detected, strict=True)
    number = len(boxes)
    given = Detections(np.zeros(number, int), np.array(classes), np.array(scores), np.array(boxes, float))
    return mark(given, IgnoreRegions(np.array([0]), np.array([region_class]), np.array([region], float)))


OBJECT, AREA = (101, 101, 120, 120), (1, 1, 50, 50)
BOXES = np.array([OBJECT, (11, 11, 30, 30)], float)
TRUTH = GroundTruth(np.array([0, 0]), np.array([0, 0]), BOXES, np.array([False] * 2))


@pytest.mark.parametrize(
    ('box', 'score', 'k', 'region_class', 'fate'),
    [
        ((41, 1, 60, 20), 0.9, 0, ANY_CLASS, 'ignored'),  # exactly half of it
        ((42, 1, 61, 20), 0.9, 0, ANY_CLASS, 'wrong'),  # 9 of 20 columns
        ((1, 1, 100, 100), 0.9, 0, ANY_CLASS, 'wrong'),  # a quarter, though all of the region
        ((41, 1, 60, 20), 0.9, 0, 0, 'ignored'),  # a crowd of its class
        ((41, 1, 60, 20), 0.9, 1, 0, 'wrong'),  # of another one
        ((41, 1, 60, 20), 0.9, 1, ANY_CLASS, 'ignored'),
        ((11, 11, 30, 30), 0.9, 0, ANY_CLASS, 'right'),  # an object in the region
        ((11, 11, 30, 30), 0.4, 0, ANY_CLASS, 'ignored'),  # the same, found by a better detection before
        ((101, 101, 120, 120), 0.9, 0, ANY_CLASS, 'right'),
        ((140, 140, 160, 160), 0.9, 0, ANY_CLASS, 'wrong'),
    ],
)
def test_made_cases(box, score, k, region_class, fate):
    others = [((11, 11, 30, 30), 0.5, 0)]
    matches = match(TRUTH, hand_made(AREA, region_class, (box, score, k), *others), 2)
    place = 0 if score > 0.5 else 1
    fates = {'right': matches.is_true_positive, 'wrong': matches.is_false_positive, 'ignored': matches.is_ignored}
    assert [name for name, values in fates.items() if values[place]] == [fate]


def test_a_difficult_object_in_a_region_stays_ignored_and_the_region_of_another_image_is_none():
    difficult = dataclasses.replace(TRUTH, difficult=np.array([False, True]))
    matches = match(difficult, hand_made(AREA, ANY_CLASS, ((11, 11, 30, 30), 0.9, 0)), 1)
    assert matches.is_ignored.tolist() == [True]
    detections = hand_made(AREA, ANY_CLASS, ((1, 1, 20, 20), 0.9, 0))
    other = IgnoreRegions(np.array([1]), np.array([ANY_CLASS]), np.array([AREA], float))
    assert mark(detections, other).in_region.tolist() == [False]


def test_ap_by_hand():
    """Precision at both true positives: 1/2 and 2/3 with a false positive before them, 1 and 1 where it is ignored."""
    found = ((41, 1, 60, 20), 0.9, 0), ((101, 101, 120, 120), 0.8, 0), ((11, 11, 30, 30), 0.7, 0)
    inside_region, outside = hand_made(AREA, ANY_CLASS, *found), hand_made((150, 150, 160, 160), ANY_CLASS, *found)
    ap = voc_average_precision(TRUTH, inside_region, 1)
    assert (ap.ap_area[0], ap.precision[0].tolist(), ap.num_detections.tolist()) == (1, [1, 1], [3])
    assert voc_average_precision(TRUTH, outside, 1).ap_area[0] == pytest.approx(2 / 3)


def without(metrics: dict, *names: str) -> dict:
    return {name: value for name, value in metrics.items() if name not in names}


def test_regions_in_which_nothing_is_detected_change_no_metric():
    truth, detections = random_case(7)
    far = IgnoreRegions(np.array([0, 1]), np.array([ANY_CLASS, 1]), np.array([[900.0, 900, 950, 950]] * 2))
    plain, given = (
        EvaluationResult(CLASS_NAMES, IMAGE_IDS, truth, detections, regions) for regions in (no_regions(), far)
    )
    other = random_case(8)[1]
    expected, got = (summary.evaluate(each, 0.5, other=other, coco=True).metrics for each in (plain, given))
    assert got.pop('num_ignore_regions') == 2
    assert 'num_ignore_regions' not in expected
    assert got == expected


def test_regions_of_whole_images_leave_no_error_but_missed_objects():
    truth, detections = random_case(7)
    whole = IgnoreRegions(np.arange(12), np.full(12, ANY_CLASS), np.tile([-99.0, -99, 999, 999], (12, 1)))
    given = EvaluationResult(CLASS_NAMES, IMAGE_IDS, truth, detections, whole)
    evaluation = summary.evaluate(given, 0.5, coco=True)
    metrics = evaluation.metrics
    assert {name for name, row in metrics['errors'].items() if row['count']} == {'missed'}
    assert (classify(truth, evaluation.matches, CLASSES).types == NO_ERROR).all()
    table = np.array(metrics['confusion'])
    assert not table[-1].any()
    assert table[:-1, :-1].trace() > 5
    assert all(not any(row['scores_wrong']) for row in metrics['per_class'].values())
    for k, row in enumerate(metrics['per_class'].values()):
        assert (evaluation.curves.precision[k] == 1).all()
        assert row['ap_area'] == pytest.approx(evaluation.curves.recall[k][-1])
    for name in ('by_size', 'by_number'):
        plain = summary.evaluate(EvaluationResult(CLASS_NAMES, IMAGE_IDS, truth, detections), 0.5).metrics
        rises = [(metrics[name][key]['map_area'] or 0) - (plain[name][key]['map_area'] or 0) for key in metrics[name]]
        assert min(rises) >= 0
        assert max(rises) > 0.05


def test_the_confusion_knows_whose_crowd_it_is():
    """Matching there is without classes; a crowd is still one of its class."""
    truth = GroundTruth(np.array([0]), np.array([0]), np.array([OBJECT], float), np.array([False]))
    detections = hand_made(AREA, 0, ((1, 1, 20, 20), 0.9, 0), ((1, 1, 21, 21), 0.8, 1), ((101, 101, 120, 120), 0.7, 0))
    assert confusion(truth, detections, [0, 0], 2, 0.5).tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]


def test_differences_are_computed_with_the_regions_of_this_evaluation(tmp_path):
    """Both detectors, though the file of the other one has no regions; and its own ones are not used."""
    given = case_with_regions()
    plain = EvaluationResult(CLASS_NAMES, IMAGE_IDS, given.truth, given.detections)
    result.write(str(tmp_path), plain)
    result.write_metrics(str(tmp_path), {})
    other = result.read(str(tmp_path / 'metrics.json'))
    assert not other.detections.in_region.any()
    aligned = result.aligned(given, other, 'x')
    np.testing.assert_array_equal(aligned.in_region, given.detections.in_region)
    rows = summary.compare(given, aligned, 0.5)
    assert rows['mAP']['difference'] == 0
    assert not result.aligned(plain, given, 'x').in_region.any()


def test_the_file_of_detections_gives_them_back(tmp_path):
    given = case_with_regions()
    result.write(str(tmp_path), given)
    result.write_metrics(str(tmp_path), {})
    back = result.read(str(tmp_path))
    for name, value in vars(given.regions).items():
        np.testing.assert_array_equal(getattr(back.regions, name), value)
    np.testing.assert_array_equal(back.detections.in_region, given.detections.in_region)
    result.write(str(tmp_path), EvaluationResult(CLASS_NAMES, IMAGE_IDS, given.truth, given.detections))
    with np.load(tmp_path / 'detections.npz') as arrays:
        assert set(arrays) == set(result.ARRAYS)  # as before there were regions
    assert not len(result.read(str(tmp_path)).regions.images)


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        ({'regions_boxes': None}, 'it has no regions_boxes'),
        ({'regions_classes': np.array([3] * 40)}, 'regions_classes numbers 3 to 3 of 3'),
        ({'regions_classes': np.array([-2] * 40)}, 'regions_classes numbers -2 to -2 of 3'),
        ({'regions_images': np.array([0])}, 'shapes of regions do not fit'),
    ],
)
def test_damaged_files_are_refused(tmp_path, changes, said):
    result.write(str(tmp_path), case_with_regions())
    result.write_metrics(str(tmp_path), {})
    with np.load(tmp_path / 'detections.npz') as arrays:
        changed = {name: value for name, value in {**arrays, **changes}.items() if value is not None}
    np.savez_compressed(tmp_path / 'detections.npz', **changed)
    with pytest.raises(ValueError, match=said):
        result.read(str(tmp_path))


def test_cocos_ap_takes_regions_as_crowds():
    """Which test_coco_ignore.py holds against pycocotools; a region of any class is a crowd of each."""
    given = case_with_regions()
    rows = coco_ap.annotations(given)['annotations']
    crowds = [(row['image_id'], row['category_id'], *row['bbox']) for row in rows if row['iscrowd']]
    expected = [
        (image, own, x0 - 1, y0 - 1, x1 - x0 + 1, y1 - y0 + 1)
        for image, k, (x0, y0, x1, y1) in zip(*vars(given.regions).values(), strict=True)
        for own in (range(3) if k == ANY_CLASS else [k])
    ]
    assert sorted(crowds) == sorted(expected)
    got = coco_ap.average_precision(given)
    plain = coco_ap.average_precision(EvaluationResult(CLASS_NAMES, IMAGE_IDS, given.truth, given.detections))
    assert got['ap_50'] > plain['ap_50'] + 0.01


def test_coco_asks_for_more_of_a_detection_at_higher_thresholds():
    """60 % inside: neither right nor wrong for VOC's metrics and at IoU 0.5, wrong at 0.75."""
    found = ((39, 1, 58, 20), 0.9, 0), ((101, 101, 120, 120), 0.8, 0), ((11, 11, 30, 30), 0.7, 0)
    given = EvaluationResult(
        ('a',),
        ('x',),
        TRUTH,
        hand_made(AREA, ANY_CLASS, *found),
        IgnoreRegions(np.array([0]), np.array([ANY_CLASS]), np.array([AREA], float)),
    )
    got = coco_ap.average_precision(given)
    assert summary.mean_ap(given, 0.5)['map_area'] == 1
    assert got['ap_50'] == pytest.approx(1)
    assert got['ap_75'] < 0.8


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> str:
    return add_regions(write_records(tmp_path_factory.mktemp('evaluated') / 'data'), 'test', random_regions)


def predict(images: tf.Tensor) -> dict[str, tf.Tensor]:
    """A model that detects one box of class 1 in the middle of every image."""
    size = images.shape[0]
    return {
        'boxes': tf.tile([[[0.3, 0.3, 0.6, 0.6]]], (size, 1, 1)),
        'scores': tf.fill((size, 1), 0.5),
        'classes': tf.ones((size, 1), tf.int32),
        'count': tf.ones(size, tf.int32),
    }


@pytest.mark.parametrize('batch_size', [3, 8])
def test_an_evaluation_of_records_has_their_regions(folder, batch_size):
    thresholds = inference.Thresholds()
    found, _, _ = inference.run_inference(predict, folder, 'test', batch_size, thresholds)
    description = records.read_description(folder)
    assert len(found.regions.images) == description.split('test').num_regions > 5
    expected = []
    for number, image_id in enumerate(found.image_ids):
        [record] = [each for each in read_records(folder, 'test', 8, None) if each.image_id == image_id]
        extent = np.array([288, 192] * 2)  # what conftest's records say of their images
        expected += [
            (number, k, *(box * extent + [1, 1, 0, 0]).round(3))
            for k, box in zip(record.region_labels.tolist(), record.regions.astype(float), strict=True)
        ]
    got = np.column_stack([found.regions.images, found.regions.classes, found.regions.boxes])
    np.testing.assert_allclose(got, expected, atol=2e-3)
    np.testing.assert_array_equal(found.detections.in_region, inside(found.detections, found.regions))
    metrics, curves = inference.evaluate_with_curves(predict, folder, 'test', batch_size, thresholds)
    assert metrics['num_ignore_regions'] == len(got)
    counted = voc_average_precision(found.truth, found.detections, 2)
    np.testing.assert_array_equal(curves.ap_area, counted.ap_area)


def test_names_in_voc_xml_are_regions_for_detections_in_files(tmp_path):
    folder = pathlib.Path(tmp_path)
    row = '<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>1</ymin><xmax>50</xmax><ymax>50</ymax></bndbox></object>'
    text = ''.join(row.format(*each) for each in (('cat', 1), ('blur', 2), ('dog', 3), ('blur', 4)))
    (folder / 'x.xml').write_text(f'<annotation>{text}</annotation>')
    (folder / 'list.txt').write_text('x')
    source = voc_folder.Source(str(folder), str(folder))
    _, classes, truth, regions = annotations.read_truth(source, str(folder / 'list.txt'), ignored=['blur'])
    assert (classes, truth.boxes[:, 0].tolist()) == (['cat', 'dog'], [1, 3])
    assert (regions.classes.tolist(), regions.boxes[:, 0].tolist()) == ([ANY_CLASS] * 2, [2, 4])
    with pytest.raises(ValueError, match='--ignore_labels=blur names one of --labels'):
        annotations.read_truth(source, str(folder / 'list.txt'), ['blur'], ['blur'])
    with pytest.raises(ValueError, match=r"--ignore_labels names 'Blur', which no annotation .* there: 'blur', 'cat'"):
        annotations.read_truth(source, str(folder / 'list.txt'), ignored=['Blur'])


def test_the_command_takes_their_names_from_a_file_as_preprocessing_does(tmp_path):
    row = '<object><name>{}</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>50</xmax><ymax>50</ymax></bndbox></object>'
    for name, text in (
        ('Annotations/x.xml', f'<annotation>{row.format("cat")}{row.format("blur")}</annotation>'),
        ('ImageSets/Main/test.txt', 'x'),
        ('JPEGImages/x.jpg', ''),
        ('names.txt', 'blur\n'),
        ('comp4_det_test_cat.txt', 'x 0.9 2 2 50 50\n'),
    ):
        write(tmp_path / name, text)
    values = flags.define(eval.COMMAND.settings)
    given = f'--detections_dir={tmp_path}', f'--voc_dir={tmp_path}', f'--ignore_labels={tmp_path}/names.txt'
    values(['eval', *given])
    found, _, _ = eval._read(flags.read(values, EvalSettings), values)
    assert found.classes == ('cat',)
    assert len(found.regions.images) == 1


def test_pictures_of_the_report_hatch_them(monkeypatch):
    monkeypatch.setattr(report.page, 'picture', lambda image, *_: image)
    picture = np.zeros((100, 100, 3), np.uint8), (200, 200)
    plain = report._draw(picture, [], np.zeros((0, 4)))
    drawn = report._draw(picture, [], np.array([[1.0, 1, 100, 100]]))
    changed = (plain != drawn).any(-1)
    half = len(changed) // 2
    assert 0.1 < changed[:half, :half].mean() < 0.6
    assert not changed[half:].any()
    given = case_with_regions()
    metrics = {**summary.evaluate(given, 0.5).metrics, 'split': 'test'}
    assert 'some of the 40 ignore regions' in report.report_tables.tables(metrics)['intro']
    assert '40 ignore regions: detections' in tables.format_metrics({**metrics, 'checkpoint': 'x'})
    assert len(report._regions_of(given, 3)) == (given.regions.images == 3).sum()
