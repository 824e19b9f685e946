"""metrics.json and detections.npz: written, read, aligned with another evaluation, and those of version 0.1."""

import json
import logging
import shutil

import numpy as np
import pytest
from conftest import DATA
from random_case import CLASS_NAMES, IMAGE_IDS, random_result

import eval
from yolo.evaluation import compared, result, summary, tables
from yolo.evaluation.result import EvaluationResult
from yolo.evaluation.settings import EvalSettings
from yolo.evaluation.voc_matching import Detections, GroundTruth

OLD = DATA / 'version_0_1' / 'report'


def test_what_is_written_is_read_back(tmp_path):
    given = random_result()
    result.write(str(tmp_path), given)
    assert result.write_metrics(str(tmp_path), {'map_area': 0.5}) == str(tmp_path / 'metrics.json')
    assert json.loads((tmp_path / 'metrics.json').read_text()) == {'map_area': 0.5}
    again = result.read(str(tmp_path / 'metrics.json'))
    for kind in ('truth', 'detections'):
        for name, value in vars(getattr(given, kind)).items():
            np.testing.assert_array_equal(getattr(getattr(again, kind), name), value)
    assert (again.classes, again.image_ids) == (CLASS_NAMES, IMAGE_IDS)


def test_another_evaluation_is_aligned_by_names():
    given = random_result()
    order = np.random.default_rng(0).permutation(12)
    shuffled = EvaluationResult(
        CLASS_NAMES[::-1],
        tuple(IMAGE_IDS[i] for i in order),
        given.truth,
        Detections(
            np.argsort(order)[given.detections.images],
            2 - given.detections.classes,
            given.detections.scores,
            given.detections.boxes,
        ),
    )
    aligned = result.aligned(given, shuffled, 'x')
    for name, value in vars(given.detections).items():
        np.testing.assert_array_equal(getattr(aligned, name), value)


def test_other_classes_and_other_images_are_refused():
    given = random_result()
    with pytest.raises(ValueError, match='x has the classes d, b, c, this evaluation has a, b, c; compare'):
        result.aligned(given, EvaluationResult(('d', 'b', 'c'), IMAGE_IDS, given.truth, given.detections), 'x')
    message = "x has 11 images, this evaluation has 12: 'image 0' is only in this one; compare the same images"
    with pytest.raises(ValueError, match=message):
        result.aligned(given, EvaluationResult(CLASS_NAMES, IMAGE_IDS[1:], given.truth, given.detections), 'x')


def test_other_annotations_are_reported(caplog):
    given = random_result()
    reordered = GroundTruth(*(array[::-1] for array in vars(given.truth).values()))
    with caplog.at_level(logging.WARNING, 'absl'):
        result.aligned(given, random_result(truth=reordered), 'x')
        assert not caplog.text
        fewer = GroundTruth(*(array[1:] for array in vars(given.truth).values()))
        result.aligned(given, random_result(truth=fewer), 'x')
    message = 'x has other annotations, 39 objects; both detectors are compared on the 40 objects of this evaluation'
    assert message in caplog.text


