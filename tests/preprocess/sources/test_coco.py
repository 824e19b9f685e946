"""COCO's JSON, as COCO and Roboflow lay it out, and damaged."""

import json

import numpy as np
import pycocotools.coco
import pytest
from annotated_sets import check, coco_json, draw, is_said, notes, preprocess, read_objects, write

from preprocess.sources import coco
from yolo.data.problems import LEFT_OUT_BOX


def test_cocos_own_layout(capfd, tmp_path):
    """annotations/instances_*.json beside a folder of images for each; numbers as names, equal in both."""
    photos = draw(4)
    splits = {'train': photos[:2], 'val': photos[2:]}
    for split, members in splits.items():
        for i, photo in enumerate(members):
            write(tmp_path / f'{split}2017/{i}.jpg', photo.data)
        named = {f'{i}.jpg': photo for i, photo in enumerate(members)}
        write(tmp_path / f'annotations/instances_{split}2017.json', coco_json(named))
    words = ','.join(f'{split}={tmp_path}/annotations/instances_{split}2017.json' for split in splits)
    status, text = preprocess(capfd, tmp_path / 'out', f'--coco={words}')
    assert status == 0, text
    written = read_objects(tmp_path / 'out')
    for split, members in splits.items():
        check(written[split], {f'{split}2017/{i}': photo for i, photo in enumerate(members)})
    assert notes(tmp_path / 'out') == []


def test_images_in_a_folder_of_their_own(capfd, tmp_path):
    photos = draw(3)
    for i, photo in enumerate(photos):
        write(tmp_path / f'photos/deep/IMG {i}.jpg', photo.data)
    write(tmp_path / 'a.json', coco_json({f'C:\\me\\IMG_{i}.JPG': photo for i, photo in enumerate(photos)}))
    words = (f'--coco=train={tmp_path}/a.json', f'--images_dir={tmp_path}/photos')
    status, text = preprocess(capfd, tmp_path / 'out', *words)
    assert status == 0, text
    check(read_objects(tmp_path / 'out')['train'], {f'deep/IMG {i}': photo for i, photo in enumerate(photos)})


def test_a_roboflow_export_as_it_was_unzipped(capfd, tmp_path):
    photos, expected = draw(3), {}
    for split, photo in zip(('train', 'valid', 'test'), photos, strict=True):
        name = f'a_jpg.rf.{split}'
        write(tmp_path / f'zip/{split}/{name}.jpg', photo.data)
        write(tmp_path / f'zip/{split}/_annotations.coco.json', coco_json({f'{name}.jpg': photo}))
        expected[split] = {f'{split}/{name}': photo}
    status, text = preprocess(capfd, tmp_path / 'out', f'--images_dir={tmp_path}/zip')
    assert status == 0, text
    assert "was taken for COCO's JSON as Roboflow exports it: it has test/_annotations.coco.json, train/" in text
    written = read_objects(tmp_path / 'out')
    assert list(written) == ['train', 'valid', 'test']
    for split, members in expected.items():
        check(written[split], members)


def test_what_coco_ignores_is_difficult(capfd, tmp_path):
    """But for crowds, which are ignore regions; `ignore` may be missing."""
    photos = draw(2)
    root = json.loads(coco_json({f'{i}.jpg': photo for i, photo in enumerate(photos)}))
    root['annotations'][0]['ignore'], root['annotations'][-1]['ignore'] = 1, 0
    root['annotations'].append({**root['annotations'][0], 'id': 900, 'iscrowd': 1})
    for i, photo in enumerate(photos):
        write(tmp_path / f'{i}.jpg', photo.data)
    write(tmp_path / 'a.json', json.dumps(root))
    status, text = preprocess(capfd, tmp_path / 'out', f'--coco=train={tmp_path}/a.json')
    assert status == 0, text
    split = json.loads((tmp_path / 'out/dataset.json').read_text())['splits']['train']
    assert (split['num_difficult'], split['num_regions']) == (1, 1)
    check(read_objects(tmp_path / 'out')['train'], {str(i): photo for i, photo in enumerate(photos)})


