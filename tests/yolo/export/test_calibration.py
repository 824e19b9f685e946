"""The images of calibration: which they are, how they are resized, and records that do not fit the model."""

import dataclasses

import numpy as np
import pytest
from conftest import write_records

from yolo.data import pipeline, records
from yolo.export import calibration
from yolo.export.calibration import Calibration, read_images


@pytest.fixture(scope='module')
def stored(records_dir) -> np.ndarray:
    """All images of the split train, as training reads them."""
    (batch,) = pipeline.evaluation_batches(records_dir, 'train', 8)
    return batch['image'].numpy()


def test_images_are_spread_evenly_over_the_split(records_dir, stored):
    np.testing.assert_array_equal(read_images(records_dir, 'train', 3, (96, 96, 3), 'stretch', 2), stored[[0, 2, 5]])
    np.testing.assert_array_equal(read_images(records_dir, 'train', 8, (96, 96, 3), 'stretch', 2), stored)
    assert len({image.tobytes() for image in stored}) == 8


def test_fewer_images_than_asked_for_are_said(records_dir, stored, caplog):
    read = read_images(records_dir, 'train', 200, (96, 96, 3), 'stretch', 2)
    np.testing.assert_array_equal(read, stored)
    assert 'has only 8 of 200 images' in caplog.text


def test_images_are_resized_to_the_size_of_the_model(records_dir, stored):
    read = read_images(records_dir, 'train', 2, (64, 128, 3), 'stretch', 2)
    assert read.shape == (2, 64, 128, 3)
    for image, whole in zip(read, stored[[0, 4]], strict=True):
        np.testing.assert_allclose(image.mean((0, 1)), whole.mean((0, 1)), atol=1)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'split': 'val'}, r"no split 'val' in this folder; it has test, train"),
        ({'resize': 'letterbox'}, r'was made with --resize=stretch, .* are resized by letterbox'),
        (
            {'shape': (96, 96, 1)},
            r'made with --channels=3, those of the network with --channels=1; preprocess with --channels=1',
        ),
        ({'grey_range': (7, 9)}, r'without --grey_range, those of the network with --grey_range=7,9; preprocess with'),
        ({'num_classes': 20}, r'has 2 classes \(bright,dark\), the network 20'),
        ({'data_dir': 'nowhere'}, r"'nowhere' has no dataset\.json"),
    ],
)
def test_records_that_do_not_fit_the_model_are_refused(records_dir, change, message):
    wanted = {'data_dir': records_dir, 'split': 'train', 'number': 2, 'shape': (96, 96, 3)}
    with pytest.raises(ValueError, match=message):
        read_images(**{**wanted, 'resize': 'stretch', 'num_classes': 2, **change})


def test_a_split_without_images_is_refused(tmp_path):
    folder = write_records(tmp_path)
    description = records.read_description(folder)
    empty = records.Split(0, 0, 0, 0, dict.fromkeys(description.classes, 0), 0, 0, 0)
    description = dataclasses.replace(description, splits={**description.splits, 'empty': empty})
    records.write_description(folder, description)
    with pytest.raises(ValueError, match=r"split 'empty' of .* has no images to calibrate with"):
        read_images(folder, 'empty', 2, (96, 96, 3), 'stretch', 2)


def test_damaged_records_are_named(tmp_path):
    folder = write_records(tmp_path)
    path = tmp_path / 'train.tfrecord-00001-of-00002'
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(bytes(data))
    with pytest.raises(ValueError, match=r'train\.tfrecord-00001-of-00002 is damaged after byte'):
        read_images(folder, 'train', 8, (96, 96, 3), 'stretch', 2)


@pytest.mark.parametrize('shape', [(0, 64, 96, 3), (2, 96, 64, 3), (64, 96, 3)])
def test_images_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r'calibration images are uint8 .* give at least one, uint8 \(N, 64, 96, 3\)'):
        calibration.check(Calibration(np.zeros(shape, np.uint8)), (64, 96, 3))


def test_an_unknown_type_is_refused():
    with pytest.raises(ValueError, match="input_type 'int16': not one of uint8, int8"):
        calibration.check(Calibration(np.zeros((1, 64, 96, 3), np.uint8), 'int16'), (64, 96, 3))
