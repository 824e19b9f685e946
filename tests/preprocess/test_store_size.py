"""`preprocess --store_size`: the first split holds larger images than the network's, and nothing else changes."""

import contextlib
import dataclasses
import json
import re

import numpy as np
import pytest
from conftest import digests

from preprocess import __main__ as command
from preprocess import convert, shards, store_size, verify
from preprocess.demo.shapes import write_shapes
from preprocess.report import contact_sheet, summary
from preprocess.settings import Settings
from yolo import recipes
from yolo.cli import flags
from yolo.data import grey, images, records, tfrecord, voc_folder
from yolo.geometry import image_sizes
from yolo.geometry.letterbox import from_canvas

SIZE, STORED = (64, 96), (96, 144)


@pytest.fixture(scope='module')
def voc(tmp_path_factory) -> str:
    """A few drawn images."""
    folder = tmp_path_factory.mktemp('drawn') / 'VOC'
    write_shapes(str(folder), 5, 3, 0)
    return str(folder)


def settings(voc: str, out_dir, **changes) -> Settings:
    source = voc_folder.Source(f'{voc}/Annotations', f'{voc}/JPEGImages')
    splits = {name: f'{voc}/ImageSets/Main/{name}.txt' for name in ('trainval', 'test')}
    given = {'image_size': SIZE, 'anchors': 'kmeans:3', 'workers': 1, 'image_format': 'png', **changes}
    return Settings(source, splits, str(out_dir), **given)


def read(folder, split: str) -> list[records.Record]:
    found = []
    for path in records.shard_paths(str(folder), split, records.read_description(str(folder))):
        with open(path, 'rb') as file:
            found += [records.deserialize(each) for each in tfrecord.unframe(file, path)]
    return found


def photo(voc: str, image_id: str) -> np.ndarray:
    with open(f'{voc}/JPEGImages/{image_id}.jpg', 'rb') as file:
        return images.decode(file.read())


@pytest.fixture(scope='module')
def folders(voc, tmp_path_factory):
    """The same data stored at the network's size, and larger."""
    folder = tmp_path_factory.mktemp('stored')
    summaries = [
        convert.convert(settings(voc, folder / name, store_size=size))[1]
        for name, size in (('plain', None), ('larger', max(STORED)))
    ]
    return folder / 'plain', folder / 'larger', summaries


def test_the_first_split_is_the_photo_at_that_size_and_the_others_are_what_they_were(folders, voc):
    plain, larger, _ = folders
    description = records.read_description(str(larger))
    assert [description.stored_size(split) for split in ('trainval', 'test')] == [STORED, SIZE]
    assert description.grid == (2, 3)
    for record in read(larger, 'trainval'):
        expected = images.resize(photo(voc, record.image_id), STORED)
        np.testing.assert_array_equal(images.decode_stored(record.image, 'png', STORED), expected)
    for name in [path.name for path in plain.iterdir() if path.name.startswith('test.')]:
        assert (plain / name).read_bytes() == (larger / name).read_bytes()


def test_all_but_the_pixels_is_that_of_records_of_the_networks_size(folders):
    plain, larger, (of_plain, of_larger) = folders
    without, with_size = (json.loads((folder / 'dataset.json').read_text()) for folder in (plain, larger))
    assert with_size['splits']['trainval'].pop('stored_size') == list(STORED)
    assert with_size == without  # with the same anchors
    for one, other in zip(read(plain, 'trainval'), read(larger, 'trainval'), strict=True):
        for name in ('boxes', 'labels', 'difficult', 'places', 'size'):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for split in ('trainval', 'test'):  # so that what is alike in two splits is found
        assert of_plain[split].fingerprints == of_larger[split].fingerprints
        assert of_plain[split].statistics == of_larger[split].statistics


