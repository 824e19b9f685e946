"""Darknet's .weights files: bad ones are refused, backbones and those with another head are read as far as they fit."""

import pathlib

import keras
import numpy as np
import pytest
from conftest import DATA

import yolo
from yolo.models import cfg, spec, weights
from yolo.models.build import DarknetModel

GOLDEN = DATA / 'darknet'


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
    model = DarknetModel(spec.adapt(theirs, classes, [(1, 1), (2, 2), (3, 3)], (64, 64, 3)))
    loaded = weights.read(model, str(GOLDEN / 'yolov2-w16.weights'), allow_different_head=True)
    assert len(loaded.loaded) == 22
    assert loaded.random == ('conv_30',)
    assert '22 of 23 convolutions loaded' in str(loaded)
    assert 'random weights: conv_30' in str(loaded)
    with pytest.raises(ValueError, match='conv_30'):
        weights.read(model, str(GOLDEN / 'yolov2-w16.weights'))
    with pytest.raises(ValueError, match='ends inside of'):
        weights.read(model, str(GOLDEN / 'yolov2-tiny-w16.weights'), allow_different_head=True)
