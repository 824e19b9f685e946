"""Exports of a grey network: what our detectors and the programs of examples/ find in colour photos with them."""

import pytest
from deployed import LIMITS, SIZE, assert_same, describe_again, draw_photos, load_example
from grey_deployed import expected, export

import yolo
from yolo.detection import exported

SLOW = pytest.mark.slow
CASES = [
    pytest.param('detect_onnx', exported.ONNX, 'boxes', 'onnxruntime', marks=SLOW),
    pytest.param('detect_onnx', exported.ONNX, 'detections', 'onnxruntime', marks=SLOW),
    pytest.param('detect_opencv', exported.ONNX, 'raw', 'opencv', marks=SLOW),
    pytest.param('detect_tflite', exported.TFLITE, 'raw', 'litert', marks=SLOW),
    pytest.param('detect_tflite', exported.TFLITE_FP16, 'boxes', 'litert', marks=SLOW),
    pytest.param('', exported.SAVED_MODEL, 'detections', 'tensorflow', marks=SLOW),
]


def load(path: str, backend: str = ''):
    return yolo.load_detector(
        path,
        score_threshold=LIMITS.score,
        iou_threshold=LIMITS.suppression_iou,
        max_detections=LIMITS.max_detections,
        backend=backend,
    )


def found_by(detector, photo: str) -> list:
    result = detector(photo)
    return list(zip(result.labels, result.scores, result.boxes, strict=True))


@pytest.fixture(scope='module')
def drawn(tmp_path_factory) -> list[str]:
    return draw_photos(tmp_path_factory.mktemp('photos'))


@pytest.mark.parametrize(('example', 'kind', 'output', 'backend'), CASES)
def test_files_of_a_grey_network_find_what_it_finds(example, kind, output, backend, drawn, tmp_path):
    pytest.importorskip('onnx', reason='the extra [export] is not installed')
    path = export(tmp_path, kind, output)
    about = exported.read(path)
    assert about.channels == 1
    assert about.inputs[0].shape[1 if kind == exported.ONNX else 3] == 1
    tolerances = (2.0, 0.01) if kind == exported.TFLITE_FP16 else (0.5, 1e-3)
    number = 0
    for resize in ('stretch', 'letterbox'):
        if kind != exported.SAVED_MODEL:
            describe_again(path, resize=resize)
        detector = load(path, backend)
        for photo in drawn:
            if kind == exported.SAVED_MODEL and resize == 'letterbox':
                continue
            ours = expected(photo, resize)
            number += len(ours)
            assert_same(found_by(detector, photo), ours, *tolerances)
            if example:
                assert_same(load_example(example)(path, photo), ours, *tolerances)
    assert number > 10


@pytest.mark.slow
def test_a_saved_model_turns_the_bytes_of_colour_photos_to_grey(drawn, tmp_path):
    import tensorflow as tf

    signatures = tf.saved_model.load(export(tmp_path, exported.SAVED_MODEL, 'detections')).signatures
    for photo in drawn[:3]:
        with open(photo, 'rb') as file:
            outputs = signatures['image_bytes'](image_bytes=tf.constant([file.read()]))
        count = int(outputs['count'][0])
        labels = [name.decode() for name in outputs['names'][0, :count].numpy()]
        found = list(zip(labels, outputs['scores'][0].numpy(), outputs['boxes'][0].numpy(), strict=False))
        assert_same(found, expected(photo, 'stretch'))


@pytest.mark.slow
@pytest.mark.parametrize('output', ['raw', 'boxes'])
def test_int8_files_of_a_grey_network_are_read_by_the_program_as_by_us(output, drawn, tmp_path):
    path = export(tmp_path, exported.TFLITE_INT8, output)
    about = exported.read(path)
    assert (about.channels, about.inputs[0].dtype, about.inputs[0].shape) == (1, 'uint8', (1, *SIZE, 1))
    detector = load(path)
    found = [load_example('detect_tflite')(path, photo) for photo in drawn]
    for photo, each in zip(drawn, found, strict=True):
        assert_same(each, detector(photo))
    assert sum(map(len, found)) > 20


def test_a_description_of_another_number_of_channels_is_refused(tmp_path):
    pytest.importorskip('onnx', reason='the extra [export] is not installed')
    path = export(tmp_path, exported.ONNX, 'raw')
    describe_again(path, channels=3)
    with pytest.raises(ValueError, match='they differ in channels'):
        load(path)
