"""A SavedModel against the library: what every signature gives, its description, and equal bytes."""

import dataclasses
import functools
import json
import pathlib
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf
from conftest import CLASSES, ROOT, digests
from exported_models import LIMITS, PHOTO_SIZES, SIZE, export, make_files, make_model, make_photo

from yolo.backends import tensorflow_backend
from yolo.backends.loading import load_detector
from yolo.data import images
from yolo.detection import exported, host
from yolo.detection.detector import Detector
from yolo.geometry.letterbox import from_canvas, inner_pixels
from yolo.models.folding import build_folded, fold

pytestmark = pytest.mark.slow  # TensorFlow traces three signatures for each
SIGNATURES = ('serving_default', 'float_images', 'image_bytes')


def ours(resize: str, limits: host.Thresholds = LIMITS) -> Detector:
    folded = fold(make_model())
    anchors = folded.network.region.anchors
    return Detector(tensorflow_backend.load(folded), CLASSES, anchors, SIZE, resize, limits=limits)


@pytest.fixture(scope='module')
def exports(tmp_path_factory):
    """Exports the network with some options, the same ones once; returns the path of the SavedModel."""

    @functools.cache
    def exported_with(resize: str = 'stretch', **options) -> str:
        return export(tmp_path_factory.mktemp('exported'), 'saved_model', resize, **options)

    return exported_with


load = functools.cache(tf.saved_model.load)


def by_signature(path: str, signature: str, photos: list[np.ndarray], files: list[bytes]) -> list[dict]:
    """What a signature gives for each photo, without its batch."""
    call = load(path).signatures[signature]
    if signature == 'image_bytes':
        given = {'image_bytes': tf.constant(files)}
    else:
        values = np.stack(photos)
        given = {'images': values} if signature == SIGNATURES[0] else {'float_images': values / np.float32(255)}
    outputs = {name: value.numpy() for name, value in call(**{k: tf.constant(v) for k, v in given.items()}).items()}
    return [{name: value[i] for name, value in outputs.items()} for i in range(len(photos))]


def check(found: dict, expected, pixels: float, scores: float) -> None:
    """Whether what a signature gives is what our detector finds, and zeros and empty names behind it."""
    count = found['count']
    assert count == len(expected) > 1
    np.testing.assert_allclose(found['boxes'][:count], expected.boxes, atol=pixels)
    np.testing.assert_allclose(found['scores'][:count], expected.scores, atol=scores)
    np.testing.assert_array_equal(found['classes'][:count], expected.classes)
    assert tuple(name.decode() for name in found['names'][:count]) == expected.labels
    assert len(found['scores']) == LIMITS.max_detections
    for name in ('boxes', 'scores', 'classes'):
        assert not found[name][count:].any()
    assert set(found['names'][count:]) <= {b''}


@pytest.mark.parametrize('resize', ['stretch', 'letterbox'])
@pytest.mark.parametrize('scope', ['per_class', 'all_classes'])
def test_every_signature_detects_what_the_library_does(exports, resize, scope):
    path = exports(resize, nms_scope=scope)
    detector = ours(resize, dataclasses.replace(LIMITS, nms_scope=scope))
    files = make_files()
    photos = [images.decode(data) for data in files]
    of_files = by_signature(path, 'image_bytes', photos, files)
    for i, photo in enumerate(photos):
        expected = detector(photo)
        check(of_files[i], expected, 1e-3, 1e-5)
        check(by_signature(path, 'serving_default', [photo], [])[0], expected, 1e-3, 1e-5)
        if PHOTO_SIZES[i] == SIZE:
            check(by_signature(path, 'float_images', [photo], [])[0], expected, 1e-3, 1e-5)


@pytest.mark.parametrize('resize', ['stretch', 'letterbox'])
def test_float_photos_are_resized_without_rounding(exports, resize):
    path = exports(resize, nms_scope='per_class')
    model = build_folded(fold(make_model()))
    for i, size in enumerate(PHOTO_SIZES):
        photo = make_photo(i, size)
        left, top, width, height = inner_pixels(size, SIZE, resize)
        image = np.full((1, *SIZE, 3), images.BAR / 255, np.float32)
        small = cv2.resize(photo / np.float32(255), (int(width), int(height)), interpolation=cv2.INTER_LINEAR)
        image[0, top : top + height, left : left + width] = small
        found = host.detect({'raw': model(image).numpy()}, model.network.region.anchors, LIMITS)
        count = found['count'][0]
        boxes = from_canvas(found['boxes'][0, :count], size, SIZE, resize) * np.tile([size[1], size[0]], 2)
        given = by_signature(path, 'float_images', [photo], [])[0]
        assert given['count'] == count > 1
        np.testing.assert_allclose(given['boxes'][:count], boxes, atol=1e-2)
        np.testing.assert_allclose(given['scores'][:count], found['scores'][0, :count], atol=1e-4)


