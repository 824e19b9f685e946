"""Networks and weights against what Darknet itself computed, and against OpenCV's reader of its files."""

import pathlib

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import DATA

import yolo
from yolo.models import architectures, build, cfg, spec
from yolo.models.build import DarknetModel
from yolo.models.spec import MaxPool

GOLDEN = DATA / 'darknet'
NAMES = ('yolov2-w16', 'yolov2-tiny-w16')


def golden(name: str):
    return np.load(GOLDEN / f'{name}.npz')


def with_old_header(path: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """The same weights as a file of version 0.1, whose `seen` has four bytes."""
    data = path.read_bytes()
    seen = np.frombuffer(data, '<i8', 1, 12).astype('<i4')
    old = folder / 'old.weights'
    old.write_bytes(np.array([0, 1, 0], '<i4').tobytes() + seen.tobytes() + data[20:])
    return old


@pytest.mark.parametrize('header', ['20 bytes', '16 bytes'])
@pytest.mark.parametrize('name', NAMES)
def test_raw_is_darknets(name, header, tmp_path):
    path = GOLDEN / f'{name}.weights'
    path = path if header == '20 bytes' else with_old_header(path, tmp_path)
    model = yolo.load_darknet(str(GOLDEN / f'{name}.cfg'), str(path))
    expected = golden(name)
    np.testing.assert_allclose(model(expected['image']), expected['raw'], rtol=0, atol=5e-5)
    assert model.seen == 32_013_312


@pytest.mark.parametrize('name', NAMES)
def test_decoding_is_darknets_region_layer(name):
    model = yolo.load_darknet(str(GOLDEN / f'{name}.cfg'), str(GOLDEN / f'{name}.weights'))
    expected = golden(name)
    boxes, objectness, classes = yolo.decode(model(expected['image']), model.network.region.anchors)
    region = expected['region']  # sigmoid x, y in the cell; w, h as they are; objectness; class probabilities
    np.testing.assert_allclose(objectness, region[..., 4], rtol=0, atol=5e-5)
    np.testing.assert_allclose(classes, region[..., 5:], rtol=0, atol=5e-5)
    rows, columns = region.shape[1:3]
    corner = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1)[:, :, None]
    centre = (region[..., :2] + corner) / [columns, rows]
    size = np.exp(region[..., 2:4]) * np.array(model.network.region.anchors) / [columns, rows]
    np.testing.assert_allclose(boxes, np.concatenate([centre - size / 2, centre + size / 2], -1), rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize('name', NAMES)
def test_network_weights_and_loss_together_give_darknets_deltas(name):
    """The gradient of the loss by raw is minus the delta of Darknet's region layer."""
    model = yolo.load_darknet(str(GOLDEN / f'{name}.cfg'), str(GOLDEN / f'{name}.weights'))
    expected = golden(name)
    x, y, w, h, k = np.moveaxis(expected['truth'], -1, 0)
    boxes = np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], -1).astype(np.float32)
    labels = np.where(w > 0, k, -1).astype(np.int32)
    for seen, delta in ((0, 'delta_early'), (20_000, 'delta_late')):
        raw = model(expected['image'])
        with tf.GradientTape() as tape:
            tape.watch(raw)
            loss = yolo.region_loss(raw, boxes, labels, model.network.region.anchors, seen)
        np.testing.assert_allclose(-tape.gradient(loss, raw), expected[delta], rtol=0, atol=1e-4)


@pytest.mark.parametrize('name', NAMES)
def test_round_trip_is_the_same_bytes(name, tmp_path):
    model = yolo.load_darknet(str(GOLDEN / f'{name}.cfg'), str(GOLDEN / f'{name}.weights'))
    model.save(tmp_path / 'm.keras')
    again = keras.models.load_model(tmp_path / 'm.keras')
    for which, each in (('direct', model), ('through .keras', again)):
        yolo.save_darknet(each, str(tmp_path / 'a.cfg'), str(tmp_path / 'a.weights'))
        assert (tmp_path / 'a.weights').read_bytes() == (GOLDEN / f'{name}.weights').read_bytes(), which
        assert cfg.read(str(tmp_path / 'a.cfg')) == cfg.read(str(GOLDEN / f'{name}.cfg')), which
    assert again.network.options == model.network.options
    assert ('momentum', '0.9') in again.network.options


