"""What cannot be true of a folder of records is refused where its description or its manifest is read."""

import dataclasses
import json
import shutil

import pytest
from conftest import DATA, write_records

from yolo.data import records

OLD = DATA / 'version_0_1' / 'records'


def edited(tmp_path, name: str, place: str, value) -> str:
    """A copy of the folder of version 0.1 with one value of one of its files changed; place: names, separated by /."""
    folder = tmp_path / 'data'
    shutil.copytree(OLD, folder)
    fields = json.loads((folder / name).read_text())
    *above, last = place.split('/')
    part = fields
    for key in above:
        part = part[key]
    part[last] = value
    (folder / name).write_text(json.dumps(fields))
    return str(folder)


@pytest.mark.parametrize(
    ('place', 'value', 'reason'),
    [
        ('splits/test/num_images', -1, r'splits\.test\.num_images is -1: must be 0 or more'),
        ('splits/test/num_images', 4.0, r'splits\.test\.num_images is 4\.0, not a whole number'),
        ('splits/test/num_shards', 10**9, r'splits\.test\.num_shards is 1000000000: must be 99,999 or less'),
        ('splits/test/num_shards', 0, r'splits\.test\.num_shards is 0, of 4 images'),
        ('splits/test/num_objects', 9, r'splits\.test\.num_objects is 9, but objects_per_class adds up to 8'),
        ('splits/test/num_difficult', 9, r'splits\.test\.num_difficult is 9, of 8 objects'),
        ('splits/test/max_boxes', 1, r'splits\.test\.max_boxes is 1, but 4 images have 8 objects'),
        ('splits/test/max_boxes', 10**9, r'splits\.test\.max_boxes is 1000000000: must be'),
        ('splits/test/objects_per_class', {'circle': 8}, r'objects_per_class has other names than classes'),
        ('splits/test/objects_per_class/circle', -3, r'splits\.test\.objects_per_class\.circle is -3: must be 0'),
        ('splits/..\u2215', {}, r'splits\.\.\.∕\.num_images is missing'),
        ('resize', 'bogus', "resize is 'bogus': not one of stretch, letterbox"),
        ('image_format', 'bmp', "image_format is 'bmp': not one of jpeg, png, raw"),
        ('classes', ['circle', 'ring', 'ring', 'star', 'triangle'], "classes has 'ring' twice"),
        ('classes', [], 'classes is empty'),
        ('classes', 'circle', "classes is 'circle', not a list"),
        ('classes', ['circle', ' '], "classes has ' ', which is not a name"),
        ('classes', ['circle', 'a\nb'], r"classes has 'a\\nb', which is not a name"),
        ('classes', ['circle', '\ud800'], r"classes has '\\ud800', which is not a name"),
        ('image_size', [64, 0], r'image_size is \[64, 0\]: must be 32 or more'),
        ('image_size', [64, 65], r'image_size is \(64, 65\): not multiples of 32'),
        ('image_size', [320000, 320000], r'image_size is \[320000, 320000\]: must be 16,384 or less'),
        ('image_size', [64], 'image_size has 1 values, not 2'),
        ('anchors', [], 'anchors is empty'),
        ('anchors', [[1, 1], [0, 1]], r'anchors\[1\] is \(0\.0, 1\.0\): a side must be more than 0'),
        ('anchors', [[1, 1], [float('inf'), 1]], r'anchors\[1\]\[0\] is inf, not a finite number'),
        ('jpeg_quality', 0, 'jpeg_quality is 0: must be 1 or more'),
    ],
)
def test_descriptions_that_no_folder_has(tmp_path, place, value, reason):
    folder = edited(tmp_path, 'dataset.json', place, value)
    message = rf'data/dataset\.json: not a description that this version reads \(.*{reason}.*\); run `python -m pre'
    with pytest.raises(ValueError, match=message):
        records.read_description(folder)


def test_a_split_cannot_leave_the_folder(tmp_path):
    split = json.loads((OLD / 'dataset.json').read_text())['splits']['test']
    folder = edited(tmp_path, 'dataset.json', 'splits', {'../test': split})
    with pytest.raises(ValueError, match=r"splits has '\.\./test': a / in a name leaves the folder"):
        records.read_description(folder)


@pytest.mark.parametrize(
    ('place', 'value', 'reason'),
    [
        ('num_images', -4, r'num_images is -4: must be 0 or more'),
        ('num_images', '4', r"num_images is '4', not a whole number"),
        ('num_bytes', None, r'num_bytes is None, not a whole number'),
        ('crc32c', 2**32, r'crc32c is 4294967296: must be'),
        ('sha256', 'x', r'sha256: no such field'),
    ],
)
def test_manifests_that_no_folder_has(tmp_path, place, value, reason):
    folder = edited(tmp_path, 'manifest.json', f'shards/test.tfrecord-00000-of-00001/{place}', value)
    message = rf'data/manifest\.json: not a manifest .* \(shards\.test\.tfrecord-00000-of-00001\.{reason}.*\); run `py'
    with pytest.raises(ValueError, match=message):
        records.read_manifest(folder)


@pytest.mark.parametrize('name', ['test', '../test.tfrecord-00000-of-00001', 'test.tfrecord-00001-of-00001'])
def test_names_in_the_manifest_are_those_of_files_of_records(tmp_path, name):
    shard = {'num_images': 0, 'num_bytes': 0, 'crc32c': 0}
    folder = edited(tmp_path, 'manifest.json', 'shards', {name: shard})
    with pytest.raises(ValueError, match=rf"shards has '{name}': not the name of a file of records"):
        records.read_manifest(folder)


def test_the_manifest_counts_the_images_of_the_description(tmp_path):
    folder = edited(tmp_path, 'manifest.json', 'shards/test.tfrecord-00000-of-00001/num_images', 5)
    description = records.read_description(folder)
    records.shard_files(folder, 'trainval', description)
    message = (
        r"data/manifest\.json counts 5 images in split 'test', the dataset\.json says 4; run `python -m preprocess"
    )
    with pytest.raises(ValueError, match=message):
        records.shard_files(folder, 'test', description)


def test_what_is_written_is_read_back(tmp_path):
    folder = write_records(tmp_path)
    description, manifest = records.read_description(folder), records.read_manifest(folder)
    records.write_description(folder, description)
    records.write_manifest(folder, manifest)
    assert (records.read_description(folder), records.read_manifest(folder)) == (description, manifest)


def test_the_same_records_have_the_same_description_as_in_version_0_1_and_so_its_checksum(tmp_path):
    shutil.copytree(OLD, tmp_path / 'data')
    description = records.read_description(str(OLD))
    records.write_description(str(tmp_path / 'data'), description)
    assert (tmp_path / 'data' / 'dataset.json').read_bytes() == (OLD / 'dataset.json').read_bytes()
    assert records.data_checksum(str(tmp_path / 'data')) == records.data_checksum(str(OLD))


def test_what_version_0_1_did_not_have_is_written_where_it_is_not_the_default(tmp_path):
    description = records.read_description(str(OLD))
    counted = dataclasses.replace(description.split('test'), num_regions=5, max_regions=2)
    splits = description.splits | {'test': counted}
    changed = dataclasses.replace(description, splits=splits, channels=1, grey_range=(7, 9))
    records.write_description(str(tmp_path), changed)
    assert records.read_description(str(tmp_path)) == changed
