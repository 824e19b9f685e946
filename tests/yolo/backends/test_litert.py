"""The backend of TFLite files: no TensorFlow, several threads, and what is damaged or does not belong together."""

import concurrent.futures
import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import random_networks
from random_networks import ANCHORS, SIZE
from tflite_exports import CLASSES, export

from yolo.backends import loading
from yolo.detection import exported

litert_backend = pytest.importorskip('yolo.backends.litert_backend', reason='ai-edge-litert is not installed')
DETECT = """
import sys
import numpy as np
import yolo
detector = yolo.load_detector(sys.argv[1], score_threshold=0.1)
found = detector(np.load(sys.argv[2]))
assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules, 'TensorFlow was imported'
np.savez(sys.argv[3], boxes=found.boxes, scores=found.scores, classes=found.classes)
"""


@pytest.fixture(scope='module')
def model():
    return random_networks.randomized('yolov2-tiny')


@pytest.fixture(scope='module')
def file(model):
    """The bytes of a float file with output raw, and its description."""
    return export(model, exported.TFLITE, exported.RAW)


@pytest.mark.slow
def test_a_file_is_found_by_its_path_and_needs_no_tensorflow(file, tmp_path):
    path, photo, out = (tmp_path / name for name in ('model.tflite', 'photo.npy', 'found.npz'))
    path.write_bytes(file[0])
    exported.write(str(path), file[1])
    np.save(photo, random_networks.images(SIZE, 1)[0])
    subprocess.run([sys.executable, '-c', DETECT, path, photo, out], check=True, timeout=120)
    found, expected = np.load(out), loading.load_detector(path, score_threshold=0.1)(random_networks.images(SIZE, 1)[0])
    assert len(expected) > 1
    for name in ('boxes', 'scores', 'classes'):
        np.testing.assert_array_equal(found[name], getattr(expected, name))


def test_several_threads_may_use_one_backend(file):
    backend, images = litert_backend.load(*file), random_networks.images(SIZE, 8)
    assert (backend.name, backend.batch_size) == ('litert', 1)
    expected = backend(images)['raw']
    assert expected.shape == (8, SIZE[0] // 32, SIZE[1] // 32, len(ANCHORS), 5 + len(CLASSES))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda i: backend(images[i : i + 1])['raw'][0], range(8)))
    np.testing.assert_array_equal(np.stack(results), expected)
    assert expected.std(0).max() > 0.1  # images differ


@pytest.mark.parametrize('damage', ['empty', 'truncated', 'text'])
def test_a_damaged_file_is_refused(file, damage):
    data = {'empty': b'', 'truncated': file[0][: len(file[0]) // 2], 'text': b'this is not a model'}[damage]
    with pytest.raises(ValueError, match=r'model\.tflite is (empty|damaged, or not a TFLite file).*export'):
        litert_backend.load(data, file[1])


def test_a_description_of_another_file_is_refused(file, model):
    _, other = export(model, exported.TFLITE, exported.BOXES)
    with pytest.raises(ValueError, match=r'model\.tflite has raw \[1, 2, 3, 16\] float32, its description says boxes'):
        litert_backend.load(file[0], other)
    images = dataclasses.replace(file[1].inputs[0], shape=(1, 32, 32, 3))
    with pytest.raises(
        ValueError, match=r'image \[1, 64, 96, 3\] float32, its description says image \[1, 32, 32, 3\]'
    ):
        litert_backend.load(file[0], dataclasses.replace(file[1], inputs=(images,)))


@pytest.mark.slow
def test_a_trained_network_is_computed_by_litert_as_by_tensorflow(model, tmp_path):
    path = str(tmp_path / 'model.keras')
    model.save(path)
    photo = random_networks.images(SIZE, 1)[0]
    by_litert, expected = (
        loading.load_detector(path, backend=backend, score_threshold=0.05)(photo)
        for backend in ('litert', 'tensorflow')
    )
    assert len(expected) > 1
    np.testing.assert_array_equal(by_litert.classes, expected.classes)
    np.testing.assert_allclose(by_litert.scores, expected.scores, atol=1e-5)


def test_a_file_without_its_description_is_refused(file, tmp_path):
    path = tmp_path / 'model.tflite'
    path.write_bytes(file[0])
    with pytest.raises(ValueError, match=r'there is no .*model\.tflite\.json'):
        loading.load_detector(path)