def test_png_files_are_decoded_like_ours(exports):
    path = exports(nms_scope='per_class')
    photos = [make_photo(i, size) for i, size in enumerate(PHOTO_SIZES)]
    files = [images.encode_png(photo) for photo in photos]
    for found, photo in zip(by_signature(path, 'image_bytes', photos, files), photos, strict=True):
        check(found, ours('stretch')(photo), 1e-3, 1e-5)


def test_the_scopes_differ(exports):
    photo = make_photo(1, (120, 120))
    scopes = ('per_class', 'all_classes')
    both = [exports(nms_scope=scope, score_threshold=0.05, max_detections=100) for scope in scopes]
    counts = [by_signature(path, 'serving_default', [photo], [])[0]['count'] for path in both]
    assert 100 > counts[0] > counts[1] > 0


@pytest.mark.parametrize('resize', ['stretch', 'letterbox'])
def test_raw_and_boxes(exports, resize):
    photos = [make_photo(i, (150, 90)) for i in range(2)]
    small = np.stack([images.resize(photo, SIZE, resize) for photo in photos])
    folded = fold(make_model())
    expected = tensorflow_backend.load(folded)(small)['raw']
    given = by_signature(exports(resize, output='raw'), SIGNATURES[0], photos, [])
    for i in range(2):
        assert list(given[i]) == ['raw']
        assert given[i]['raw'].shape == (3, 4, 3, 7)
        np.testing.assert_allclose(given[i]['raw'], expected[i], atol=1e-5 * np.abs(expected).max())
    path = exports(resize, output='boxes')
    given = by_signature(path, SIGNATURES[0], photos, [])
    boxes, scores = host.decode(expected, folded.network.region.anchors)
    if resize == 'letterbox':  # 58 of 128 columns, from the 35th on
        boxes = (boxes - np.array([35 / 128, 0] * 2)) / np.array([57 / 128, 1] * 2)
    for i in range(2):
        np.testing.assert_allclose(given[i]['boxes'], boxes[i], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(given[i]['scores'], scores[i], atol=1e-5)


@pytest.mark.parametrize(('batch_size', 'dynamic', 'expected'), [(None, False, None), (2, False, 2), (2, True, None)])
def test_the_description_says_what_the_signatures_take_and_give(tmp_path, batch_size, dynamic, expected):
    path = export(tmp_path, 'saved_model', batch_size=batch_size, dynamic=dynamic)
    about = exported.read(path)
    assert about.source.seen == 640
    assert (about.batch_size, about.image_size, about.output) == (expected, SIZE, 'detections')
    assert about.classes == CLASSES
    inside = pathlib.Path(path, exported.IN_SAVED_MODEL)
    assert inside.read_bytes() == pathlib.Path(exported.path_of(path)).read_bytes()
    assert (
        pathlib.Path(path, 'assets/labels.txt').read_text() == (tmp_path / 'labels.txt').read_text() == 'bright\ndark\n'
    )
    signatures = tf.saved_model.load(path).signatures
    assert set(signatures) == {*SIGNATURES, 'network_images'}
    for signature, tensor in zip(SIGNATURES, about.inputs, strict=True):
        function = signatures[signature]
        (given,) = function.structured_input_signature[1].values()
        assert (given.name, tuple(given.shape), given.dtype.name) == (tensor.name, tensor.shape, tensor.dtype)
        assert f'signature {signature}:' in tensor.meaning
        assert {
            (name, tuple(value.shape), value.dtype.name) for name, value in function.structured_outputs.items()
        } == {(tensor.name, tensor.shape, tensor.dtype) for tensor in about.outputs}
    assert 'EXIF orientation is not applied' in json.loads(inside.read_text())['inputs'][2]['meaning']
    assert about.inputs[2].name.endswith('_bytes')  # so that the servers that go by it take {"b64": ...}


AGAIN = """
import sys
sys.path[:0] = {paths!r}
import tensorflow as tf
from exported_models import export
for i in range({before}):
    tf.function(lambda x: x + i)(tf.Variable(1.0))
export({folder!r}, 'saved_model', 'letterbox', nms_scope='all_classes')
"""


def test_the_same_network_gives_the_same_bytes(tmp_path):
    """Also in a process that has traced other functions before, and with another order of hashed names."""
    paths = [str(ROOT), str(ROOT / 'tests'), str(ROOT / 'tests/yolo/export')]
    for before in (0, 3):
        code = AGAIN.format(paths=paths, before=before, folder=str(tmp_path / str(before)))
        subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True, capture_output=True)
    export(tmp_path / 'here', 'saved_model', 'letterbox', nms_scope='all_classes')
    first = digests(tmp_path / '0')
    assert len(first) == 7
    assert first == digests(tmp_path / '3') == digests(tmp_path / 'here')