@pytest.mark.parametrize('flag', ['background', 'leave_out'])
def test_what_is_odd_is_said(capfd, tmp_path, flag):
    photos = draw(3)
    root = json.loads(coco_json({f'{i}.jpg': photo for i, photo in enumerate(photos)}))
    first = root['images'][0]['id']
    crowd = {'id': 900, 'image_id': first, 'category_id': 3, 'bbox': [0, 0, 50, 50], 'iscrowd': 1}
    nameless = {'id': 901, 'image_id': first, 'category_id': 77, 'bbox': [0, 0, 50, 50]}
    flat = {'id': 902, 'image_id': first, 'category_id': 3, 'bbox': [5, 5, 0, 10]}
    boxless = {'id': 903, 'image_id': first, 'category_id': 3, 'bbox': 'none'}
    lost = {'id': 904, 'image_id': 12345, 'category_id': 3, 'bbox': [0, 0, 50, 50]}
    root['annotations'] += [crowd, nameless, flat, boxless, lost]
    root['annotations'] = [each for each in root['annotations'] if each['image_id'] != root['images'][2]['id']]
    for i, photo in enumerate(photos[:2] if flag == 'leave_out' else photos):
        write(tmp_path / f'{i}.jpg', photo.data)
    write(tmp_path / 'a.json', json.dumps(root))
    status, text = preprocess(capfd, tmp_path / 'out', f'--coco=train={tmp_path}/a.json', f'--unlabelled={flag}')
    assert status == 0, text
    written = read_objects(tmp_path / 'out')['train']
    assert ('2' in written) == (flag == 'background')
    check({i: written[i] for i in '01'}, {str(i): photos[i] for i in range(2)})
    problems = json.loads((tmp_path / 'out/report.json').read_text())['problems']
    reasons = [p['reason'] for p in problems if p['kind'] == LEFT_OUT_BOX]
    assert len(reasons) == 3  # a crowd is an ignore region
    assert is_said(
        reasons,
        'annotation 901: its category has no name',
        r"'cat' \(6, 6, 5, 15\): it has no area",
        r"'cat' \(nan, nan, nan, nan\): its coordinates are not numbers",
    )
    assert is_said(
        notes(tmp_path / 'out'), 'a.json: 1 annotations are of no image that it has', '1 of 3 images have no'
    )


def test_the_same_json_through_pycocotools(tmp_path):
    """Another reader of the format finds the same names and boxes."""
    photos = {f'{i}.jpg': photo for i, photo in enumerate(draw(8))}
    write(tmp_path / 'a.json', coco_json(photos))
    for name, photo in photos.items():
        write(tmp_path / name, photo.data)
    samples = coco.find({'a': str(tmp_path / 'a.json')}, '', None, 'background').source.samples
    judge = pycocotools.coco.COCO(str(tmp_path / 'a.json'))
    for image in judge.loadImgs(judge.getImgIds()):
        objects = judge.loadAnns(judge.getAnnIds([image['id']]))
        annotation = samples[image['file_name'].removesuffix('.jpg')].annotation
        assert list(annotation.names) == [judge.cats[each['category_id']]['name'] for each in objects]
        boxes = annotation.boxes - [1, 1, 0, 0]
        boxes[:, 2:] -= boxes[:, :2]
        np.testing.assert_allclose(boxes, [each['bbox'] for each in objects])


def change(**fields):
    return {**json.loads(coco_json({'0.jpg': draw(1)[0]})), **fields}


IMAGE = {'id': 1, 'file_name': '0.jpg', 'height': 9, 'width': 9}


@pytest.mark.parametrize(
    ('root', 'message'),
    [
        ([], '"categories" is not a list of objects'),
        (change(images=3), '"images" is not a list of objects'),
        (change(annotations=[3]), '"annotations" is not a list of objects'),
        (change(images=[{'id': 1}]), r'images\[0\] has no "id" or no "file_name"'),
        (change(categories=[{'id': [], 'name': 'a'}]), r'categories\[0\] has no "id" or no "name"'),
        (change(images=[IMAGE, IMAGE]), '1 ids of "images" are there twice'),
        (
            change(images=[{**IMAGE, 'file_name': 'b.jpg'}]),
            r"names 1 images \('b.jpg'\), none of which is in .*; give the folder of the images by",
        ),
        (
            change(images=[{**IMAGE, 'file_name': 'c.jpg'}]),
            r"images \('c.jpg'\), which may be more than one.*'x/c.jpg' and 'y/c.jpg'",
        ),
    ],
)
def test_files_that_are_not_cocos(tmp_path, root, message):
    write(tmp_path / '0.jpg', draw(1)[0].data)
    for folder in 'xy':
        write(tmp_path / folder / 'c.jpg', b'')
    write(tmp_path / 'a.json', json.dumps(root))
    with pytest.raises(ValueError, match=message):
        coco.find({'a': str(tmp_path / 'a.json')}, '', None, 'background')


@pytest.mark.parametrize('text', ['', '{', '[' * 10**5, '1' * 5000, '\ud800'])
def test_files_that_are_not_json(tmp_path, text):
    (tmp_path / 'a.json').write_bytes(text.encode(errors='surrogatepass'))
    with pytest.raises(ValueError, match=r'a\.json is not (JSON|COCO)'):
        coco.find({'a': str(tmp_path / 'a.json')}, '', None, 'background')


def test_flags_of_coco(capfd, tmp_path):
    for words, message in (
        (('--coco=a.json',), "--coco: 'a.json' is not name=file"),
        (('--coco=a=a.json,a=b.json',), 'a name is there twice'),
        ((f'--coco=a={tmp_path}/a.json',), 'no file '),
    ):
        status, text = preprocess(capfd, tmp_path / 'out', *words)
        assert status == 1
        assert message in text
