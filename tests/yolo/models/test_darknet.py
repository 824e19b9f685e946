"""Networks and weights against what Darknet itself computed, and against OpenCV's reader of its files."""

import dataclasses
import pathlib

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import DATA

import yolo
from yolo.models import architectures, build, cfg, spec, weights
from yolo.models.build import DarknetModel
from yolo.models.spec import Convolution, MaxPool, Network, Region, Route

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


@pytest.mark.parametrize('name', architectures.MODELS)
def test_a_name_and_its_cfg_are_the_same_network(name):
    network = architectures.build_spec(name, 20, np.ones((5, 2)) * [1.5, 2.25])
    assert cfg.parse(cfg.write(network)) == network
    assert architectures.num_backbone_convolutions(network) == {'yolov2': 18, 'yolov2-tiny': 7}[name]
    assert sum(spec.num_weights(network)) == {'yolov2': 50_676_061, 'yolov2-tiny': 15_867_885}[name]


@pytest.mark.parametrize('name', NAMES)
def test_the_golden_networks_are_those_of_build_model(name):
    theirs = cfg.read(str(GOLDEN / f'{name}.cfg'))
    region = theirs.region
    ours = architectures.build_spec(
        name.removesuffix('-w16'), region.classes, region.anchors, 1 / 16, theirs.image_size
    )
    strip = [dataclasses.replace(section, options=()) for section in theirs.sections]
    assert strip == [dataclasses.replace(section, options=()) for section in ours.sections]


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


HEAD = '[net]\nwidth=64\nheight=64\n'
CONV = '[convolutional]\nfilters=12\nsize=1\nactivation=linear\n'
REGION = '[region]\nanchors=1,1, 2,2\nnum=2\nclasses=1\nsoftmax=1\n'


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'no sections'),
        ('hello', r':1: .hello. is not \[section\]'),
        (CONV, r':1: the section \[convolutional\]'),
        (HEAD, r'no sections after \[net\]'),
        ('[net]\nwidth=64\n' + CONV, r'has no height'),
        (HEAD + CONV.replace('12', '-3'), r':5: \[convolutional\] filters=-3: not a whole number from 1'),
        (HEAD + CONV.replace('12', '1e9'), r'filters=1e9: not a whole'),
        (HEAD + CONV.replace('12', '1048576') * 2, 'more than the'),
        (HEAD + CONV + '[shortcut]\nfrom=-1\n', r':8: the section \[shortcut\] is not understood'),
        (HEAD + CONV + '[net]\n', r':8: the section \[net\] is not understood here'),
        (HEAD + CONV + 'dilation=2\n', r':8: \[convolutional\] dilation=2: this option is not understood'),
        (HEAD + CONV + 'groups=2\n', r':8: .*groups=2: only groups=1'),
        (HEAD + CONV.replace('linear', 'mish'), r':7: .*activation=mish: not one of linear, leaky'),
        (HEAD + CONV + 'filters=3\n', 'filters is there twice'),
        (HEAD + CONV + '[route]\nlayers=-2\n', r':8: \[route\] layer -1 does not exist'),
        (HEAD + CONV + '[route]\nlayers=7\n', r'layer 7 does not exist'),
        (HEAD + CONV + '[route]\nlayers=-1,x\n', r':9: \[route\] layers=-1,x'),
        (HEAD + CONV + '[maxpool]\nsize=2\nstride=2\n[route]\nlayers=-1,-2\n', r':11: .*64 x 64.*|.*32 x 32'),
        (HEAD + CONV + '[reorg]\nstride=3\n', r':8: .*cannot be reordered'),
        (HEAD + CONV + '[reorg]\nstride=2\nreverse=1\n', r':10: .*reverse=1'),
        (
            HEAD + CONV.replace('12', '13') + REGION,
            r':8: .*2 anchors and 1 classes need 12 filters before them, not 13',
        ),
        (HEAD + CONV + REGION.replace('num=2', 'num=3'), r'not the 2 x num=3 numbers'),
        (HEAD + CONV + REGION.replace('softmax=1', 'softmax=0'), 'only softmax=1'),
        (HEAD + CONV + REGION + 'tree=t.tree\n', r'tree=t.tree'),
        (HEAD + CONV + REGION + CONV, 'must be the last'),
        (HEAD + CONV.replace('size=1', 'size=33').replace('filters=12', 'filters=12\nstride=2') * 2, 'nothing is left'),
    ],
)
def test_cfgs_that_are_not_understood_are_refused_by_line(text, message, tmp_path):
    path = tmp_path / 'x.cfg'
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        yolo.load_darknet(str(path))


def test_a_good_cfg_is_read():
    expected = Network(
        (
            Convolution(12, 1, padding=0, norm=False, activation='linear'),
            Route((-1,)),
            Region(((1.0, 1.0), (2.0, 2.0)), 1, (('jitter', '.3'),)),
        ),
        (64, 64),
    )
    text = HEAD + '; note\n' + CONV + '[route]\nlayers = 0\n' + REGION + 'jitter=.3\n'
    assert cfg.parse(text) == expected