def test_missing_and_damaged_files_are_refused(tmp_path):
    metrics, path = tmp_path / 'metrics.json', tmp_path / 'detections.npz'
    with pytest.raises(ValueError, match=r'there is no .*metrics.json'):
        result.read(str(metrics))
    metrics.write_text('{}')
    for name in (metrics, tmp_path):
        with pytest.raises(ValueError, match=r'there is no .*detections.npz: evaluate that detector'):
            result.read(str(name))
    given = random_result()
    result.write(str(tmp_path), given)
    whole = path.read_bytes()
    for damaged in (b'half', b'', whole[: len(whole) // 2], b'PK\3\4' + whole[4:400]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match='not a file of detections'):
            result.read(str(metrics))
    result.write(str(tmp_path), EvaluationResult(CLASS_NAMES[:2], IMAGE_IDS, given.truth, given.detections))
    with pytest.raises(ValueError, match=r'\(truth_classes numbers 0 to 2 of 2\)'):
        result.read(str(metrics))


def test_a_report_of_version_0_1_gives_the_metrics_that_it_had(tmp_path):
    """Also from a folder whose metrics.json is empty: metrics follow from detections.npz alone."""
    recorded = json.loads((OLD / 'metrics.json').read_text())
    old = result.read(str(OLD / 'metrics.json'))
    assert list(old.classes) == list(recorded['per_class'])
    metrics = summary.evaluate(old, recorded['thresholds']['match_iou']).metrics
    metrics = json.loads(json.dumps(metrics))
    assert metrics == {name: recorded[name] for name in metrics}
    assert tables.format_metrics(recorded).splitlines()[-1].startswith(f'{recorded["num_images"]} images of test, ')
    shutil.copy(OLD / 'detections.npz', tmp_path)
    (tmp_path / 'metrics.json').write_text('{}')
    assert result.read(str(tmp_path)).image_ids == old.image_ids


def test_a_report_of_version_0_1_is_compared_with():
    old = result.read(str(OLD))
    boxes = np.concatenate([old.truth.boxes, old.truth.boxes])
    perfect = Detections(
        *(np.concatenate([array, array]) for array in (old.truth.images, old.truth.classes)), np.ones(16), boxes
    )
    current = EvaluationResult(old.classes, old.image_ids, old.truth, perfect)
    other = result.aligned(current, old, 'x')
    for name, value in vars(old.detections).items():
        np.testing.assert_array_equal(getattr(other, name), value)
    recorded = json.loads((OLD / 'metrics.json').read_text())
    difference = summary.compare(current, other, 0.5)['mAP']['difference']
    assert difference == pytest.approx(1 - recorded['map_area'])


def test_boxes_that_an_earlier_version_left_short_are_warned_of(tmp_path, caplog):
    path = tmp_path / 'metrics.json'
    result.write(str(tmp_path), random_result())
    for metrics, is_short in (
        ({'checkpoint': 'yolov2-voc.weights'}, True),
        ({'checkpoint': 'yolov2-voc.weights', 'box_convention': 'darknet'}, False),
        ({'checkpoint': 'runs/a/best/ckpt-1'}, False),
        ({'detections_dir': 'results'}, False),
    ):
        path.write_text(json.dumps(metrics))
        for given in (tmp_path, path):
            eval._other(EvalSettings(compare=str(given)), 'report')
            assert ('evaluated yolov2-voc.weights; if Darknet trained it' in caplog.text) == is_short
            caplog.clear()
    path.write_text('{')
    with pytest.raises(ValueError, match=r'metrics.json is damaged .*; evaluate that detector again'):
        compared.warn(str(tmp_path), None)


HERE = {'score': 0.005, 'suppression_iou': 0.45, 'max_detections': 500, 'match_iou': 0.5}


@pytest.mark.parametrize(
    ('theirs', 'flags', 'message'),
    [
        (HERE, {}, ''),  # of an earlier version: greedy, by class
        (HERE, {'nms': 'wbf'}, 'is of nms=greedy, this evaluation of nms=wbf: the difference may come of that'),
        ({**HERE, 'nms': 'wbf'}, {}, 'is of nms=wbf, this evaluation of nms=greedy: the'),
        ({**HERE, 'nms': 'wbf'}, {'nms': 'wbf'}, ''),
        (
            {**HERE, 'nms_scope': 'all_classes'},
            {'nms_iou': 0.3},
            'is of nms_iou=0.45, nms_scope=all_classes, this evaluation of nms_iou=0.3, nms_scope=per_class: the',
        ),
        ({**HERE, 'score': 0.1}, {}, 'is of score_threshold=0.1, this evaluation of score_threshold=0.005: the'),
        ({**HERE, 'match_iou': 0.75}, {}, ''),  # both are matched by that of this evaluation
        ({'match_iou': 0.5}, {'nms': 'wbf'}, ''),  # detections in files: nothing is known of them
        ({**HERE, 'nms': 'wbf'}, {'detections_dir': 'results'}, ''),
    ],
)
def test_other_thresholds_of_the_other_evaluation_are_warned_of(tmp_path, caplog, theirs, flags, message):
    result.write(str(tmp_path), random_result())
    (tmp_path / 'metrics.json').write_text(json.dumps({'thresholds': theirs}))
    eval._other(EvalSettings(compare=str(tmp_path), **flags), 'report')
    assert f'{tmp_path}/metrics.json {message}' in caplog.text if message else not caplog.text