def test_opencv_reads_what_is_written_of_a_trained_network(tmp_path):
    """OpenCV's own reader of Darknet's files, on weights and statistics that training moved."""
    rng = np.random.default_rng(0)
    images = rng.random((2, 96, 64, 3), np.float32)
    for name in architectures.MODELS:
        model = DarknetModel(architectures.build_spec(name, 3, [(0.5, 1), (2, 1.5), (1, 1)], 1 / 8, (96, 64)))
        optimizer = keras.optimizers.SGD(1e-3)
        for _ in range(5):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(model(images, training=True) ** 2)
            optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        yolo.save_darknet(model, str(tmp_path / 'm.cfg'), str(tmp_path / 'm.weights'))
        raw = model(images).numpy()
        theirs = opencv_raw(tmp_path / 'm.cfg', tmp_path / 'm.weights', images).reshape(raw.shape)
        np.testing.assert_allclose(theirs, raw, rtol=0, atol=1e-3 * np.abs(raw).max())
        assert np.abs(raw).max() > 1e-3


def opencv_raw(cfg_path, weights_path, images: np.ndarray) -> np.ndarray:
    net = cv2.dnn.readNetFromDarknet(str(cfg_path), str(weights_path))
    net.enableFusion(False)
    net.setInput(images.transpose(0, 3, 1, 2))
    last = [name for name in net.getLayerNames() if name.startswith('conv')][-1]
    return net.forward(last).transpose(0, 2, 3, 1)


CLASSIFIER = """
[net]
height=64
width=32
channels=3
# a comment
[convolutional]
batch_normalize=1
filters = 4
size=3
stride=2
pad=1
activation=leaky
[maxpool]
size=3
stride=2
[convolutional]
filters=6
size=2
padding=1
activation=relu
[convolutional]
filters=5
activation=logistic
[avgpool]
[softmax]
groups=1
[cost]
type=sse
"""


def test_a_classifier_is_opencvs(tmp_path):
    (tmp_path / 'c.cfg').write_text(CLASSIFIER)
    model = yolo.load_darknet(str(tmp_path / 'c.cfg'))
    yolo.save_darknet(model, str(tmp_path / 'd.cfg'), str(tmp_path / 'd.weights'))
    assert cfg.read(str(tmp_path / 'd.cfg')) == cfg.read(str(tmp_path / 'c.cfg')) == model.network
    images = np.random.default_rng(0).random((2, 64, 32, 3), np.float32)
    probabilities = model(images)
    assert probabilities.shape == (2, 5)
    np.testing.assert_allclose(np.sum(probabilities, -1), 1, atol=1e-5)
    assert [shape[:2] for shape in spec.shapes(model.network)] == [
        (32, 16),
        (16, 8),
        (17, 9),
        (17, 9),
        (1, 1),
        (1, 1),
        (1, 1),
    ]
    assert model.get_layer('pool_1').output.shape[-1] == 4


def test_pooling_pads_as_darknet():
    """(n + padding - size) / stride + 1 outputs from row -(padding / 2) on. (Darknet src/maxpool_layer.c)"""
    rng = np.random.default_rng(0)
    x = rng.normal(-5, 1, (1, 7, 8, 2)).astype(np.float32)  # below 0, so that zeros as padding would win
    for size, stride, padding in ((2, 2, 1), (2, 1, 1), (3, 2, 2), (3, 1, 2), (5, 3, 4), (2, 2, 0), (3, 1, 0)):
        images, outputs = keras.Input((None, None, 2)), []
        layer = build._build_section(MaxPool(size, stride, padding), 0, images, outputs)
        pooled = keras.Model(images, layer)(x).numpy()
        rows, columns = [(n + padding - size) // stride + 1 for n in x.shape[1:3]]
        expected = np.full((1, rows, columns, 2), -np.inf)
        for i, j in np.ndindex(rows, columns):
            top, left = i * stride - padding // 2, j * stride - padding // 2
            window = x[:, max(top, 0) : top + size, max(left, 0) : left + size]
            expected[:, i, j] = window.max((1, 2))
        np.testing.assert_array_equal(pooled, expected, err_msg=f'{size} {stride} {padding}')
