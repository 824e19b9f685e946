"""Images of 16 bits: the values of `grey_range` become 0..255, in preprocessing as in prediction."""

import dataclasses
import json

import cv2
import numpy as np
import pytest
from conftest import SMALL

import yolo
from preprocess import conventions, convert
from preprocess.demo.shapes import write_shapes
from preprocess.settings import Settings
from yolo.data import grey, images, records, tfrecord, voc_folder
from yolo.data.problems import NOTED, Problem
from yolo.detection.detector import Backend, Detector
from yolo.models import cfg, conversion, model_folder
from yolo.models.build import DarknetModel
from yolo.models.model_folder import ModelInfo
from yolo.prediction import photos

RANGE = (7000, 9000)
RAMP = np.arange(6000, 10000, dtype=np.uint16).reshape(40, 100)  # as of a thermal camera


def encoded(suffix: str, image: np.ndarray) -> bytes:
    done, data = cv2.imencode(suffix, image)
    assert done
    return data.tobytes()


def slowly(value: int) -> int:
    low, high = RANGE
    return min(255, max(0, int(np.floor(255 * (value - low) / (high - low) + 0.5))))


def test_values_are_spread_over_the_range():
    found = grey.to_8_bits(RAMP, RANGE)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.vectorize(slowly)(RAMP.astype(int)))
    assert (found == 0).sum() > 1000 < (found == 255).sum()
    assert len(np.unique(found)) == 256
    np.testing.assert_array_equal(grey.to_8_bits(RAMP, (0, 65535)), (RAMP / 257).round())


@pytest.mark.parametrize('suffix', ['.png', '.tiff', '.pgm', '.jp2'])
def test_files_of_16_bits_are_read_by_their_range_or_their_upper_bits(suffix):
    data = encoded(suffix, RAMP)
    found = grey.to_channels(images.decode(data, RANGE), 1)[..., 0]
    np.testing.assert_array_equal(found, grey.to_8_bits(RAMP, RANGE))
    upper = images.decode(data)[..., 0]
    np.testing.assert_array_equal(upper, RAMP >> 8)
    assert len(np.unique(upper)) == 17  # of 4,000 values


def test_the_upper_bits_alone_are_noted_in_preprocessing():
    data = encoded('.png', RAMP)
    image, notes = images.read(data, note_depth=True)
    np.testing.assert_array_equal(image[..., 0], RAMP >> 8)
    assert notes == ['values 6000 to 9999: of its 16 bits the upper 8 are taken']
    assert not images.read(data)[1]  # prediction warns of each photo
    assert not images.read(data, grey_range=RANGE, note_depth=True)[1]
    assert not images.read(encoded('.png', (RAMP >> 8).astype(np.uint8)), note_depth=True)[1]
    said = conventions.say_once([Problem('train', name, NOTED, notes[0]) for name in ('a', 'b')])
    [text] = [problem.reason for problem in said]
    assert text.startswith("2 images have 16 bits, of which the upper 8 are taken (such as 'a': values 6000 to 9999); ")


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.bmp'])
def test_files_of_8_bits_are_as_without_a_range(suffix):
    data = encoded(
        suffix, cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8), (0, 0), 2)
    )
    np.testing.assert_array_equal(images.decode(data, RANGE), images.decode(data))


def test_images_of_floats_are_refused_either_way():
    for grey_range in ((), RANGE):
        with pytest.raises(ValueError, match='can not handle images with 32-bit samples'):
            images.decode(encoded('.tiff', RAMP.astype(np.float32)), grey_range)


def thermal_set(folder) -> str:
    """Drawn shapes in VOC's layout, whose files are PNGs of 16 bits with faint contrast around 8,000."""
    write_shapes(str(folder), 3, 1, 0)
    for path in sorted((folder / 'JPEGImages').iterdir()):
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(np.uint16)
        path.with_suffix('.png').write_bytes(encoded('.png', 7000 + image * 8))
        path.unlink()
    return str(folder)


