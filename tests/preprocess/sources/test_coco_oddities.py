"""COCO's JSON as other tools write it: ids of several kinds, images named twice, outlines without boxes."""

import json

import numpy as np
import pytest
from annotated_sets import check, coco_json, draw, is_said, notes, preprocess, read_objects, write

from preprocess.sources import coco


def write_set(tmp_path, number=2):
    """Photos, and the JSON of them as Python has it."""
    photos = {f'{i}.jpg': photo for i, photo in enumerate(draw(number))}
    for name, photo in photos.items():
        write(tmp_path / name, photo.data)
    return {name.removesuffix('.jpg'): photo for name, photo in photos.items()}, json.loads(coco_json(photos))


def convert(capfd, tmp_path, root):
    write(tmp_path / 'a.json', json.dumps(root))
    status, text = preprocess(capfd, tmp_path / 'out', f'--coco=train={tmp_path}/a.json', '--overwrite')
    assert status == 0, text
    return read_objects(tmp_path / 'out')['train'], notes(tmp_path / 'out')


def test_an_image_that_is_there_twice_has_the_objects_of_both_entries(capfd, tmp_path):
    photos, root = write_set(tmp_path)
    first = [each for each in root['annotations'] if each['image_id'] == root['images'][0]['id']]
    root['images'].append({**root['images'][0], 'id': 90, 'file_name': './0.jpg'})
    first[-1]['image_id'] = 90
    root['annotations'].append({**first[0], 'id': 91, 'image_id': 90})  # the same object again
    written, said = convert(capfd, tmp_path, root)
    assert len(first) > 1
    check(written, photos)
    assert is_said(said, r"1 images are there more than once \('0\.jpg'\): their annotations were put together")


def test_outlines_without_boxes(capfd, tmp_path):
    photos, root = write_set(tmp_path)
    for i, each in enumerate(root['annotations']):
        x, y, width, height = each['bbox']
        corners = [x, y, x + width, y, x + width, y + height, x, y + height]
        each['segmentation'] = [corners[:6], corners[2:]]
        each['bbox'] = [] if i else each.pop('bbox')
    root['annotations'].append({**root['annotations'][1], 'segmentation': {'counts': 'abc', 'size': [9, 9]}})
    written, said = convert(capfd, tmp_path, root)
    check(written, photos)
    assert is_said(
        said, f'{len(root["annotations"]) - 2} annotations have no "bbox": the box of their outline was taken'
    )


@pytest.mark.parametrize('kind', [str, float])
def test_ids_of_several_kinds(capfd, tmp_path, kind):
    photos, root = write_set(tmp_path)
    for each in root['annotations']:
        each |= {name: kind(each[name]) for name in ('image_id', 'category_id')}
    check(convert(capfd, tmp_path, root)[0], photos)
    for each in root['images']:
        each['id'] = kind(each['id'])
    check(convert(capfd, tmp_path, root)[0], photos)


def test_ids_that_differ_in_their_kind_alone(tmp_path):
    photos, root = write_set(tmp_path)
    root['images'][0]['id'], root['images'][1]['id'] = 1, '1'
    root['annotations'] = [{'id': 0, 'image_id': '1', 'category_id': 3, 'bbox': [0, 0, 5, 5]}]
    write(tmp_path / 'a.json', json.dumps(root))
    samples = coco.find({'a': str(tmp_path / 'a.json')}, '', None, 'background').source.samples
    assert [len(samples[name].annotation.names) for name in photos] == [0, 1]


@pytest.mark.parametrize('same', [True, False])
def test_an_image_in_two_splits(tmp_path, same):
    _, root = write_set(tmp_path)
    write(tmp_path / 'a.json', json.dumps(root))
    root['annotations'][0]['bbox'][2] += not same
    write(tmp_path / 'b.json', json.dumps({**root, 'images': root['images'][:1]}))
    found = coco.find({'a': str(tmp_path / 'a.json'), 'b': str(tmp_path / 'b.json')}, '', None, 'background')
    assert found.splits == {'a': ('0', '1'), 'b': ('0' if same else 'b/0',)}
    said = [note for split, note in found.notes if 'in another split' in note and split == 'b']
    assert len(said) == (not same)
    if not same:
        assert said[0].endswith(
            "1 images are in another split too, with other annotations ('0'): their ids begin with b/"
        )
        widths = [np.ptp(found.source.samples[name].annotation.boxes[0, ::2]) for name in ('0', 'b/0')]
        assert widths[1] - widths[0] == 1


def test_an_image_that_is_missing_is_not_said_to_be_written(capfd, tmp_path):
    _, root = write_set(tmp_path)
    root['images'].append({**root['images'][0], 'id': 90, 'file_name': 'nope.jpg'})
    write(tmp_path / 'a.json', json.dumps(root))
    status, text = preprocess(capfd, tmp_path / 'out', f'--coco=train={tmp_path}/a.json')
    assert status == 1
    assert 'train nope: image left out: ' in text
    assert 'have no annotation' not in text


def test_no_object_at_all_is_explained(capfd, tmp_path):
    _, root = write_set(tmp_path)
    for each in root['annotations']:
        each['image_id'] = 'x'
    write(tmp_path / 'a.json', json.dumps(root))
    status, text = preprocess(capfd, tmp_path / 'out', f'--coco=train={tmp_path}/a.json')
    assert status == 1
    assert 'no objects were found in any annotation' in text
    assert f'{len(root["annotations"])} annotations are of no image that it has: left out' in text
