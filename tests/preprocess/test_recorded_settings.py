"""Records made with other settings are refused: every setting is compared, or marked with may_change."""

import dataclasses
import re
import shutil

import pytest

from preprocess import convert
from preprocess.demo.shapes import write_shapes
from preprocess.settings import Settings
from yolo import settings as all_settings
from yolo.data import records, voc_folder

CHANGED = {  # one other value for each setting that may not change; the names in the message
    'source': (lambda folder: voc_folder.Source(f'{folder}/Annotations', f'{folder}/Copy'), 'images_dir'),
    'splits': (lambda folder: {'train': f'{folder}/ImageSets/Main/test.txt'}, 'splits'),
    'labels': (lambda folder: ('square', 'circle'), 'classes'),
    'image_size': (lambda folder: (64, 96), 'image_size'),
    'resize': (lambda folder: 'letterbox', 'resize'),
    'anchors': (lambda folder: 'tiny-voc', 'anchors_from'),
    'image_format': (lambda folder: 'png', 'image_format'),
    'jpeg_quality': (lambda folder: 90, 'jpeg_quality'),
    'strict': (lambda folder: True, 'strict'),
    'num_shards': (lambda folder: 2, 'num_shards'),
    'damaged': (lambda folder: 'keep', 'damaged'),
    'leaks': (lambda folder: 'off', 'leaks'),
    'leak_distance': (lambda folder: 0, 'leak_distance'),
    'make_splits': (lambda folder: ('train=0.5', 'test=0.5'), 'make_splits'),
    'group_by': (lambda folder: '^.', 'group_by'),
    'seed': (lambda folder: 1, 'seed'),
    'max_pixels': (lambda folder: 10**6, 'max_pixels'),
    'label_map': (lambda folder: (('ring', 'circle'),), 'label_map'),
    'channels': (lambda folder: 1, 'channels'),
    'ignore_labels': (lambda folder: ('star',), 'ignore_labels'),
    'grey_range': (lambda folder: (0, 9), 'grey_range'),
    'store_size': (lambda folder: 96, 'store_size'),
}
NEEDED: dict[str, dict] = {'grey_range': {'channels': 1}}  # without which the other value makes no sense


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    """The folder with images, and the settings of the records made from it."""
    folder = tmp_path_factory.mktemp('recorded') / 'VOC'
    write_shapes(str(folder), num_train=4, num_test=2, seed=0)
    shutil.copytree(folder / 'JPEGImages', folder / 'Copy')
    source = voc_folder.Source(f'{folder}/Annotations', f'{folder}/JPEGImages')
    splits = {'train': f'{folder}/ImageSets/Main/trainval.txt'}
    settings = Settings(source, splits, f'{folder.parent}/out', image_size=(64, 64), anchors='voc', workers=1)
    convert.convert(settings)
    return folder, settings


def test_every_setting_is_compared_or_may_change():
    names = {field.name for field in dataclasses.fields(Settings)}
    assert all_settings.may_change(Settings) == {'out_dir', 'workers', 'notes'}
    assert set(CHANGED) == names - {'out_dir', 'workers', 'notes'}


@pytest.mark.parametrize('name', CHANGED)
def test_records_made_with_another_setting_are_refused(written, name):
    folder, settings = written
    value, recorded_name = CHANGED[name]
    with pytest.raises(ValueError, match=rf'{recorded_name}: .+ there, .+ now.*--overwrite'):
        convert.convert(dataclasses.replace(settings, **{**NEEDED.get(name, {}), name: value(folder)}))


def test_settings_that_may_change_are_not_compared(written):
    folder, settings = written
    moved = shutil.copytree(settings.out_dir, folder.parent / 'moved')
    _, summaries = convert.convert(dataclasses.replace(settings, out_dir=str(moved), workers=2))
    assert summaries is None  # the records are there already


def test_a_new_setting_is_recorded_without_further_work(written):
    @dataclasses.dataclass(frozen=True)
    class NewSettings(Settings):
        gamma: float = all_settings.setting(1.0, 'Brightness.')

    _, settings = written
    with pytest.raises(ValueError, match=r'gamma: 1\.0 there, 2\.0 now'):
        convert.convert(NewSettings(**{**vars(settings), 'gamma': 2.0}))


def test_a_manifest_older_than_a_setting_stands_for_its_default(written):
    folder, settings = written
    old = shutil.copytree(settings.out_dir, folder.parent / 'old')
    manifest = records.read_manifest(str(old))
    there = {name: value for name, value in manifest.settings.items() if name not in ('damaged', 'max_pixels')}
    records.write_manifest(str(old), dataclasses.replace(manifest, settings=there))
    same = dataclasses.replace(settings, out_dir=str(old))
    assert convert.convert(same)[1] is None  # the records are there already
    with pytest.raises(ValueError, match='damaged: "leave_out" there, "keep" now; --overwrite'):
        convert.convert(dataclasses.replace(same, damaged='keep'))


def test_manifest_keeps_its_names_and_their_order(written):
    assert list(records.read_manifest(written[1].out_dir).settings) == [
        'annotations_dir',
        'images_dir',
        'splits',
        'classes',
        'image_size',
        'resize',
        'anchors',
        'anchors_from',
        'image_format',
        'jpeg_quality',
        'strict',
        'num_shards',
        'damaged',
        'max_pixels',
        'label_map',
        'leaks',
        'leak_distance',
        'channels',
        'ignore_labels',
        'grey_range',
        'make_splits',
        'group_by',
        'seed',
        'store_size',
        'annotations',
        'tool_version',
    ]


def test_edited_annotations_are_other_records(tmp_path):
    """Of records of before, which have no checksum, nothing is known."""
    folder, out = tmp_path / 'VOC', str(tmp_path / 'out')
    write_shapes(str(folder), num_train=70, num_test=1, seed=0)  # more than the scan takes at once
    source = voc_folder.Source(f'{folder}/Annotations', f'{folder}/JPEGImages')
    splits = {'train': f'{folder}/ImageSets/Main/trainval.txt'}
    settings = Settings(source, splits, out, image_size=(32, 32), anchors='voc', workers=1)
    assert convert.convert(settings)[1] is not None
    assert convert.convert(settings)[1] is None
    last = folder / f'Annotations/{voc_folder.read_split(splits["train"])[-1]}.xml'
    text = last.read_text()
    last.write_text(re.sub(r'<xmin>(\d+)', lambda number: f'<xmin>{int(number[1]) + 1}', text))
    with pytest.raises(ValueError, match=r'other settings: annotations: .*train.* there, .*train.* now; --overwrite'):
        convert.convert(settings)
    manifest = records.read_manifest(out)
    del manifest.settings['annotations']
    records.write_manifest(out, manifest)
    assert convert.convert(settings)[1] is None
