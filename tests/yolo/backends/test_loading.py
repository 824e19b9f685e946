"""Every kind of model behind load_detector: the same detections, and one line for what is no model or not installed."""

import importlib.util

import numpy as np
import pytest
from conftest import DATA, make_image

import yolo
from yolo.backends import loading, runtimes
from yolo.models import conversion, model_folder

RUN = str(DATA / 'version_0_1' / 'run')
LIMITS = {'score_threshold': 0.02, 'max_detections': 20}


@pytest.fixture(scope='module')
def photo() -> np.ndarray:
    return make_image(np.random.default_rng(3), 90, 3)[0]


@pytest.fixture(scope='module')
def expected(photo):
    result = yolo.load_detector(RUN, **LIMITS)(photo)
    assert len(result) > 3
    return result


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """The network of the run as a .keras file and as Darknet's files."""
    folder = tmp_path_factory.mktemp('files')
    model = model_folder.load_trained(RUN)[0]
    conversion.write_keras(model, f'{folder}/x.keras')
    conversion.write_darknet(model, f'{folder}/x.cfg', f'{folder}/x.weights', None)
    return folder


def check_same(result, expected) -> None:
    np.testing.assert_allclose(result.boxes, expected.boxes, atol=1e-3)
    np.testing.assert_allclose(result.scores, expected.scores, atol=1e-5)
    np.testing.assert_array_equal(result.classes, expected.classes)


def test_a_keras_file_detects_as_its_run(files, photo, expected):
    result = yolo.load_detector(files / 'x.keras', **LIMITS)(photo)
    check_same(result, expected)
    assert result.labels[0] == f'class {expected.classes[0]}'  # the file has no names


@pytest.mark.parametrize('backend', ['', 'opencv'])
def test_darknets_files_detect_as_their_run(files, photo, expected, backend):
    detector = yolo.load_detector(files / 'x.cfg', weights=f'{files}/x.weights', backend=backend, **LIMITS)
    check_same(detector(photo), expected)


@pytest.mark.parametrize('backend', ['onnxruntime', 'openvino', 'opencv', 'litert', 'auto'])
def test_every_backend_detects_as_tensorflow(photo, expected, backend):
    pytest.importorskip('onnx')
    if backend != 'auto':
        pytest.importorskip(runtimes.PACKAGES[backend])
    check_same(yolo.load_detector(RUN, backend=backend, **LIMITS)(photo), expected)


@pytest.mark.parametrize(
    ('path', 'more', 'message'),
    [
        ('/nowhere', {}, '/nowhere: no such file or folder; give the folder of a run'),
        (str(DATA / 'version_0_1' / 'expected.npz'), {}, r'expected.npz: not a model; .*\.onnx, \.tflite, \.keras'),
        (str(DATA), {}, 'no model.json'),
        ('{files}/x.cfg', {}, 'a .cfg goes with its .weights'),
        (RUN, {'backend': 'tensorrt'}, "backend 'tensorrt' does not take a trained network.*; there are tensorflow, "),
        (RUN, {'score_threshold': 2.0}, 'score=2.0: must be 1 or less'),
        (RUN, {'class_scores': [0.5]}, '1 thresholds of classes for 5 classes'),
    ],
)
def test_what_is_no_model_is_refused_in_one_line(files, path, more, message):
    with pytest.raises(ValueError, match=message) as raised:
        yolo.load_detector(path.replace('{files}', str(files)), **more)
    assert '\n' not in str(raised.value)


def test_a_missing_runtime_names_the_extra(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None if name == 'openvino' else found(name))
    with pytest.raises(ValueError, match=r"backend openvino needs the package openvino.*'yolov2-tensorflow\[export\]'"):
        loading.load(RUN, backend='openvino')


def test_auto_takes_the_fastest_that_is_installed(monkeypatch):
    monkeypatch.setattr(runtimes, 'is_installed', lambda name: name in ('opencv', 'tensorflow', 'litert'))
    assert runtimes.choose('auto', runtimes.RUNTIMES, 'a network') == 'opencv'
    assert runtimes.choose('auto', ('litert',), 'a file') == 'litert'
    assert runtimes.choose('auto', runtimes.RUNTIMES, 'a network', has_gpu=True) == 'tensorflow'
    assert runtimes.choose('', ('tensorflow', 'opencv'), 'a network') == 'tensorflow'
