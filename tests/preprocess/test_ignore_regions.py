"""Ignore regions, from annotations to records: --ignore_labels of every source, and COCO's crowds."""

import dataclasses
import json
import pathlib
from collections import Counter

import numpy as np
import pytest
from annotated_sets import CLASSES, Photo, coco_json, draw, is_said, notes, preprocess, write
from sources.test_same_objects import write_all

from preprocess import resume, verify
from preprocess.report import contact_sheet, page
from preprocess.resume import Summary
from preprocess.settings import Settings
from yolo.data import damage, records, tfrecord
from yolo.data.records import ANY_CLASS
from yolo.data.voc_folder import Source
from yolo.geometry.letterbox import to_canvas

SPLITS = {'train': [f'p{i}' for i in range(6)], 'val': ['p6', 'p7']}


@pytest.fixture(scope='module')
def photos() -> dict[str, Photo]:
    return {f'p{i}': photo for i, photo in enumerate(draw(8, seed=4))}


def relative(photo: Photo, chosen: list[int]) -> np.ndarray:
    height, width = photo.size
    return (photo.boxes[chosen] - [1, 1, 0, 0]) / [width, height, width, height]


def read(folder: pathlib.Path, split: str) -> dict[str, records.Record]:
    """The records of a split by the last part of their ids."""
    found = {}
    for path in records.shard_paths(str(folder), split, records.read_description(str(folder))):
        with open(path, 'rb') as file:
            for record in map(records.deserialize, tfrecord.unframe(file, path)):
                found[record.image_id.split('/')[-1]] = record
    return found


@pytest.mark.parametrize('kind', ['voc', 'labelimg', 'coco', 'yolo'])
@pytest.mark.parametrize('resize', ['stretch', 'letterbox'])
def test_names_that_are_ignored_are_regions_of_any_class_in_every_source(capfd, tmp_path, photos, kind, resize):
    words = [*write_all(tmp_path, photos, SPLITS)[kind], f'--resize={resize}', '--ignore_labels=no']
    status, text = preprocess(capfd, tmp_path / 'out', *words)
    assert status == 0, text
    description = records.read_description(str(tmp_path / 'out'))
    assert description.classes == ('cat', 'dog')
    assert verify.verify(str(tmp_path / 'out'), 1)[1] == []
    numbers = []
    for split, ids in SPLITS.items():
        for image_id, record in read(tmp_path / 'out', split).items():
            photo = photos[image_id]
            is_region = [name == 'no' for name in photo.names]
            boxes = relative(photo, [i for i, region in enumerate(is_region) if not region])
            regions = relative(photo, [i for i, region in enumerate(is_region) if region])
            place = [photo.size], (64, 64), resize
            np.testing.assert_allclose(record.boxes, to_canvas(boxes, *place), atol=1e-6)
            np.testing.assert_allclose(record.regions, to_canvas(regions, *place), atol=1e-6)
            assert [('cat', 'dog')[label] for label in record.labels] == [name for name in photo.names if name != 'no']
            assert record.region_labels.tolist() == [ANY_CLASS] * sum(is_region)
        counts = [photos[image_id].names.count('no') for image_id in ids]
        assert (description.split(split).num_regions, description.split(split).max_regions) == (
            sum(counts),
            max(counts),
        )
        numbers.append(sum(counts))
    assert min(numbers) > 0
    assert is_said([text], rf'ignored +{numbers[0]} +{numbers[1]}\n')
    assert ['ignore regions', *map(str, numbers)] in page._table(description)


def coco(folder: pathlib.Path, photos: dict[str, Photo], crowds: set[tuple[str, int]]) -> str:
    """COCO's folder, in which the objects (id, number) are crowds; the flag that reads it."""
    root = json.loads(coco_json({f'{name}.jpg': photo for name, photo in photos.items()}))
    places = [(name, i) for name, photo in photos.items() for i in range(len(photo.names))]
    for row, place in zip(root['annotations'], places, strict=True):
        row['iscrowd'] = int(place in crowds)
    for name, photo in photos.items():
        write(folder / f'{name}.jpg', photo.data)
    write(folder / 'train.json', json.dumps(root))
    return f'--coco=train={folder}/train.json'


def test_crowds_are_regions_of_their_class(capfd, tmp_path, photos):
    crowds = {('p0', 0), ('p2', 1), ('p2', 0)}
    status, text = preprocess(capfd, tmp_path / 'out', coco(tmp_path, photos, crowds))
    assert status == 0, text
    assert 'left out' not in text.replace('left out  ', '')  # but for the row of the table
    found = read(tmp_path / 'out', 'train')
    for name, photo in photos.items():
        of_crowds = [i for i in range(len(photo.names)) if (name, i) in crowds]
        np.testing.assert_allclose(found[name].regions, relative(photo, of_crowds), atol=1e-6)
        assert [CLASSES[label] for label in found[name].region_labels] == [photo.names[i] for i in of_crowds]
        assert len(found[name].boxes) == len(photo.names) - len(of_crowds)


