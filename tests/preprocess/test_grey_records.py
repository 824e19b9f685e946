"""`preprocess --channels=1`: records of one channel, whatever the images are."""

import dataclasses
import json

import cv2
import numpy as np
import pytest

from preprocess import convert, verify
from preprocess.demo.shapes import write_shapes
from preprocess.report import contact_sheet
from preprocess.settings import Settings
from yolo.data import grey, images, records, tfrecord, voc_folder


@pytest.fixture(scope='module')
def voc(tmp_path_factory) -> str:
    """A few drawn images, of which one is grey."""
    folder = tmp_path_factory.mktemp('drawn') / 'VOC'
    write_shapes(str(folder), 4, 2, 0)
    first = min((folder / 'JPEGImages').iterdir())
    cv2.imwrite(str(first), cv2.imread(str(first), cv2.IMREAD_GRAYSCALE))
    return str(folder)


def settings(voc: str, out_dir, **changes) -> Settings:
    source = voc_folder.Source(f'{voc}/Annotations', f'{voc}/JPEGImages')
    splits = {name: f'{voc}/ImageSets/Main/{name}.txt' for name in ('trainval', 'test')}
    given = {'image_size': (96, 128), 'anchors': 'voc', 'workers': 1, 'channels': 1, **changes}
    return Settings(source, splits, str(out_dir), **given)


def read(folder: str) -> list[records.Record]:
    description = records.read_description(folder)
    found = []
    for split in ('trainval', 'test'):
        for path in records.shard_paths(folder, split, description):
            with open(path, 'rb') as file:
                found += [records.deserialize(each) for each in tfrecord.unframe(file, path)]
    return found


@pytest.mark.parametrize(
    ('image_format', 'resize'),
    [
        ('png', 'letterbox'),
        pytest.param('raw', 'stretch', marks=pytest.mark.slow),
        pytest.param('jpeg', 'stretch', marks=pytest.mark.slow),
    ],
)
def test_records_hold_grey_images_that_are_resized_as_in_prediction(voc, tmp_path, image_format, resize):
    folder = str(tmp_path / 'out')
    description, _ = convert.convert(settings(voc, folder, image_format=image_format, resize=resize))
    assert description.channels == 1
    assert records.read_manifest(folder).settings['channels'] == 1
    found = read(folder)
    assert len(found) == 6
    for record in found:
        with open(f'{voc}/JPEGImages/{record.image_id}.jpg', 'rb') as file:
            image = grey.to_channels(images.decode(file.read()), 1)
        stored = images.decode_stored(record.image, image_format, (96, 128), 1)
        expected = images.resize(image, (96, 128), resize)
        np.testing.assert_allclose(stored.astype(int), expected, atol=8 if image_format == 'jpeg' else 0)
        if image_format == 'raw':
            assert len(record.image) == 96 * 128
        else:
            assert cv2.imdecode(np.frombuffer(record.image, np.uint8), cv2.IMREAD_UNCHANGED).shape == (96, 128)
    assert verify.verify(folder, 1)[1] == []
    sheet, number = contact_sheet.make_sheet(folder, 'trainval', 4)
    assert number == 4
    assert np.any(sheet[..., 0] != sheet[..., 2])  # boxes are drawn in colour
    assert '"channels": 1' in (tmp_path / 'out' / 'dataset.json').read_text()
    assert 'Grey images of 128 x 96 pixels' in (tmp_path / 'out' / 'report.html').read_text()
    features = json.loads((tmp_path / 'out' / 'features.json').read_text())
    image = features['featuresDict']['features']['image']
    assert image['tensor' if image_format == 'raw' else 'image']['shape'] == {'dimensions': ['96', '128', '1']}


@pytest.mark.slow
def test_objects_are_those_of_the_records_in_colour(voc, tmp_path):
    for channels in (1, 3):
        convert.convert(settings(voc, tmp_path / str(channels), channels=channels))
    for one, three in zip(read(str(tmp_path / '1')), read(str(tmp_path / '3')), strict=True):
        assert one.image_id == three.image_id
        for field in ('boxes', 'labels', 'difficult', 'places'):
            np.testing.assert_array_equal(getattr(one, field), getattr(three, field))
        assert len(one.image) < len(three.image)


def test_a_folder_is_not_continued_with_other_channels(voc, tmp_path):
    convert.convert(settings(voc, tmp_path))
    assert convert.convert(settings(voc, tmp_path))[1] is None
    with pytest.raises(ValueError, match=r'other settings: channels: 1 there, 3 now'):
        convert.convert(settings(voc, tmp_path, channels=3))


def test_a_folder_that_was_written_before_there_were_channels_is_one_in_colour(voc, tmp_path):
    convert.convert(settings(voc, tmp_path, channels=3))
    assert 'channels' not in json.loads((tmp_path / 'dataset.json').read_text())
    fields = json.loads((tmp_path / 'manifest.json').read_text())
    del fields['settings']['channels']
    (tmp_path / 'manifest.json').write_text(json.dumps(fields))
    assert records.read_description(str(tmp_path)).channels == 3
    assert convert.convert(settings(voc, tmp_path, channels=3))[1] is None


def test_two_channels_are_refused(voc, tmp_path):
    with pytest.raises(ValueError, match=r'^--channels=2: 1 \(grey\) or 3 \(colour\)'):
        settings(voc, tmp_path, channels=2)
    convert.convert(settings(voc, tmp_path))
    records.write_description(str(tmp_path), dataclasses.replace(records.read_description(str(tmp_path)), channels=2))
    with pytest.raises(ValueError, match=r'dataset\.json.*channels=2: 1 \(grey\) or 3 \(colour\)'):
        records.read_description(str(tmp_path))