PLAIN = """
import sys
import numpy as np
import tensorflow as tf
signatures = tf.saved_model.load({path!r}).signatures
given = np.load({given!r})
results = dict(
    images=signatures['serving_default'](images=tf.constant(given['images'])),
    floats=signatures['float_images'](float_images=tf.constant(given['images'] / np.float32(255))),
    files=signatures['image_bytes'](image_bytes=tf.constant([open(file, 'rb').read() for file in {files!r}])),
)
values = {{f'{{by}}_{{name}}': each.numpy() for by, outputs in results.items() for name, each in outputs.items()}}
np.savez({out!r}, **{{name: value for name, value in values.items() if not name.endswith('_names')}})
assert not any(name.split('.')[0] == 'yolo' for name in sys.modules), 'this project is loaded'
"""


def test_it_runs_in_a_process_without_this_project(exports, tmp_path):
    path = exports('letterbox', nms_scope='per_class')
    files = make_files(((90, 120), (90, 120)))
    photos = [images.decode(data) for data in files]
    names = [str(tmp_path / f'{i}.jpg') for i in range(2)]
    for name, data in zip(names, files, strict=True):
        pathlib.Path(name).write_bytes(data)
    np.savez(tmp_path / 'given.npz', images=np.stack(photos))
    given, out = str(tmp_path / 'given.npz'), str(tmp_path / 'out.npz')
    code = PLAIN.format(path=path, given=given, files=names, out=out)
    done = subprocess.run([sys.executable, '-I', '-c', code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results, detector = np.load(out), ours('letterbox')
    for i, photo in enumerate(photos):
        expected = detector(photo)
        assert len(expected) > 1
        for by, pixels, scores in (('images', 1e-3, 1e-5), ('files', 1e-3, 1e-5), ('floats', 0.5, 0.01)):
            count = results[f'{by}_count'][i]
            assert count == len(expected)
            # Scores that are nearly equal may change places.
            distances = np.abs(results[f'{by}_boxes'][i, :count, None] - expected.boxes).max(-1)
            nearest = distances.argmin(0)
            assert sorted(nearest) == list(range(count))
            assert distances.min(0).max() <= pixels
            np.testing.assert_allclose(results[f'{by}_scores'][i, nearest], expected.scores, atol=scores)
            np.testing.assert_array_equal(results[f'{by}_classes'][i, nearest], expected.classes)


@pytest.mark.parametrize('output', ['detections', 'boxes', 'raw'])
@pytest.mark.parametrize('batch_size', [None, 3])
def test_the_detector_of_a_saved_model_is_that_of_its_network(exports, output, batch_size):
    path = exports('letterbox', output=output, batch_size=batch_size)
    photos = [make_photo(i, size) for i, size in enumerate(PHOTO_SIZES)] * 2
    results = load_detector(path, score_threshold=0.3, max_detections=20)(photos)
    for result, expected in zip(results, ours('letterbox')(photos), strict=True):
        assert len(result) == len(expected) > 1
        np.testing.assert_allclose(result.boxes, expected.boxes, atol=1e-2)
        np.testing.assert_allclose(result.scores, expected.scores, atol=1e-5)
        assert result.labels == expected.labels


def test_without_its_json_the_one_inside_is_read(exports, tmp_path):
    shutil.copytree(exports(nms_scope='per_class'), tmp_path / 'other')
    assert load_detector(tmp_path / 'other').classes == CLASSES


def damage_variables(path: pathlib.Path) -> None:
    file = path / 'variables/variables.data-00000-of-00001'
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def cut_graph(path: pathlib.Path) -> None:
    file = path / 'saved_model.pb'
    file.write_bytes(file.read_bytes()[:-1000])


def other_model(path: pathlib.Path) -> None:
    module = tf.Module()
    module.call = tf.function(lambda x: x, input_signature=[tf.TensorSpec((None,))])
    tf.saved_model.save(module, str(path))


def no_description(path: pathlib.Path) -> None:
    pathlib.Path(exported.path_of(str(path))).unlink()
    (path / exported.IN_SAVED_MODEL).unlink()


def damaged_inside(path: pathlib.Path) -> None:
    pathlib.Path(exported.path_of(str(path))).unlink()
    (path / exported.IN_SAVED_MODEL).write_bytes(b'\xff{')


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (damage_variables, 'this SavedModel is damaged'),
        (cut_graph, 'this SavedModel is damaged'),
        (lambda path: (path / 'variables/variables.index').unlink(), 'this SavedModel is damaged'),
        (other_model, 'its signature network_images is not there'),
        (no_description, 'which describes it; export the model again'),
        (damaged_inside, 'not a model that this version exported'),
    ],
)
def test_what_is_damaged_or_not_ours_is_one_line(exports, tmp_path, damage, message):
    source, path = exports(nms_scope='per_class'), str(tmp_path / 'saved_model')
    shutil.copytree(source, path)
    shutil.copy(exported.path_of(source), exported.path_of(path))
    damage(pathlib.Path(path))
    with pytest.raises(ValueError, match=message) as raised:
        load_detector(path)
    assert str(path) in str(raised.value)
    assert '\n' not in str(raised.value)