def test_records_and_predictions_have_the_same_pixels(tmp_path):
    voc = thermal_set(tmp_path / 'VOC')
    source = voc_folder.Source(f'{voc}/Annotations', f'{voc}/JPEGImages')
    given = {'image_size': (64, 96), 'anchors': 'voc', 'workers': 1, 'channels': 1, 'image_format': 'raw'}
    splits = {'trainval': f'{voc}/ImageSets/Main/trainval.txt'}
    settings = Settings(source, splits, str(tmp_path / 'out'), **given, grey_range=RANGE)
    description, _ = convert.convert(settings)
    assert description.grey_range == RANGE == records.read_description(settings.out_dir).grey_range
    with pytest.raises(ValueError, match=r'grey_range: \[7000, 9000\] there, \[\] now'):
        convert.convert(dataclasses.replace(settings, grey_range=()))
    calls: list = []

    def run(batch):
        calls.append(batch.copy())
        return {
            name: np.zeros((len(batch), 1, *more), np.float32) for name, more in (('boxes', (4,)), ('scores', (1,)))
        }

    detector = Detector(Backend(run, 'none'), ['a'], [(1, 1)], (64, 96), channels=1, grey_range=RANGE)
    (path,) = records.shard_paths(settings.out_dir, 'trainval', description)
    with open(path, 'rb') as file:
        written = [records.deserialize(each) for each in tfrecord.unframe(file, path)]
    for record in written:
        stored = np.frombuffer(record.image, np.uint8).reshape(64, 96, 1)
        assert len(np.unique(stored)) > 60
        name = f'{voc}/JPEGImages/{record.image_id}.png'
        detector(name)
        np.testing.assert_array_equal(calls[-1][0], stored)
        photo = photos.read_photo(name, grey_range=detector.grey_range)
        np.testing.assert_array_equal(detector.prepare(photo.pixels).inputs[0], stored)


def test_a_model_keeps_the_range_of_its_data(tmp_path):
    network = dataclasses.replace(cfg.read(SMALL), channels=1)
    folder = str(tmp_path / 'model')
    conversion.write_folder(DarknetModel(network), ModelInfo(('a', 'b'), 'stretch', RANGE), folder)
    assert model_folder.read_info(folder).grey_range == RANGE
    assert yolo.load_detector(folder).grey_range == RANGE
    fields = json.loads((tmp_path / 'model/model.json').read_text())
    (tmp_path / 'model/model.json').write_text(json.dumps({**fields, 'grey_range': [9, 9]}))
    with pytest.raises(ValueError, match=r'model.json.*grey_range=9,9: two numbers are needed, the lower one first'):
        model_folder.read_info(folder)
    del fields['grey_range']  # as older versions wrote it
    (tmp_path / 'model/model.json').write_text(json.dumps(fields))
    assert model_folder.read_info(folder).grey_range == ()


@pytest.mark.parametrize(
    ('channels', 'grey_range', 'message'),
    [
        (3, RANGE, r'^--grey_range=7000,9000 goes with --channels=1, not with 3'),
        (1, (9, 9), r'^--grey_range=9,9: two numbers are needed, the lower one first'),
    ],
)
def test_ranges_that_make_no_sense_are_refused(channels, grey_range, message):
    source = voc_folder.Source('annotations', 'images')
    with pytest.raises(ValueError, match=message):
        Settings(source, {}, 'out', channels=channels, grey_range=grey_range)


def test_data_of_another_kind_than_the_models_are_refused_by_flags_that_can_be_typed():
    grey.check_same('d', (1, RANGE), 'the network', (1, RANGE))
    grey.check_same('d', (1, RANGE), 'the network', (1, None))
    for data, model, message in (
        ((3, ()), (1, RANGE), 'with --channels=3, those of m with --channels=1; preprocess with --channels=1'),
        ((1, RANGE), (1, ()), 'with --grey_range=7000,9000, those of m without --grey_range; preprocess without'),
        ((1, ()), (1, RANGE), 'without --grey_range, those of m with --grey_range=7000,9000; preprocess with --grey'),
        ((1, (0, 9)), (1, RANGE), 'with --grey_range=0,9, those of m with --grey_range=7000,9000; preprocess with'),
    ):
        with pytest.raises(ValueError, match=f"^the images of 'd' were made {message}"):
            grey.check_same('d', data, 'm', model)