@pytest.mark.parametrize('crowds', [{('p0', 0)}, set()])
def test_records_of_before_without_the_crowds_are_not_taken_for_these(capfd, tmp_path, photos, crowds):
    word = coco(tmp_path, photos, crowds)
    assert preprocess(capfd, tmp_path / 'out', word)[0] == 0
    manifest = records.read_manifest(str(tmp_path / 'out'))
    for name in {'crowds', 'annotations', 'ignore_labels'} & set(manifest.settings):  # before, there were none of these
        del manifest.settings[name]
    records.write_manifest(str(tmp_path / 'out'), manifest)
    status, text = preprocess(capfd, tmp_path / 'out', word)
    if crowds:
        assert status == 1
        assert is_said([text], 'crowds: "left out" there, "regions" now; --overwrite')
    else:
        assert (status, 'holds these records already' in text) == (0, True)


def test_a_class_that_only_crowds_have_is_a_class(capfd, tmp_path, photos):
    one = {'p0': dataclasses.replace(photos['p0'], names=('dog', *['cat'] * (len(photos['p0'].names) - 1)))}
    status, text = preprocess(capfd, tmp_path / 'out', coco(tmp_path, one, {('p0', 0)}))
    assert status == 0, text
    description = records.read_description(str(tmp_path / 'out'))
    assert description.classes == ('cat', 'dog')
    assert description.split('train').objects_per_class['dog'] == 0
    assert read(tmp_path / 'out', 'train')['p0'].region_labels.tolist() == [1]
    assert is_said([text], r"1 class of crowds only, .*'dog' \(1 crowd\); --ignore_labels makes")
    assert not is_said([text], 'of --labels without')


def test_a_crowd_of_an_ignored_name_is_of_any_class_and_a_map_comes_first(capfd, tmp_path, photos):
    one = {'p0': dataclasses.replace(photos['p0'], names=('dog', *['cat'] * (len(photos['p0'].names) - 1)))}
    words = [coco(tmp_path, one, {('p0', 0)}), '--label_map=dog=other', '--ignore_labels=other,othr']
    status, text = preprocess(capfd, tmp_path / 'out', *words)
    assert status == 0, text
    assert records.read_description(str(tmp_path / 'out')).classes == ('cat',)
    assert read(tmp_path / 'out', 'train')['p0'].region_labels.tolist() == [ANY_CLASS]
    assert is_said(notes(tmp_path / 'out'), r"--ignore_labels names 'othr', .* there are .*'other' \(1\)")


def test_a_name_is_a_class_or_ignored():
    with pytest.raises(ValueError, match="--ignore_labels: 'cat' is among the labels"):
        Settings(Source('a', 'b'), {'train': 'x'}, 'out', labels=('cat', 'dog'), ignore_labels=('cat',))


def test_strict_keeps_an_image_whose_region_is_drawn_past_the_edge(capfd, tmp_path, photos):
    height, width = photos['p0'].size
    one = Photo(photos['p0'].data, (height, width), ('cat', 'no'), np.array([[2, 2, 30, 30], [-9, 0, width + 5, 40]]))
    words = [*write_all(tmp_path, {'p0': one}, {'train': ['p0']})['voc'], '--strict']
    status, text = preprocess(capfd, tmp_path / 'out', *words, '--ignore_labels=no')
    assert status == 0, text
    np.testing.assert_allclose(read(tmp_path / 'out', 'train')['p0'].regions, [[0, 0, 1, 40 / height]], atol=1e-6)
    assert not is_said([text], 'clipped|begins at 0')
    assert preprocess(capfd, tmp_path / 'objects', *words)[0] != 0  # an object is another matter


def test_a_region_that_is_left_out_is_said_and_is_no_box_that_is_lost(capfd, tmp_path, photos):
    boxes = np.array([[2, 2, 30, 30], [9, 9, 9, 9], [500, 2, 520, 9]])
    one = Photo(photos['p0'].data, photos['p0'].size, ('cat', 'no', 'cat'), boxes)
    words = write_all(tmp_path, {'p0': one}, {'train': ['p0']})['voc']
    status, text = preprocess(capfd, tmp_path / 'out', *words, '--ignore_labels=no')
    assert status == 0, text
    described = records.read_description(str(tmp_path / 'out')).split('train')
    assert (described.num_objects, described.num_regions, described.boxes_left_out) == (1, 0, 1)
    assert is_said([text], r"noted: object 2 'no' \(9, 9, 9, 9\): an ignore region that is left out: it has no area")


def test_they_are_settings_of_the_records(capfd, tmp_path, photos):
    words = write_all(tmp_path, photos, SPLITS)['voc']
    assert preprocess(capfd, tmp_path / 'out', *words, '--ignore_labels=no')[0] == 0
    status, text = preprocess(capfd, tmp_path / 'out', *words)
    assert status == 1
    assert is_said([text], 'ignore_labels: ."no".* there, null now')


def test_a_record_without_regions_has_the_bytes_that_it_had():
    record = records.Record('x', b'image', (3, 4), np.zeros((1, 4)), np.zeros(1), np.zeros(1, bool), np.zeros((1, 3)))
    assert b'regions' not in records.serialize(record)
    back = records.deserialize(records.serialize(record))
    assert (back.regions.shape, back.region_labels.shape) == ((0, 4), (0,))


