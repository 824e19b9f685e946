"""Thresholds of best F1 go from the evaluation of a run into the descriptions of its exported models."""

import json
import shutil

import numpy as np
import pytest
from conftest import DATA

from yolo.detection import exported
from yolo.detection.exported import Source
from yolo.export import draft, sources
from yolo.models import folding

CLASSES = ('circle', 'ring', 'square', 'star', 'triangle')
SCORES = (0.1, 0.2, 0.3, 0.4, None)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp('model') / 'run'
    shutil.copytree(DATA / 'version_0_1' / 'run', folder)
    (folder / 'report').mkdir()
    return folder


def write_metrics(run, checkpoint: str, **more) -> None:
    points = [None if score is None else {'score': score} for score in SCORES]
    per_class = {name: {'best_f1': point} for name, point in zip(CLASSES, points, strict=True)}
    metrics = {'per_class': per_class, 'checkpoint': checkpoint, 'map_area': 0.5, **more}
    (run / 'report/metrics.json').write_text(json.dumps(metrics))


def test_they_are_those_of_the_weights_that_are_exported(run):
    write_metrics(run, f'{run}/checkpoints/ckpt-4')
    model, info, source = sources.read(model_dir=str(run), checkpoint='latest')
    best = sources.best_thresholds(source, info.classes)
    np.testing.assert_allclose(best, (0.1, 0.2, 0.3, 0.4, 0.25), rtol=1e-6)
    options = draft.Options(exported.RAW, class_thresholds=best)
    about = draft.make(folding.fold(model), info, exported.ONNX, options, source)
    assert exported.parse(exported.format_json(about), 'x').class_thresholds == best


def test_other_weights_and_models_without_names_have_none(run):
    write_metrics(run, f'{run}/best/ckpt-6')
    source = sources.read(model_dir=str(run), checkpoint='latest')[2]
    assert sources.best_thresholds(source, CLASSES) is None
    write_metrics(run, f'{run}/checkpoints/ckpt-4')
    source = sources.read(model_dir=str(run), checkpoint='latest')[2]
    assert sources.best_thresholds(source, ()) is None
    assert sources.best_thresholds(Source('a.cfg', 'a.weights'), CLASSES) is None


def test_what_was_measured_with_means_of_boxes_is_not_of_an_export(run, caplog):
    for nms, expected in (('greedy', {'map_area': 0.5, 'thresholds': {'nms': 'greedy'}}), ('wbf', {})):
        write_metrics(run, f'{run}/checkpoints/ckpt-4', thresholds={'nms': nms})
        assert sources.read(model_dir=str(run), checkpoint='latest')[2].metrics == expected
        assert ('metrics.json was measured with nms=wbf, exported models are for' in caplog.text) == (nms == 'wbf')
