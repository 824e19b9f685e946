"""Thresholds of a detector that are those of the best F1, from the metrics of a run or of its export."""

import json
import shutil

import numpy as np
import pytest
from conftest import DATA, make_image

import yolo
from yolo.backends import loading
from yolo.backends.model import Model
from yolo.detection.detector import Backend
from yolo.detection.exported import Exported

CLASSES = ('circle', 'ring', 'square', 'star', 'triangle')
SCORES = (0.02, 0.03, 0.01, 0.05, 0.04)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp('run')
    shutil.copytree(DATA / 'version_0_1' / 'run', folder / 'run')
    return folder / 'run'


def write_metrics(path, checkpoint: str, **changes) -> None:
    path.parent.mkdir(exist_ok=True)
    per_class = {name: {'best_f1': {'score': score}} for name, score in zip(CLASSES, SCORES, strict=True)}
    path.write_text(json.dumps({'per_class': {**per_class, **changes}, 'checkpoint': checkpoint}))


def test_the_thresholds_of_a_run_are_in_its_report(run, caplog):
    """A detection whose score is the threshold counts, as it did in the evaluation."""
    photo = make_image(np.random.default_rng(1), 90, 3)[0]
    everything = yolo.load_detector(str(run), 'latest', score_threshold=0.005, max_detections=500)(photo)
    middle = {}
    for k in set(everything.classes.tolist()):
        scores = everything.scores[everything.classes == k]
        middle[CLASSES[k]] = {'best_f1': {'score': float(scores[len(scores) // 2])}}
    write_metrics(run / 'report/metrics.json', 'elsewhere/run/checkpoints/ckpt-4', **middle)
    detector = yolo.load_detector(str(run), 'latest', score_threshold='best_f1', max_detections=500)
    assert 'evaluate that one' not in caplog.text
    lowest = np.array([middle[label]['best_f1']['score'] for label in everything.labels], np.float32)
    kept = everything.scores >= lowest
    assert len(middle) <= kept.sum() < len(everything)
    np.testing.assert_array_equal(detector(photo).boxes, everything.boxes[kept])


def test_metrics_of_other_weights_are_warned_of(run, caplog):
    write_metrics(run / 'report/metrics.json', f'{run}/best/ckpt-3')
    yolo.load_detector(str(run), 'latest', score_threshold='best_f1')
    assert f'report/metrics.json is of {run}/best/ckpt-3, not of {run}/checkpoints/ckpt-' in caplog.text


def test_metrics_may_be_somewhere_else(run, tmp_path):
    write_metrics(tmp_path / 'metrics.json', 'x', star={'best_f1': {'score': 0.5}})
    detector = yolo.load_detector(str(run), score_threshold='best_f1', metrics=str(tmp_path))
    assert detector.limits.class_scores[3] == pytest.approx(0.5)


def test_metrics_that_were_measured_with_another_nms_are_warned_of(run, caplog):
    path = run / 'report/metrics.json'
    for measured in ('greedy', 'wbf', None):
        write_metrics(path, 'x')
        if measured:
            path.write_text(json.dumps({**json.loads(path.read_text()), 'thresholds': {'nms': measured}}))
        for nms in ('greedy', 'wbf'):
            caplog.clear()
            yolo.load_detector(str(run), 'latest', score_threshold='best_f1', nms=nms)
            told = f'{path}: its thresholds of best F1 were measured with nms={measured or "greedy"}, here is nms={nms}'
            assert (told in caplog.text) == (nms != (measured or 'greedy'))


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        ({'score_threshold': 'best'}, "score_threshold='best': a number or best_f1"),
        ({'score_threshold': 'best_f1', 'class_scores': [0.1] * 5}, 'best_f1, which is for all classes'),
        ({'score_threshold': 'best_f1', 'metrics': '/nowhere'}, 'there is no /nowhere, .*run eval.py'),
    ],
)
def test_what_has_no_thresholds_is_refused(run, given, message):
    with pytest.raises(ValueError, match=message):
        yolo.load_detector(str(run), **given)


def test_a_run_that_was_not_evaluated_is_one_line(run):
    shutil.rmtree(run / 'report', ignore_errors=True)
    with pytest.raises(
        ValueError, match=r'there is no .*run/report/metrics.json, .*; run eval.py for this model first'
    ):
        yolo.load_detector(str(run), score_threshold='best_f1')


FIELDS = {
    'format': 'onnx',
    'version': '1',
    'classes': ('a', 'b'),
    'anchors': ((1.0, 1.0),),
    'image_size': (64, 64),
    'resize': 'stretch',
    'output': 'raw',
    'batch_size': None,
    'score_threshold': 0.25,
    'nms_iou': 0.45,
    'max_detections': 100,
}


def load_described(monkeypatch, changes: dict, **given):
    """The detector of an exported model with such a description, whatever its file."""
    inside = Exported('model.onnx', **{**FIELDS, **changes})
    nothing = Backend(lambda images: {}, 'none')
    model = Model(lambda size: nothing, ('a', 'b'), 2, ((1.0, 1.0),), (64, 64), 3, 'stretch', 'model.onnx', inside)
    monkeypatch.setattr(loading, 'load', lambda *_: model)
    return loading.load_detector('model.onnx', **given)


def test_the_thresholds_of_an_exported_model_are_in_its_description(monkeypatch, caplog):
    """Whatever its file: the description is what counts."""
    detector = load_described(monkeypatch, {'class_thresholds': (0.3, 0.4)}, score_threshold='best_f1')
    assert detector.limits.class_scores == (0.3, 0.4)
    assert not caplog.text
    load_described(monkeypatch, {'class_thresholds': (0.3, 0.4)}, score_threshold='best_f1', nms='wbf')
    assert 'model.onnx: its thresholds of best F1 were measured with nms=greedy, here is nms=wbf' in caplog.text
    with pytest.raises(ValueError, match=r'evaluate its run with eval\.py and export it, or give --metrics=PATH'):
        load_described(monkeypatch, {}, score_threshold='best_f1')


def test_boxes_that_a_file_suppressed_itself_cannot_be_averaged(monkeypatch):
    for output in ('raw', 'boxes'):
        assert load_described(monkeypatch, {'output': output}, nms='wbf').limits.nms == 'wbf'
    assert load_described(monkeypatch, {'output': 'detections'}).limits.nms == 'greedy'
    message = r'model\.onnx suppresses boxes itself, .*nms=wbf.* again with --output=boxes, or take nms=greedy'
    with pytest.raises(ValueError, match=message):
        load_described(monkeypatch, {'output': 'detections'}, nms='wbf')
