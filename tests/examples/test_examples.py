"""The programs of examples/ find what our detector finds, and need nothing of this project."""

import ast
import itertools
import re
import subprocess
import sys

import cv2
import deployed
import numpy as np
import pytest
from conftest import REALDATA, ROOT
from deployed import CLASSES, assert_same, describe_again, draw_photos, expected, export, load_example

import yolo
from yolo.backends import runtimes
from yolo.detection import exported, host

EXAMPLES = sorted((ROOT / 'examples').glob('detect*'))
RUNTIMES = {'detect_onnx': 'onnxruntime', 'detect_opencv': 'opencv', 'detect_tflite': 'litert'}
OPENCV_5 = ROOT / '.venv-opencv5' / 'bin' / 'python'
SLOW = pytest.mark.slow
CASES = [
    ('detect_onnx', exported.ONNX, 'raw'),
    ('detect_onnx', exported.ONNX, 'boxes'),
    ('detect_onnx', exported.ONNX, 'detections'),
    ('detect_opencv', exported.ONNX, 'raw'),
    ('detect_opencv', exported.ONNX, 'boxes'),
    ('detect_tflite', exported.TFLITE, 'raw'),
    pytest.param('detect_tflite', exported.TFLITE, 'boxes', marks=SLOW),
    pytest.param('detect_tflite', exported.TFLITE_FP16, 'boxes', marks=SLOW),
]


def needs(name: str) -> None:
    """Skips a test where the runtime of an example, or the package that writes its files, is missing."""
    if RUNTIMES[name] != 'litert':
        pytest.importorskip('onnx', reason='the extra [export] is not installed')
    if not runtimes.is_installed(RUNTIMES[name]):
        pytest.skip(f'{RUNTIMES[name]} is not installed')


@pytest.fixture(scope='module')
def drawn(tmp_path_factory) -> list[str]:
    return draw_photos(tmp_path_factory.mktemp('photos'))


@pytest.fixture(scope='module')
def file(tmp_path_factory):
    """The exported file of a format and an output, made once."""
    files: dict[tuple[str, str], str] = {}

    def get(kind: str, output: str) -> str:
        if (kind, output) not in files:
            files[kind, output] = export(tmp_path_factory.mktemp(f'{kind}_{output}'), kind, output)
        return files[kind, output]

    return get


@pytest.mark.parametrize('path', EXAMPLES, ids=lambda path: path.name)
def test_examples_are_short(path):
    assert len(path.read_text().splitlines()) <= 80


@pytest.mark.parametrize('name', RUNTIMES)
def test_examples_import_their_runtime_and_little_else(name):
    imported = set()
    for node in ast.walk(ast.parse((ROOT / 'examples' / f'{name}.py').read_text())):
        if isinstance(node, ast.Import):
            imported.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module)
    runtime = {'detect_onnx': {'onnxruntime'}, 'detect_tflite': {'ai_edge_litert.interpreter'}}.get(name, set())
    assert imported == {'argparse', 'json', 'cv2', 'numpy'} | runtime


def test_the_page_loads_nothing_from_elsewhere():
    text = (ROOT / 'examples' / 'detect.html').read_text()
    assert re.findall(r'src="([^"]*)"', text) == ['node_modules/onnxruntime-web/dist/ort.wasm.min.js']
    assert 'https://' not in text


@pytest.mark.parametrize('resize', ['stretch', 'letterbox'])
@pytest.mark.parametrize(('name', 'kind', 'output'), CASES)
def test_examples_find_what_the_network_finds(name, kind, output, resize, drawn, file):
    needs(name)
    path = file(kind, output)
    describe_again(path, resize=resize)
    tolerances = (2.0, 0.01) if kind == exported.TFLITE_FP16 else (0.5, 1e-3)
    all_found = []
    for photo in drawn:
        found = load_example(name)(path, photo)
        assert_same(found, expected(photo, resize), *tolerances)
        all_found += found
    assert len(all_found) > 20
    assert {each[0] for each in all_found} == set(CLASSES)


@pytest.mark.parametrize('name', RUNTIMES)
def test_boxes_of_darknets_end_a_pixel_later(name, drawn, file):
    needs(name)
    path = file(exported.TFLITE if name == 'detect_tflite' else exported.ONNX, 'raw')
    photo = drawn[0]
    describe_again(path, resize='letterbox', box_convention='darknet')
    found = load_example(name)(path, photo)
    describe_again(path, box_convention='voc')
    detector = deployed.detector('letterbox')
    detector.box_convention = 'darknet'
    assert_same(found, detector(photo), 0.05)
    assert np.abs(np.subtract(detector(photo).boxes, expected(photo, 'letterbox').boxes)).max() > 0.9


@pytest.mark.parametrize('name', ['detect_onnx', 'detect_opencv'])
@pytest.mark.parametrize('changed', [{'nms_scope': 'all_classes'}, {'score': 0.4}, {'suppression_iou': 0.05}])
def test_thresholds_are_those_of_the_description(name, changed, drawn, file):
    needs(name)
    path, limits = file(exported.ONNX, 'raw'), host.Thresholds(**{'score': 0.1, 'max_detections': 9, **changed})
    before = exported.read(path)
    describe_again(
        path,
        resize='stretch',
        score_threshold=limits.score,
        nms_iou=limits.suppression_iou,
        nms_scope=limits.nms_scope,
        max_detections=limits.max_detections,
    )
    results = [load_example(name)(path, photo) for photo in drawn]
    exported.write(path, before)
    for photo, found in zip(drawn, results, strict=True):
        assert_same(found, expected(photo, 'stretch', limits))
    assert [len(found) for found in results] != [len(expected(photo, 'stretch')) for photo in drawn]


