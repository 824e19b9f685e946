"""ONNX files by their path: what describes them, what is refused in one line, and no TensorFlow."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import random_networks
from conftest import DATA
from random_networks import SIZE

from yolo.backends import loading, networks, onnx_metadata, onnx_values, opencv_backend, runtimes
from yolo.detection import exported
from yolo.export import draft
from yolo.models.folding import fold
from yolo.models.model_folder import ModelInfo

onnx_file = pytest.importorskip('yolo.export.onnx_file', reason='the extra [export] is not installed')

CLASSES = ('a', 'b', 'c')
DETECT = """
import sys
import numpy as np
import yolo
detector = yolo.load_detector(sys.argv[1], backend=sys.argv[2], score_threshold=0.1)
found = detector(np.load(sys.argv[3]))
assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules, 'TensorFlow was imported'
np.savez(sys.argv[4], boxes=found.boxes, scores=found.scores, classes=found.classes)
"""


@pytest.fixture(scope='module')
def model():
    return random_networks.randomized('yolov2-tiny')


@pytest.fixture(scope='module')
def files(model):
    """The bytes and the description of an ONNX file with each output, and of one of two images at a time."""
    folded = draft.at_size(fold(model), SIZE)

    def build(output, **options):
        wanted = draft.Options(output, SIZE, score_threshold=0.1, **options)
        return onnx_file.build(folded, draft.make(folded, ModelInfo(CLASSES, 'stretch'), exported.ONNX, wanted))

    return {output: build(output) for output in exported.OUTPUTS} | {'two': build('raw', batch_size=2)}


@pytest.fixture
def path(files, tmp_path):
    """An ONNX file with output boxes and its description."""
    path = tmp_path / 'renamed.onnx'
    path.write_bytes(files['boxes'][0])
    exported.write(str(path), files['boxes'][1])
    return path


def photo(seed: int = 1) -> np.ndarray:
    return random_networks.images((50, 70), 1, seed)[0]


def available(name: str) -> str:
    if not runtimes.is_installed(name):
        pytest.skip(f'{name} is not installed')
    return name


@pytest.mark.slow
@pytest.mark.parametrize('runtime', runtimes.READ_ONNX)
def test_a_file_is_found_by_its_path_and_needs_no_tensorflow(path, runtime, tmp_path):
    np.save(tmp_path / 'photo.npy', photo())
    out = tmp_path / 'found.npz'
    command = [sys.executable, '-c', DETECT, path, available(runtime), tmp_path / 'photo.npy', out]
    subprocess.run(command, check=True, timeout=120)
    found, expected = np.load(out), loading.load_detector(path, backend=runtime, score_threshold=0.1)(photo())
    assert len(expected) > 1
    for name in ('boxes', 'scores', 'classes'):
        np.testing.assert_array_equal(found[name], getattr(expected, name))


def test_bytes_become_planes_exactly():
    images = np.arange(2 * 16 * 16 * 3, dtype=np.uint16).astype(np.uint8).reshape(2, 16, 16, 3)
    expected = np.transpose(images.astype(np.float32) / np.float32(255), (0, 3, 1, 2))
    np.testing.assert_array_equal(onnx_values.to_planes(images), expected)


def test_detections_of_a_batch_by_image():
    images = np.array([0, 0, 2, 2, 2])
    outputs = {'images': images, 'classes': images + 5, 'scores': np.arange(5) / 10}
    outputs['boxes'] = np.arange(20).reshape(5, 4)
    result = onnx_values.by_image(outputs, 4, 3)
    assert result['count'].tolist() == [2, 0, 3, 0]
    assert result['classes'].tolist() == [[5, 5, 0], [0, 0, 0], [7, 7, 7], [0, 0, 0]]
    np.testing.assert_allclose(result['scores'][[0, 2]], [[0, 0.1, 0], [0.2, 0.3, 0.4]])
    assert result['boxes'][2, 2].tolist() == [16, 17, 18, 19]


@pytest.mark.parametrize('runtime', runtimes.READ_ONNX)
def test_all_outputs_give_the_same_detections(files, runtime, tmp_path):
    results = []
    for name, (data, about) in files.items():
        if runtime == runtimes.OPENCV and name == exported.DETECTIONS:
            continue
        path = tmp_path / f'{name}.onnx'
        path.write_bytes(data)
        exported.write(str(path), about)
        detector = loading.load_detector(path, backend=available(runtime), score_threshold=0.1, batch_size=3)
        assert detector.backend.batch_size == about.batch_size
        results.append(detector([photo(1), photo(2), photo(3)]))
    assert min(len(each) for each in results[0]) > 1
    for result in results[1:]:
        for each, expected in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(each.classes, expected.classes)
            np.testing.assert_allclose(each.boxes, expected.boxes, atol=1e-3)
            np.testing.assert_allclose(each.scores, expected.scores, atol=1e-5)


def test_a_file_without_its_description_has_it_inside(path, files):
    (path.parent / 'renamed.onnx.json').unlink()
    assert loading.load(str(path)).inside == files['boxes'][1]
    stranger = files['boxes'][0].replace(b'\x04yolo\x12', b'\x04else\x12')
    assert len(onnx_metadata.read('there', stranger)) == 2
    path.write_bytes(stranger)
    with pytest.raises(ValueError, match=r'renamed\.onnx: not written by `yolo export`: it has no description'):
        loading.load(str(path))


@pytest.mark.parametrize('runtime', runtimes.READ_ONNX)
@pytest.mark.parametrize('damage', ['empty', 'cut', 'text', 'nothing but metadata'])
def test_a_damaged_file_is_refused(path, damage, runtime):
    data = path.read_bytes()
    model = onnx_metadata._Model.FromString(data)
    model.DiscardUnknownFields()
    path.write_bytes(
        {
            'empty': b'',
            'cut': data[: len(data) // 2],
            'text': b'this is not a model',
            'nothing but metadata': model.SerializeToString(),
        }[damage]
    )
    with pytest.raises(ValueError, match=r'renamed\.onnx: damaged, (or no ONNX file|or not what its desc)') as error:
        loading.load(str(path), backend=available(runtime))
    assert '\n' not in str(error.value)


def test_a_description_of_another_file_is_refused(path, files):
    about = files['boxes'][1]
    for change, differing in (
        ({'anchors': ((1.0, 1.0), (2.0, 2.0))}, 'anchors'),
        ({'classes': ('a', 'b')}, 'the number of classes'),
        ({'output': 'raw', 'image_size': (96, 64)}, 'image_size, output'),
    ):
        exported.write(str(path), dataclasses.replace(about, **change))
        with pytest.raises(ValueError, match=f'json describes another model than .*differ in {differing}'):
            loading.load(str(path))
    exported.write(str(path), dataclasses.replace(about, classes=('x', 'y', 'z'), score_threshold=0.9))
    assert loading.load(str(path)).classes == ('x', 'y', 'z')  # which may be edited


@pytest.mark.parametrize('runtime', runtimes.READ_ONNX)
def test_outputs_that_are_not_those_of_the_description_are_refused(files, runtime):
    load = runtimes.module_of(available(runtime)).load
    data, about = files['raw']
    with pytest.raises(ValueError, match=r"its description says output boxes and names \['grid'\]"):
        load(data, dataclasses.replace(about, output='boxes'))
    narrow = dataclasses.replace(about.outputs[0], shape=(None, 14, 2, 3))
    with pytest.raises(ValueError, match=r"output 'grid' has the shape \(1, 16, 2, 3\), not \(None, 14, 2, 3\)"):
        load(data, dataclasses.replace(about, outputs=(narrow,)))


def test_opencv_refuses_suppression_inside(files):
    with pytest.raises(ValueError, match='suppression inside, which OpenCV does not read; export it with --output=box'):
        opencv_backend.load(*files['detections'])


def test_a_trained_network_in_every_runtime(model):
    images = random_networks.images(SIZE, 3)
    expected = model(images).numpy()
    for runtime in filter(runtimes.is_installed, runtimes.READ_ONNX):
        backend = networks.make_backend(fold(model), ModelInfo(CLASSES, 'stretch'), runtime, SIZE)
        assert (backend.name, backend.batch_size) == (runtime, None)
        assert np.abs(backend(images)['raw'] - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize(('name', 'other'), [('yolov2-w16', 'yolov2-tiny-w16'), ('yolov2-tiny-w16', 'yolov2-w16')])
def test_opencvs_own_reader_of_darknets_files(name, other):
    cfg, weights = str(DATA / f'darknet/{name}.cfg'), str(DATA / f'darknet/{name}.weights')
    golden = np.load(DATA / f'darknet/{name}.npz')
    model = loading.load(cfg, weights=weights, backend='opencv')
    with pytest.MonkeyPatch.context() as patch:  # Darknet's numbers are of images in float
        patch.setattr(onnx_values, 'to_planes', lambda x: np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
        raw = model.backend_at(golden['image'].shape[1:3])(golden['image'])['raw']
    np.testing.assert_allclose(raw, golden['raw'], rtol=0, atol=5e-5)
    with pytest.raises(ValueError, match=r'bytes of weights, the network .*: it is cut off, a backbone only, or'):
        loading.load(cfg, weights=str(DATA / f'darknet/{other}.weights'), backend='opencv')