def test_verify_and_show_know_the_size(folders, tmp_path):
    _, larger, _ = folders
    assert verify.verify(str(larger), 1)[1] == []
    description = records.read_description(str(larger))
    manifest = records.read_manifest(str(larger))
    for path in records.shard_paths(str(larger), 'trainval', description):
        _, problems = verify.verify_shard(description, manifest.shards[path.rpartition('/')[2]], path, SIZE)
        assert 'the image is 144 x 96, not 96 x 64' in problems[0]
    sheet, number = contact_sheet.make_sheet(str(larger), 'trainval', 2)
    of_test, _ = contact_sheet.make_sheet(str(larger), 'test', 2)
    assert (number, sheet.shape) == (2, of_test.shape)  # drawn at one size, with the network's grid
    assert 'Images of 96 x 64 pixels, in trainval stored at 144 x 96 (stretch' in (larger / 'report.html').read_text()


@pytest.mark.slow
@pytest.mark.parametrize('image_format', ['png', 'raw'])
def test_tensorflow_datasets_reads_both_sizes(voc, tmp_path, image_format):
    tfds = pytest.importorskip('tensorflow_datasets')
    convert.convert(settings(voc, tmp_path, store_size=144, image_format=image_format))
    builder = tfds.builder_from_directory(str(tmp_path))
    for split, size in (('trainval', STORED), ('test', SIZE)):
        examples = list(tfds.as_numpy(builder.as_dataset(split=split)))
        assert len(examples) == len(read(tmp_path, split))
        for example, record in zip(examples, read(tmp_path, split), strict=True):
            pixels = images.decode_stored(record.image, image_format, size)
            shown = example['image']
            if image_format == 'raw':  # its bytes, since TFDS has one shape for all splits
                shown = np.frombuffer(shown, np.uint8).reshape(pixels.shape)
            np.testing.assert_array_equal(shown, pixels)


@pytest.mark.slow
def test_letterboxed_boxes_are_relative_to_the_stored_image(voc, tmp_path):
    description, _ = convert.convert(settings(voc, tmp_path / 'l', store_size=140, resize='letterbox'))
    convert.convert(settings(voc, tmp_path / 's'))
    assert description.stored_size('trainval') == (93, 140)
    assert verify.verify(str(tmp_path / 'l'), 1)[1] == []
    for boxed, plain in zip(read(tmp_path / 'l', 'trainval'), read(tmp_path / 's', 'trainval'), strict=True):
        back = from_canvas(boxed.boxes, boxed.size, (93, 140), 'letterbox')
        np.testing.assert_allclose(back, plain.boxes, atol=1e-5)
        expected = images.resize(photo(voc, boxed.image_id), (93, 140), 'letterbox')
        np.testing.assert_array_equal(images.decode_stored(boxed.image, 'png', (93, 140)), expected)


def test_grey_images_are_stored_larger_too(voc, tmp_path):
    description, _ = convert.convert(settings(voc, tmp_path, store_size=144, channels=1))
    assert (description.channels, description.stored_size('trainval')) == (1, STORED)
    assert verify.verify(str(tmp_path), 1)[1] == []
    for split, size in (('trainval', STORED), ('test', SIZE)):
        for record in read(tmp_path, split):
            expected = images.resize(grey.to_channels(photo(voc, record.image_id), 1), size)
            np.testing.assert_array_equal(images.decode_stored(record.image, 'png', size, 1), expected)


@pytest.mark.slow
def test_interrupted_between_files_it_goes_on_to_the_same_bytes(voc, tmp_path, monkeypatch):
    how, write = {'store_size': 144, 'num_shards': 3}, shards.write_shard
    convert.convert(settings(voc, tmp_path / 'whole', **how))
    written = []

    def write_some(shard):
        if len(written) == 4:  # in the second split
            raise KeyboardInterrupt
        written.append(shard.size)
        return write(shard)

    class Pool:
        """Works in this process, so that it can be interrupted between two files."""

        scratch = str(tmp_path)

        def run(self, function, *jobs):
            return map(function, *jobs)

    def convert_here():
        return convert.convert(settings(voc, tmp_path / 'data', **how), pool=contextlib.nullcontext(Pool()))

    monkeypatch.setattr(shards, 'write_shard', write_some)
    with pytest.raises(KeyboardInterrupt):
        convert_here()
    assert written == [STORED, STORED, STORED, SIZE]
    monkeypatch.setattr(shards, 'write_shard', write)
    assert convert_here()[0].stored_size('trainval') == STORED
    assert digests(tmp_path / 'data') == digests(tmp_path / 'whole')