@pytest.mark.slow
@pytest.mark.parametrize('output', ['raw', 'boxes'])
@pytest.mark.parametrize('resize', ['stretch', 'letterbox'])
def test_int8_files_give_the_same_as_our_detector_of_the_file(output, resize, drawn, file):
    """What integers cost is measured in benchmarks/; here the program must read them as we do."""
    needs('detect_tflite')
    path = file(exported.TFLITE_INT8, output)
    describe_again(path, resize=resize)
    about = exported.read(path)
    assert about.inputs[0].dtype == 'uint8'
    ours = yolo.load_detector(
        path,
        score_threshold=about.score_threshold,
        iou_threshold=about.nms_iou,
        max_detections=about.max_detections,
    )
    found = [load_example('detect_tflite')(path, photo) for photo in drawn]
    for photo, each in zip(drawn, found, strict=True):
        assert_same(each, ours(photo))
    assert sum(map(len, found)) > 20


@pytest.mark.slow
@pytest.mark.parametrize('name', ['detect_onnx', 'detect_opencv'])
@pytest.mark.parametrize('output', ['raw', 'boxes'])
def test_files_for_several_images_take_one_photo(name, output, drawn, tmp_path):
    needs(name)
    path = export(tmp_path, exported.ONNX, output, batch_size=3)
    assert_same(load_example(name)(path, drawn[0]), expected(drawn[0], 'stretch'))


@pytest.mark.realdata
@pytest.mark.parametrize('resize', ['stretch', 'letterbox'])
@pytest.mark.parametrize(('name', 'kind', 'output'), [CASES[0], CASES[1], CASES[3], CASES[5]])
def test_examples_find_the_same_in_real_photos(name, kind, output, resize, file):
    needs(name)
    path = file(kind, output)
    describe_again(path, resize=resize)
    photos = [
        str(photo) for folder in ('bccd', 'raccoon') for photo in sorted((REALDATA / folder).rglob('*.jp*g'))[:40:5]
    ]
    assert len(photos) == 16
    found = [load_example(name)(path, photo) for photo in photos]
    for photo, each in zip(photos, found, strict=True):
        assert_same(each, expected(photo, resize))
    assert sum(map(len, found)) > 50


PROGRAM = """
import runpy, sys
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
loaded = {name.partition('.')[0] for name in sys.modules}
assert not loaded & {'tensorflow', 'keras', 'yolo', 'preprocess', 'train'}, loaded
"""


def run_example(python: str, name: str, *words: str) -> list[tuple[str, float, list[float]]]:
    """What a program prints, in a process that sees nothing of this project."""
    command = [python, '-I', '-c', PROGRAM, str(ROOT / 'examples' / f'{name}.py'), *words]
    done = subprocess.run(command, capture_output=True, text=True, encoding='utf-8', check=False, cwd='/')
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    return [(label, float(score), [float(side) for side in sides]) for label, score, *sides in lines]


@pytest.mark.slow
@pytest.mark.parametrize(
    ('name', 'kind'),
    [('detect_onnx', exported.ONNX), ('detect_opencv', exported.ONNX), ('detect_tflite', exported.TFLITE)],
)
def test_programs_run_without_tensorflow_and_this_project(name, kind, drawn, file, tmp_path):
    needs(name)
    path = file(kind, 'raw')
    describe_again(path, resize='letterbox')
    for number, photo in enumerate(drawn[:4:3]):  # the second is turned by EXIF
        out = tmp_path / f'{number}.png'
        assert_same(run_example(sys.executable, name, path, photo, f'--out={out}'), expected(photo, 'letterbox'))
        before, after = cv2.imread(photo), cv2.imread(str(out))
        assert before.shape == after.shape
        assert np.any(before != after)


@pytest.mark.slow
@pytest.mark.skipif(not OPENCV_5.exists(), reason='OpenCV 5 has an environment of its own: make tests-opencv5')
def test_the_program_for_opencv_runs_with_opencv_5(drawn, file):
    needs('detect_opencv')
    for output, resize in itertools.product(('raw', 'boxes'), ('stretch', 'letterbox')):
        path = file(exported.ONNX, output)
        describe_again(path, resize=resize)
        assert_same(run_example(str(OPENCV_5), 'detect_opencv', path, drawn[0]), expected(drawn[0], resize))


@pytest.mark.parametrize('name', RUNTIMES)
def test_a_photo_that_is_none_is_said(name, tmp_path, file):
    needs(name)
    path = file(exported.TFLITE if name == 'detect_tflite' else exported.ONNX, 'raw')
    (tmp_path / 'text.jpg').write_text('no photo')
    for photo in ('text.jpg', 'missing.jpg'):
        with pytest.raises(SystemExit, match=f'{photo}: no such file, or not an image'):
            load_example(name)(path, str(tmp_path / photo))
