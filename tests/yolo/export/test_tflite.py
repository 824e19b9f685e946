"""TFLite files hold the network: against the Keras model with its batch norms, in every format and output."""

import dataclasses

import numpy as np
import pytest
import random_networks
from random_networks import ANCHORS, SIZE
from tflite_exports import CLASSES, draft_of, export

from yolo.detection import exported, host
from yolo.export import draft, tflite
from yolo.export.calibration import Calibration
from yolo.export.tflite_graph import forward
from yolo.models import spec
from yolo.models.build import DarknetModel
from yolo.models.folding import fold

litert_backend = pytest.importorskip('yolo.backends.litert_backend', reason='ai-edge-litert is not installed')
Interpreter = litert_backend.Interpreter
ROWS, COLUMNS = SIZE[0] // 32, SIZE[1] // 32


def relative_difference(values: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, relative to the largest expected value."""
    return float(np.abs(values - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize('name', [pytest.param('yolov2', marks=pytest.mark.slow), 'yolov2-tiny'])
def test_float_files_compute_what_the_model_with_batch_norm_does(name):
    model, images = random_networks.randomized(name), random_networks.images(SIZE, 3)
    expected = model(images).numpy()
    assert expected.std() > 0.1
    data, about = export(model, exported.TFLITE, exported.RAW)
    assert relative_difference(litert_backend.load(data, about)(images)['raw'], expected) <= 1e-5
    assert about.inputs == (exported.Tensor('image', (1, *SIZE, 3), 'float32', about.inputs[0].meaning),)
    assert about.inputs[0].meaning == 'RGB, 0..1, rows from the top: image, row, column, channel'
    shape = (1, ROWS, COLUMNS, len(ANCHORS) * (5 + len(CLASSES)))
    assert about.outputs == (exported.Tensor('raw', shape, 'float32', about.outputs[0].meaning),)

    half, about = export(model, exported.TFLITE_FP16, exported.RAW)
    difference = relative_difference(litert_backend.load(half, about)(images)['raw'], expected)
    assert 1e-6 < difference < 5e-3  # weights have 11 bits
    assert len(half) < 0.75 * len(data)  # in so narrow a network much is not weights


def test_boxes_and_scores_are_those_of_the_host():
    model, images = random_networks.randomized('yolov2-tiny'), random_networks.images(SIZE, 4)
    data, about = export(model, exported.TFLITE, exported.BOXES, batch_size=2)
    assert [tensor.name for tensor in about.outputs] == ['boxes', 'scores']
    number = ROWS * COLUMNS * len(ANCHORS)
    assert [tensor.shape for tensor in about.outputs] == [(2, number, 4), (2, number, len(CLASSES))]
    outputs = litert_backend.load(data, about)(images)
    boxes, scores = host.decode(model(images).numpy(), ANCHORS)
    np.testing.assert_allclose(outputs['boxes'], boxes, atol=1e-4)
    np.testing.assert_allclose(outputs['scores'], scores, atol=1e-4)
    assert outputs['scores'].std() > 0.01


@pytest.mark.parametrize('kind', [exported.TFLITE, pytest.param(exported.TFLITE_FP16, marks=pytest.mark.slow)])
def test_the_same_network_gives_the_same_bytes(kind):
    model = random_networks.randomized('yolov2-tiny')
    assert export(model, kind, exported.BOXES) == export(model, kind, exported.BOXES)


def tensors_of(data: bytes) -> list[tuple[str, list[dict], list[dict]]]:
    """The operations of a file in order: name, the tensors that each reads, and those that it writes."""
    interpreter = Interpreter(model_content=data)
    tensors = {tensor['index']: tensor for tensor in interpreter.get_tensor_details()}
    return [
        (op['op_name'], [tensors[i] for i in op['inputs'] if i >= 0], [tensors[i] for i in op['outputs']])
        for op in interpreter._get_ops_details()
    ]


def dtypes(tensors: list[dict]) -> set[str]:
    return {np.dtype(tensor['dtype']).name for tensor in tensors}


@pytest.mark.slow
@pytest.mark.parametrize('name', ['yolov2', 'yolov2-tiny'])
def test_an_int8_file_has_integers_alone_and_a_scale_for_each_filter(name):
    model, images = random_networks.randomized(name), random_networks.images(SIZE, 8, 7)
    data, about = export(
        model, exported.TFLITE_INT8, exported.RAW, calibration=Calibration(random_networks.images(SIZE, 16))
    )
    operations = tensors_of(data)
    for op, inputs, outputs in operations:
        assert dtypes(inputs + outputs) <= {'int8', 'uint8', 'int32'}, op
    convolutions = [inputs for op, inputs, _ in operations if op == 'CONV_2D']
    scales = [kernel['quantization_parameters']['scales'] for _, kernel, _ in convolutions]
    assert sorted(map(len, scales)) == sorted(layer.filters for _, layer, _ in model.convolutions())
    assert all(len(set(each.tolist())) > 1 for each in scales)

    (image,), (raw,) = about.inputs, about.outputs
    assert (image.dtype, image.zero_point, raw.dtype) == ('uint8', 0, 'int8')
    assert image.scale == pytest.approx(1 / 255)
    values, expected = litert_backend.load(data, about)(images)['raw'], model(images).numpy()
    expected[..., 5:] -= expected[..., 5:].mean(-1, keepdims=True)  # which softmax does not see
    assert np.sqrt(np.mean((values - expected) ** 2)) < 0.08 * expected.std()
    assert np.abs(values - expected).max() < 0.1 * np.abs(expected).max()
    assert len(np.unique(values)) > 100  # of 256 steps


@pytest.mark.slow
def test_boxes_of_an_int8_file_are_decoded_in_floats():
    model, images = random_networks.randomized('yolov2-tiny'), random_networks.images(SIZE, 8, 7)
    calibration = Calibration(random_networks.images(SIZE, 16), 'int8')
    data, about = export(model, exported.TFLITE_INT8, exported.BOXES, calibration=calibration)
    assert [(each.dtype, each.scale) for each in about.outputs] == [('float32', None)] * 2
    assert (about.inputs[0].dtype, about.inputs[0].zero_point) == ('int8', -128)
    in_floats = [op for op, inputs, outputs in tensors_of(data) if 'float32' in dtypes(outputs)]
    assert 'CONV_2D' not in in_floats
    assert in_floats.count('EXP') == 4  # xy, wh, objectness and classes
    assert not {'LOGISTIC', 'SOFTMAX'} & {op for op, _, _ in tensors_of(data)}  # which would be in integers

    raw, of_raw = export(model, exported.TFLITE_INT8, exported.RAW, calibration=calibration)
    boxes, scores = host.decode(litert_backend.load(raw, of_raw)(images)['raw'], ANCHORS)
    outputs = litert_backend.load(data, about)(images)
    np.testing.assert_allclose(outputs['boxes'], boxes, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(outputs['scores'], scores, atol=1e-5)
    assert scores.std() > 0.05


@pytest.mark.slow
def test_the_same_calibration_gives_the_same_int8_file():
    model, calibration = random_networks.randomized('yolov2-tiny'), Calibration(random_networks.images(SIZE, 6))
    files = [export(model, exported.TFLITE_INT8, exported.RAW, calibration=calibration) for _ in range(2)]
    assert files[0] == files[1]


def test_int8_needs_images_of_its_size():
    model = random_networks.randomized('yolov2-tiny')
    with pytest.raises(ValueError, match='tflite_int8 needs images for its calibration'):
        export(model, exported.TFLITE_INT8, exported.RAW)
    with pytest.raises(ValueError, match=r'calibration images are uint8 of shape \(2, 32, 32, 3\)'):
        export(model, exported.TFLITE_INT8, exported.RAW, calibration=Calibration(np.zeros((2, 32, 32, 3), np.uint8)))


def test_sections_of_other_detectors_are_computed_as_by_keras():
    network = spec.Network(
        (
            spec.Convolution(4, 3, stride=2, padding=2, activation='relu'),
            spec.MaxPool(3, 2, padding=2),
            spec.MaxPool(3, 1, padding=2),
            spec.Convolution(8, 1, padding=0, activation='logistic'),
            spec.MaxPool(2, 2, padding=0),
            spec.Convolution(8, 3, stride=2, padding=1),
            spec.Reorg(2),
            spec.Route((-2,)),
            spec.Reorg(2),
            spec.Convolution(8, 1, padding=0),
            spec.Route((-1, -4)),
            spec.Convolution(16, 1, padding=0, norm=False, activation='linear'),
            spec.make_region(ANCHORS, 3),
        ),
        SIZE,
    )
    model, images = DarknetModel(network), random_networks.images(SIZE, 2).astype(np.float32) / 255
    folded = draft.at_size(fold(model), SIZE)
    expected = model(images).numpy()
    raw = forward(folded, images).numpy().reshape(expected.shape)
    assert relative_difference(raw, expected) < 1e-5
    assert expected.std() > 1e-4


def test_what_cannot_be_exported_is_said():
    model = random_networks.randomized('yolov2-tiny')
    folded = fold(model)
    sections = (*folded.network.sections[:-1], spec.Softmax(), folded.network.sections[-1])
    odd = dataclasses.replace(folded, network=dataclasses.replace(folded.network, sections=sections, image_size=SIZE))
    with pytest.raises(ValueError, match=r'section 15: a \[softmax\]'):
        tflite.build(odd, draft_of(folded, exported.TFLITE, exported.RAW))


@pytest.mark.slow
def test_the_description_of_a_grey_model_says_so():
    network = dataclasses.replace(random_networks.randomized('yolov2-tiny').network, channels=1)
    _, about = export(DarknetModel(network), exported.TFLITE, exported.RAW)
    assert about.inputs[0].shape == (1, *SIZE, 1)
    assert about.inputs[0].meaning == 'grey, 0..1, rows from the top: image, row, column, channel'
