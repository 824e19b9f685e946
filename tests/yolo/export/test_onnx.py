"""ONNX files: what three runtimes compute from them, against the exported network and Darknet's own numbers."""

import dataclasses
import json

import cv2
import keras
import numpy as np
import pytest
import random_networks
from conftest import DATA
from random_networks import SIZE, randomized

import yolo
from yolo.backends import runtimes
from yolo.detection import exported, host
from yolo.detection.exported import Exported, Tensor
from yolo.export import draft, exporting
from yolo.models import build as models_build
from yolo.models.architectures import build_spec
from yolo.models.build import DarknetModel
from yolo.models.folding import FoldedNetwork, fold
from yolo.models.model_folder import ModelInfo
from yolo.models.spec import (
    AveragePool,
    Convolution,
    MaxPool,
    Network,
    Reorg,
    Route,
    Section,
    SectionError,
    make_region,
    shapes,
)

onnx = pytest.importorskip('onnx', reason='the extra [export] is not installed')
onnx_file = pytest.importorskip('yolo.export.onnx_file')

NAMES = 'yolov2', 'yolov2-tiny'
LIMITS = host.Thresholds(0.05, 0.45, 16)  # fewer detections than there are in some images


def build(model: DarknetModel, output: str, size=SIZE, batch_size=None, scope='per_class') -> tuple[bytes, Exported]:
    """An ONNX file of a model, and its description."""
    folded = fold(model)
    options = draft.Options(
        output, size, batch_size, LIMITS.score, LIMITS.suppression_iou, LIMITS.max_detections, scope
    )
    about = draft.make(folded, ModelInfo((), 'stretch'), exported.ONNX, options)
    return onnx_file.build(draft.at_size(folded, size), about)


def run(data: bytes, about: Exported, runtime: str, images: np.ndarray) -> dict[str, np.ndarray]:
    if not runtimes.is_installed(runtime):
        pytest.skip(f'{runtime} is not installed')
    return runtimes.module_of(runtime).load(data, about)(images)


def assert_close(result, expected, tolerance=1e-5) -> None:
    """Equal within a part of the largest value."""
    expected = np.asarray(expected)
    assert result.shape == expected.shape
    assert np.abs(result - expected).max() <= tolerance * np.abs(expected).max()


@pytest.fixture(scope='module', params=NAMES)
def model(request) -> DarknetModel:
    return randomized(request.param)


@pytest.mark.parametrize('batch_size', [None, 1, 2])
@pytest.mark.parametrize('runtime', runtimes.READ_ONNX)
def test_raw_is_that_of_the_unfolded_network(model, runtime, batch_size):
    images = random_networks.images(SIZE, 3)
    data, about = build(model, 'raw', SIZE, batch_size)
    onnx.checker.check_model(data, full_check=True)
    result = run(data, about, runtime, images)
    assert_close(result['raw'], model(images))


@pytest.mark.parametrize('runtime', runtimes.READ_ONNX)
def test_boxes_are_those_of_the_host(model, runtime):
    for size in (SIZE, (96, 32)):
        images = random_networks.images(size, 2)
        data, about = build(model, 'boxes', size)
        onnx.checker.check_model(data, full_check=True)
        result = run(data, about, runtime, images)
        boxes, scores = host.decode(model(images).numpy(), about.anchors)
        assert_close(result['boxes'], boxes)
        assert_close(result['scores'], scores)


@pytest.mark.parametrize('scope', ['per_class', 'all_classes'])
@pytest.mark.parametrize('batch_size', [None, 2])
@pytest.mark.parametrize('runtime', [runtimes.ONNXRUNTIME, runtimes.OPENVINO])
def test_detections_are_those_of_the_host(model, runtime, batch_size, scope):
    images = random_networks.images((96, 96), 3)
    images[1:] = np.array([0, 180], np.uint8)[:, None, None, None]  # have other numbers of detections
    data, about = build(model, 'detections', (96, 96), batch_size, scope)
    onnx.checker.check_model(data, full_check=True)
    limits = dataclasses.replace(LIMITS, nms_scope=scope)
    expected = host.detect(
        {'raw': model(images).numpy()}, about.anchors, dataclasses.replace(limits, max_detections=99)
    )
    assert expected['count'].max() > LIMITS.max_detections >= expected['count'].min() or scope == 'per_class'
    result = run(data, about, runtime, images)
    np.testing.assert_array_equal(result['count'], np.minimum(expected['count'], LIMITS.max_detections))
    result = host.detect(result, about.anchors, limits)
    for name in ('boxes', 'scores', 'classes'):
        np.testing.assert_allclose(result[name], expected[name][:, : LIMITS.max_detections], atol=1e-5)