def test_another_size_is_other_records_and_the_networks_own_is_none(folders, voc):
    plain, larger, _ = folders
    assert convert.convert(settings(voc, larger, store_size=144))[1] is None  # there already
    assert convert.convert(settings(voc, plain, store_size=96))[1] is None
    for folder, size, message in ((larger, None, '144 there, null now'), (plain, 128, 'null there, 128 now')):
        with pytest.raises(ValueError, match=f'store_size: {message}'):
            convert.convert(settings(voc, folder, store_size=size))
    with pytest.raises(ValueError, match=r'--store_size=95: less than the 96 pixels of --image_size'):
        settings(voc, plain, store_size=95)
    description = records.read_description(str(larger))
    wrong = {(96,): 'not a height and a width', (64, 95): 'less than image_size', (63, 144): 'less than image_size'}
    for size, message in wrong.items():
        split = dataclasses.replace(description.split('test'), stored_size=size)
        with pytest.raises(ValueError, match=f'splits.test.stored_size is {re.escape(str(size))}: {message}'):
            records.check_description(dataclasses.replace(description, splits={'test': split}))


@pytest.mark.parametrize(
    ('words', 'expected'),
    [
        (['--recipe=yolov2-voc'], 608),
        (['--recipe=small-data', '--image_size=320x256'], 480),
        (['--recipe=notebook'], None),
        (['--recipe=yolov2-voc', '--store_size=500'], 500),
        ([], None),
    ],
)
def test_a_recipe_asks_for_the_largest_size_that_it_trains_on(voc, tmp_path, words, expected):
    values = flags.define(command.COMMAND.settings)
    values(['preprocess', f'--voc_dir={voc}', f'--out_dir={tmp_path}', *words])
    assert command.read_settings(values).store_size == expected


def test_sizes_keep_the_ratio():
    assert image_sizes.of_longer_side((480, 640), 1000) == (750, 1000)
    assert image_sizes.of_longer_side((416, 416), None) == (416, 416)
    for network, largest, longer in (((480, 640), (704, 928), 939), ((256, 416), (384, 608), 624)):
        assert recipes.largest_size('yolov2-voc', network) == largest
        assert store_size.of_recipe('yolov2-voc', network) == longer
        assert (np.array(image_sizes.of_longer_side(network, longer)) >= largest).all()
    assert store_size.of_recipe('finetune', (64, 64)) == 96  # 2.9 cells of 32 pixels
    assert store_size.of_recipe('finetune', (32, 32)) is None  # 1.5 cells
    assert store_size.of_recipe('notebook', (12288, 12288)) is None
    with pytest.raises(
        ValueError, match=r'--recipe=yolov2-voc .* 17,952 .*--image_size=12288.* --store_size=16384 too'
    ):
        store_size.of_recipe('yolov2-voc', (12288, 12288))


def test_the_screen_says_what_is_larger_and_warns_of_a_split_to_test_on(folders):
    plain, larger, (_, of_larger) = folders
    description = records.read_description(str(larger))
    text = summary.format_summary(description, of_larger)
    assert 'images of 96 x 64, in trainval stored at 144 x 96' in text.splitlines()
    assert '--store_size' not in text
    splits = {'test': description.splits['trainval'], 'train': description.splits['test']}
    renamed = {'test': of_larger['trainval'], 'train': of_larger['test']}
    text = summary.format_summary(dataclasses.replace(description, splits=splits), renamed)
    assert 'warning: the larger images of --store_size are those of the first split, test, where' in text
    assert 'stored at' not in summary.format_summary(records.read_description(str(plain)), of_larger)