def spoiled(path: pathlib.Path, how: str, folder: pathlib.Path) -> pathlib.Path:
    data, out = path.read_bytes(), folder / 'spoiled.weights'
    if how == 'sparse':
        with open(out, 'wb') as file:
            file.write(data)
            file.truncate(10 << 30)
    elif how == 'folder':
        out.mkdir()
    elif how != 'missing':
        out.write_bytes(
            {
                'cut': data[:-40_000],
                'longer': data + b'\0\0\0\0',
                'text': b'[net]\nwidth=416\nheight=416\n',
                'empty': b'',
                'header': data[:17],
            }[how]
        )
    return out


@pytest.mark.parametrize(
    ('how', 'message'),
    [
        ('cut', r'ends inside of conv_29, convolution 22 of 23'),
        ('longer', '4 bytes longer than the network'),
        ('text', 'no .weights file: its header says'),
        ('empty', '0 bytes: not even the header'),
        ('header', 'ends in the header'),
        ('sparse', r'10,736,586,\d+ bytes longer'),
        ('missing', 'cannot be read'),
        ('folder', 'cannot be read'),
    ],
)
def test_bad_weights_are_refused_and_nothing_is_changed(how, message, tmp_path):
    model = yolo.load_darknet(str(GOLDEN / 'yolov2-w16.cfg'))
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        weights.read(model, str(spoiled(GOLDEN / 'yolov2-w16.weights', how, tmp_path)))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_weights_that_are_not_finite_are_refused(tmp_path):
    data = bytearray((GOLDEN / 'yolov2-w16.weights').read_bytes())
    data[-4:] = np.array(np.nan, '<f4').tobytes()
    (tmp_path / 'nan.weights').write_bytes(data)
    model = yolo.load_darknet(str(GOLDEN / 'yolov2-w16.cfg'))
    before = model.get_weights()
    with pytest.raises(ValueError, match='conv_30: a number is not finite'):
        weights.read(model, str(tmp_path / 'nan.weights'))
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_a_cfg_that_is_no_text_or_too_long_is_refused(tmp_path):
    path = tmp_path / 'x.cfg'
    path.write_bytes(b'\xff\xfe\0')
    with pytest.raises(ValueError, match='not a text'):
        cfg.read(str(path))
    with open(path, 'wb') as file:
        file.truncate(10 << 30)
    with pytest.raises(ValueError, match=r'that is not a \.cfg'):
        cfg.read(str(path))


def test_a_backbone_is_loaded_and_the_rest_stays_random(tmp_path, caplog):
    source = yolo.load_darknet(str(GOLDEN / 'yolov2-w16.cfg'), str(GOLDEN / 'yolov2-w16.weights'))
    yolo.save_darknet(source, str(tmp_path / 'b.cfg'), str(tmp_path / 'b.weights'), num_convolutions=18)
    model = yolo.load_darknet(str(GOLDEN / 'yolov2-w16.cfg'), str(tmp_path / 'b.weights'))
    assert '18 of 23 convolutions loaded' in caplog.text
    for number, ((_, conv, norm), (_, other, other_norm)) in enumerate(
        zip(model.convolutions(), source.convolutions(), strict=True)
    ):
        same = np.array_equal(conv.kernel.numpy(), other.kernel.numpy())
        assert same == (number < 18)
        if norm is not None:
            assert np.array_equal(norm.variance.numpy(), other_norm.variance.numpy()) == (number < 18)
    with pytest.raises(ValueError, match='24 convolutions cannot be written'):
        yolo.save_darknet(source, str(tmp_path / 'b.cfg'), str(tmp_path / 'b.weights'), num_convolutions=24)
    with pytest.raises(ValueError, match='Sequential is not a model of'):
        yolo.save_darknet(keras.Sequential(), str(tmp_path / 'b.cfg'), str(tmp_path / 'b.weights'))


@pytest.mark.parametrize('classes', [1, 3, 80])
def test_weights_of_other_classes_go_in_up_to_the_last_convolution(classes):
    theirs = cfg.read(str(GOLDEN / 'yolov2-w16.cfg'))
    model = DarknetModel(spec.adapt(theirs, classes, [(1, 1), (2, 2), (3, 3)], (64, 64)))
    loaded = weights.read(model, str(GOLDEN / 'yolov2-w16.weights'), allow_different_head=True)
    assert len(loaded.loaded) == 22
    assert loaded.random == ('conv_30',)
    assert '22 of 23 convolutions loaded' in str(loaded)
    assert 'random weights: conv_30' in str(loaded)
    with pytest.raises(ValueError, match='conv_30'):
        weights.read(model, str(GOLDEN / 'yolov2-w16.weights'))
    with pytest.raises(ValueError, match='ends inside of'):
        weights.read(model, str(GOLDEN / 'yolov2-tiny-w16.weights'), allow_different_head=True)
