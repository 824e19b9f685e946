"""Thresholds out of metrics.json: those that the best F1 counted, and one line for what is not there."""

import json

import numpy as np
import pytest
from conftest import DATA

from yolo.detection.best_f1 import class_thresholds
from yolo.evaluation import summary
from yolo.evaluation.result import EvaluationResult, write_metrics
from yolo.evaluation.voc_matching import Detections, GroundTruth

SCORES = np.array([0.9, 0.8, 0.7, 0.3, 0.2], np.float32)


def evaluated() -> EvaluationResult:
    """Class a: right, right, wrong, right, wrong of three objects; class b: one wrong detection; class c: none."""
    boxes = np.array([[10.0 * i + 1, 1, 10 * i + 9, 9] for i in range(6)])
    truth = GroundTruth(np.zeros(4, int), np.array([0, 0, 0, 1]), boxes[:4], np.zeros(4, bool))
    detected = np.concatenate([boxes[[0, 1]], [[200, 200, 220, 220]], boxes[[2]], [[300, 300, 320, 320], [1, 1, 2, 2]]])
    classes = np.array([0, 0, 0, 0, 0, 1])
    detections = Detections(np.zeros(6, int), classes, np.append(SCORES, np.float32(0.6)), detected)
    return EvaluationResult(('a', 'b', 'c'), ('x',), truth, detections)


def test_the_threshold_lets_through_what_the_best_f1_counted(tmp_path, caplog):
    """Precision 3/4 at recall 1 has F1 6/7, more than 1 at 2/3 with 4/5: the threshold is under 0.3, and over 0.2."""
    metrics = summary.evaluate(evaluated(), 0.5).metrics
    path = write_metrics(str(tmp_path), metrics)
    for given in (path, str(tmp_path)):
        thresholds = class_thresholds(given, ('c', 'a', 'b'), 0.25)
        assert np.greater(SCORES, np.float32(thresholds[1])).tolist() == [True, True, True, True, False]
        assert thresholds[0] == thresholds[2] == 0.25
    assert 'no threshold of best F1 for c, b (the evaluation had no true positive): 0.25' in caplog.text
    assert metrics['per_class']['a']['best_f1']['f1'] == pytest.approx(6 / 7)


def test_metrics_of_version_0_1_are_read():
    path = str(DATA / 'version_0_1' / 'report' / 'metrics.json')
    metrics = json.loads((DATA / 'version_0_1' / 'report' / 'metrics.json').read_text())
    classes = tuple(metrics['per_class'])
    for name, threshold in zip(classes, class_thresholds(path, classes, 0.5), strict=True):
        point = metrics['per_class'][name]['best_f1']
        assert threshold == pytest.approx(point['score'] if point else 0.5, rel=1e-6)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (None, r'there is no .*metrics.json, which has the thresholds of best F1; run eval.py'),
        ('{', r'not the metrics of an evaluation \('),
        ('[]', r'not the metrics of an evaluation'),
        ('{"per_class": {"a": {}}}', r"'best_f1' is missing\); run eval.py"),
        (
            '{"per_class": {"a": {"best_f1": {"score": 2}}}}',
            r'per_class.a.best_f1.score is 2: not a number from 0 to 1',
        ),
        ('{"per_class": {"a": {"best_f1": {"score": true}}}}', 'score is True'),
        ('{"per_class": {"b": {"best_f1": null}}}', 'has the classes b, the model has a; run eval.py'),
        ('{"per_class": {"a": {"best_f1": null}, "b": {"best_f1": null}}}', 'has the classes a, b, the model has a'),
    ],
)
def test_what_has_no_thresholds_is_one_line_with_the_way_out(tmp_path, text, message):
    if text is not None:
        (tmp_path / 'metrics.json').write_text(text)
    with pytest.raises(ValueError, match=message) as raised:
        class_thresholds(f'{tmp_path}/metrics.json', ('a',), 0.25)
    assert '\n' not in str(raised.value)
    assert '--metrics=PATH' in str(raised.value)