@pytest.mark.parametrize('runtime', [runtimes.ONNXRUNTIME, runtimes.OPENVINO])
def test_an_image_with_nothing_in_it_has_no_detections(runtime):
    model = randomized('yolov2-tiny')
    last = model.convolutions()[-1][1]
    bias = last.bias.numpy()
    bias.reshape(2, 8)[:, 4] = -50  # objectness
    last.bias.assign(bias)
    result = run(*build(model, 'detections'), runtime, random_networks.images(SIZE, 2))
    assert result['count'].tolist() == [0, 0]
    assert result['boxes'].shape == (2, LIMITS.max_detections, 4)


@pytest.mark.parametrize('runtime', runtimes.READ_ONNX)
@pytest.mark.parametrize('name', ['yolov2-w16', 'yolov2-tiny-w16'])
def test_raw_is_darknets(name, runtime):
    """Darknet's numbers are of images in float, which are put in behind the conversion of bytes."""
    model = yolo.load_darknet(str(DATA / f'darknet/{name}.cfg'), str(DATA / f'darknet/{name}.weights'))
    golden = np.load(DATA / f'darknet/{name}.npz')
    data, about = build(model, 'raw', golden['image'].shape[1:3])
    if not runtimes.is_installed(runtime):
        pytest.skip(f'{runtime} is not installed')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('yolo.backends.onnx_values.to_planes', lambda x: np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
        raw = runtimes.module_of(runtime).load(data, about)(golden['image'])['raw']
    np.testing.assert_allclose(raw, golden['raw'], rtol=0, atol=5e-5)


def random_sections(rng: np.random.Generator) -> Network:
    """A network of sections of all kinds that a detector may have, with odd sizes, strides and paddings."""
    sections: list[Section] = [Convolution(8, 3, 1, 1)]
    while len(sections) < 9:
        size = int(rng.integers(1, 5))
        section: Section = [
            Convolution(
                int(rng.integers(1, 5)) * 4,
                size,
                int(rng.integers(1, 3)),
                int(rng.integers(0, min(size, 3))),
                bool(rng.integers(2)),
                str(rng.choice(['leaky', 'relu', 'logistic', 'linear'])),
            ),
            MaxPool(size, int(rng.integers(1, 3)), int(rng.integers(0, size))),
            Route((-1, int(rng.integers(-len(sections), 0)))),
            Reorg(2),
        ][rng.integers(4)]
        try:
            shapes(Network((*sections, section), (38, 50)))
        except SectionError:
            continue
        sections.append(section)
    region = make_region(random_networks.ANCHORS, 3)
    return Network((*sections, Convolution(region.channels, 1, 1, 0, False, 'linear'), region), (38, 50))


@pytest.mark.parametrize('seed', range(6))
def test_random_networks_of_all_sections(seed):
    network = random_sections(np.random.default_rng(seed))
    model = randomized(network, seed)
    images = random_networks.images(network.image_size, 2)
    data, about = build(model, 'raw', network.image_size)
    for runtime in filter(runtimes.is_installed, runtimes.READ_ONNX):
        assert_close(run(data, about, runtime, images)['raw'], model(images), 1e-4)


def test_all_kinds_of_sections_are_among_the_random_ones():
    sections = [each for seed in range(6) for each in random_sections(np.random.default_rng(seed)).sections]
    assert {Convolution, MaxPool, Route, Reorg} <= {type(each) for each in sections}


def test_pooling_pads_as_darknet():
    """Also where a stride of 1 needs a row and a column at the end, and where a whole window is padding."""
    x = np.random.default_rng(0).normal(-5, 1, (1, 7, 8, 2)).astype(np.float32)  # below 0, so that zeros would win
    for size, stride, padding in POOLS:
        inputs = keras.Input((None, None, 2))
        section = MaxPool(size, stride, padding)
        expected = keras.Model(inputs, models_build._build_section(section, 0, inputs, []))(x).numpy()
        for runtime in filter(runtimes.is_installed, runtimes.READ_ONNX):
            result = compute_pool(section, x, runtime)
            np.testing.assert_array_equal(result, expected, err_msg=f'{runtime} {size} {stride} {padding}')


def test_padded_convolutions_of_size_1_with_a_stride():
    """OpenVINO 2026.4 gives other numbers, and another shape, for two of them as ONNX has them."""
    strided = Convolution(8, 1, 2, 1, False, 'relu')
    region = make_region(random_networks.ANCHORS, 3)
    head = Convolution(region.channels, 1, 1, 0, False, 'linear'), region
    model = randomized(Network((Convolution(8, 3, 1, 1), strided, strided, *head), (38, 50)))
    images = random_networks.images((38, 50), 2)
    data, about = build(model, 'raw', (38, 50))
    for runtime in filter(runtimes.is_installed, runtimes.READ_ONNX):
        assert_close(run(data, about, runtime, images)['raw'], model(images))


POOLS = (2, 2, 1), (2, 1, 1), (3, 2, 2), (3, 1, 2), (5, 3, 4), (2, 2, 0), (3, 1, 0), (2, 2, 5)


def compute_pool(section: MaxPool, x: np.ndarray, runtime: str) -> np.ndarray:
    """What a runtime computes for the nodes of one section, from and to channels last."""
    graph = onnx_file.Graph()
    graph.rename(onnx_file._write_pool(graph, section, 0, 'image', x.shape[1:]), 'grid')
    rows, columns, channels = shapes(Network((section,), x.shape[1:3]))[0][:2] + x.shape[3:]
    described = FoldedNetwork(build_spec('yolov2-tiny', 3, random_networks.ANCHORS), {})
    about = dataclasses.replace(
        draft.make(described, ModelInfo((), 'stretch'), exported.ONNX, draft.Options('raw', SIZE)),
        inputs=(Tensor('image', (1, channels, *x.shape[1:3]), 'float32', ''),),
        outputs=(Tensor('grid', (1, channels, rows, columns), 'float32', ''),),
    )
    data = onnx_file._make_model(graph, about).SerializeToString()
    planes = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    if runtime == runtimes.ONNXRUNTIME:
        import onnxruntime

        result = onnxruntime.InferenceSession(data).run(None, {'image': planes})[0]
    elif runtime == runtimes.OPENVINO:
        import openvino

        result = openvino.Core().compile_model(openvino.Core().read_model(data), 'CPU')(planes)[0]
    else:
        network = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
        network.setInput(planes)
        result = network.forward()
    return result.transpose(0, 2, 3, 1)


def test_the_same_network_gives_the_same_bytes_and_says_what_it_is():
    data, about = build(randomized('yolov2-tiny'), 'boxes', batch_size=1)
    assert build(randomized('yolov2-tiny'), 'boxes', batch_size=1)[0] == data
    model = onnx.load_model_from_string(data)
    metadata = {each.key: each.value for each in model.metadata_props}
    assert exported.parse(metadata['yolo'], 'there') == about
    assert json.loads(metadata['yolo'])['classes'] == ['class 0', 'class 1', 'class 2']
    assert metadata['names'] == "{0: 'class 0', 1: 'class 1', 2: 'class 2'}"
    assert [(each.name, each.shape) for each in (*about.inputs, *about.outputs)] == [
        ('image', (1, 3, 64, 96)),
        ('boxes', (1, 12, 4)),
        ('scores', (1, 12, 3)),
    ]
    sides = [side.dim_value for side in model.graph.input[0].type.tensor_type.shape.dim]
    assert sides == [1, 3, 64, 96]


def test_what_no_detector_has_is_refused_by_number():
    model = randomized('yolov2-tiny')
    folded, about = (
        fold(model),
        draft.make(fold(model), ModelInfo((), 'stretch'), exported.ONNX, draft.Options('raw', SIZE)),
    )
    sections = (*folded.network.sections[:3], AveragePool(), *folded.network.sections[3:])
    other = dataclasses.replace(folded.network, sections=sections)
    with pytest.raises(ValueError, match='section 3, AveragePool: no detector has it'):
        onnx_file._write_sections(onnx_file.Graph(), FoldedNetwork(other, folded.weights))
    large = Network((Convolution(1 << 15, 3), Convolution(1 << 14, 3)))
    with pytest.raises(ValueError, match=r'its weights have 19\.3 GB: an ONNX file holds at most 2\.1 GB'):
        onnx_file.build(FoldedNetwork(large, {}), about)


def test_the_export_is_a_file_with_its_description(tmp_path):
    plan = exporting.make_plan(('onnx',), draft.Options(''))
    folded, info = fold(randomized('yolov2-tiny')), ModelInfo(('a', 'b', 'c'), 'letterbox')
    assert exporting.export(folded, info, plan, str(tmp_path)) == [
        str(tmp_path / 'labels.txt'),
        str(tmp_path / 'model.onnx'),
    ]
    about = exported.read(str(tmp_path / 'model.onnx'))
    assert (about.output, about.batch_size, about.resize, about.classes) == ('boxes', 1, 'letterbox', ('a', 'b', 'c'))
    onnx.checker.check_model(str(tmp_path / 'model.onnx'), full_check=True)