def test_regions_of_a_record_come_back_and_its_image_stays_first():
    rng = np.random.default_rng(0)
    regions, labels = rng.random((5, 4)).astype(np.float32), np.array([-1, 0, 3, 2, -1])
    nothing = np.zeros((0, 4)), np.zeros(0), np.zeros(0, bool), np.zeros((0, 3))
    data = records.serialize(records.Record('x', b'i' * 300, (3, 4), *nothing, regions, labels))
    back = records.deserialize(data)
    np.testing.assert_array_equal(back.regions, regions)
    np.testing.assert_array_equal(back.region_labels, labels)
    assert data.index(b'i' * 300) < 64  # label_reading skips it


@pytest.fixture
def written(capfd, tmp_path, photos) -> pathlib.Path:
    """Records with regions."""
    words = write_all(tmp_path, photos, SPLITS)['voc']
    assert preprocess(capfd, tmp_path / 'out', *words, '--ignore_labels=no', '--image_format=png')[0] == 0
    return tmp_path / 'out'


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        ({'regions': np.array([[0.5, 0.5, 0.2, 0.7]])}, 'an ignore region is not within the image, or without area'),
        ({'region_labels': np.array([2])}, 'the class of an ignore region is none of the 2'),
        ({'region_labels': np.array([0, 1])}, 'it has 1 ignore regions and 2 classes of them'),
        ({'regions': np.tile([[0, 0, 1, 1]], (9, 1)), 'region_labels': np.zeros(9)}, 'it has 9 ignore regions'),
    ],
)
def test_verify_sees_what_is_wrong_with_a_region(written, changes, said):
    description = records.read_description(str(written))
    record = next(iter(read(written, 'train').values()))
    record = dataclasses.replace(record, regions=np.array([[0, 0, 1, 1]]), region_labels=np.array([-1]))
    size, damaged = description.image_size, dataclasses.replace(record, **changes)
    assert list(verify._record_problems(description, record, size)) == []
    assert is_said(list(verify._record_problems(description, damaged, size)), said)
    if said.startswith('it has'):
        assert is_said(list(damage.unreadable(description, damaged, size)), said)


def test_verify_compares_the_counts(written):
    text = (written / 'dataset.json').read_text()
    number = records.read_description(str(written)).split('train').num_regions
    (written / 'dataset.json').write_text(text.replace(f'"num_regions": {number}', f'"num_regions": {number + 1}', 1))
    assert is_said(verify.verify(str(written), 1)[1], f'has num_regions {number}, the dataset.json says {number + 1}')


def test_counts_that_cannot_be_are_refused(written):
    text = (written / 'dataset.json').read_text()
    (written / 'dataset.json').write_text(text.replace('"max_regions": ', '"max_regions": 9'))
    with pytest.raises(ValueError, match=r'splits.train.max_regions is 9\d, but 6 images have'):
        records.read_description(str(written))


def test_the_sheet_hatches_them_and_says_so(written):
    sheet, _ = contact_sheet.make_sheet(str(written), 'train', 6)
    image = np.zeros((64, 64, 3), np.uint8)
    args = np.zeros((0, 4)), np.zeros(0, int), np.zeros((0, 3), int), [(1, 1)], ('cat',)
    plain = contact_sheet.draw_record(image, *args)
    drawn = contact_sheet.draw_record(image, *args, (np.array([[0.5, 0, 1, 0.5]]), np.array([-1])))
    half = drawn.shape[0] // 2
    changed = (drawn != plain).any(-1)
    assert 0.15 < changed[:half, half:].mean() < 0.5
    assert not changed[:, :half].any()
    assert not changed[half:].any()
    assert sheet.shape[2] == 3


def test_tensorflow_datasets_reads_them(written):
    tfds = pytest.importorskip('tensorflow_datasets')
    builder = tfds.builder_from_directory(str(written))
    expected = read(written, 'train')
    seen = 0
    for example in tfds.as_numpy(builder.as_dataset(split='train')):
        record = expected[example['image/id'].decode()]
        np.testing.assert_array_equal(example['regions']['box'], record.regions)
        np.testing.assert_array_equal(example['regions']['label'], record.region_labels)
        seen += len(record.regions)
    assert seen == records.read_description(str(written)).split('train').num_regions


def test_a_killed_run_goes_on_with_the_counts_of_finished_shards(tmp_path):
    summary = Summary(num_regions=3, max_regions=2, dropped=Counter({'a': 4, 'é': 1}), crowds=Counter({'b': 2}))
    path = str(tmp_path / 'train.tfrecord-00000-of-00001')
    resume.note(path, records.ShardFile(0, 0, 0), summary)
    noted = resume.read_note(path).summary
    total = Summary(num_regions=1, max_regions=1, dropped=Counter({'a': 1}), crowds=Counter({'b': 3}))
    total.add(noted)
    assert (total.num_regions, total.max_regions) == (4, 2)
    assert total.dropped == {'a': 5, 'é': 1}
    assert total.crowds == {'b': 5}
