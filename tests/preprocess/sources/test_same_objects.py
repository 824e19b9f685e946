"""The same photos and objects as VOC, LabelImg, COCO and YOLO give the same records."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
from annotated_sets import CLASSES, Photo, check, coco_json, draw, preprocess, read_objects, voc_xml, write, yolo_text
from conftest import REALDATA, ROOT

from yolo.data import image_size, voc_folder


def write_all(folder: pathlib.Path, photos: dict[str, Photo], splits: dict[str, list[str]]) -> dict[str, list[str]]:
    """The photos in each layout; the flags that read it."""
    of_split = {split: {f'{name}.jpg': photos[name] for name in names} for split, names in splits.items()}
    for name, photo in photos.items():
        for place in ('VOC/JPEGImages', 'labelimg/photos', 'coco/images'):
            write(folder / place / f'{name}.jpg', photo.data)
        write(folder / f'VOC/Annotations/{name}.xml', voc_xml(photo))
        write(folder / f'labelimg/{name}.xml', voc_xml(photo))
    for split, members in of_split.items():
        write(folder / f'VOC/ImageSets/Main/{split}.txt', '\n'.join(splits[split]))
        write(folder / f'{split}.txt', '\n'.join(members))  # with suffixes
        write(folder / f'coco/{split}.json', coco_json(members))
        for name, photo in members.items():
            write(folder / f'yolo/images/{split}/{name}', photo.data)
            write(folder / f'yolo/labels/{split}/{name}'.replace('.jpg', '.txt'), yolo_text(photo))
    lines = [f'{split}: images/{split}' for split in splits]
    write(folder / 'yolo/data.yaml', '\n'.join(['path: .', *lines, f'names: [{", ".join(CLASSES)}]']))
    names = ','.join(splits)
    return {
        'voc': [f'--voc_dir={folder}/VOC', f'--splits={names}'],
        'labelimg': [
            f'--images_dir={folder}/labelimg',
            '--split_files=' + ','.join(f'{split}={folder}/{split}.txt' for split in splits),
        ],
        'coco': ['--coco=' + ','.join(f'{split}={folder}/coco/{split}.json' for split in splits)],
        'yolo': [f'--yolo={folder}/yolo/data.yaml'],
    }


def compare(capfd, folder: pathlib.Path, photos: dict[str, Photo], splits: dict[str, list[str]]) -> None:
    layouts = write_all(folder, photos, splits)
    found = {}
    for kind, words in layouts.items():
        status, text = preprocess(capfd, folder / f'out_{kind}', *words)
        assert status == 0, text
        written = read_objects(folder / f'out_{kind}')
        found[kind] = {
            (split, image_id.split('/')[-1]): objects
            for split, images in written.items()
            for image_id, objects in images.items()
        }
    assert len(found['voc']) == sum(map(len, splits.values()))
    for kind, written in found.items():
        assert written.keys() == found['voc'].keys(), kind
        for key, (names, boxes) in found['voc'].items():
            assert written[key][0] == names, (kind, key)
            np.testing.assert_allclose(written[key][1], boxes, atol=2e-7, err_msg=f'{kind} {key}')


@pytest.mark.parametrize('seed', range(2))
def test_drawn_photos(capfd, tmp_path, seed):
    photos = {f'p{i}': photo for i, photo in enumerate(draw(12, seed))}
    compare(capfd, tmp_path, photos, {'train': [f'p{i}' for i in range(8)], 'val': [f'p{i}' for i in range(8, 12)]})


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['voc', 'labelimg', 'coco', 'yolo'])
def test_real_processes(tmp_path, kind):
    """With workers, which get the annotations of their images, and again: the records are there already."""
    photos = {f'p{i}': photo for i, photo in enumerate(draw(30))}
    splits = {'train': [f'p{i}' for i in range(24)], 'val': [f'p{i}' for i in range(24, 30)]}
    words = [sys.executable, '-m', 'preprocess', *write_all(tmp_path, photos, splits)[kind]]
    words += [f'--out_dir={tmp_path}/out', '--image_size=64', '--workers=2', '--num_shards=4']
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    written = read_objects(tmp_path / 'out')
    for split, names in splits.items():
        by_name = {image_id.split('/')[-1]: objects for image_id, objects in written[split].items()}
        check(by_name, {name: photos[name] for name in names})
    assert (tmp_path / 'out/report.html').exists()
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert 'holds these records already, whole' in done.stdout


@pytest.mark.slow
@pytest.mark.realdata
def test_bccd(capfd, tmp_path, monkeypatch):
    names = ('Platelets', 'RBC', 'WBC')
    monkeypatch.setattr('annotated_sets.CLASSES', names)
    monkeypatch.setattr('test_same_objects.CLASSES', names)
    folder = REALDATA / 'bccd'
    source = voc_folder.Source(str(folder / 'Annotations'), str(folder / 'JPEGImages'))
    photos, splits = {}, {}
    for split in ('trainval', 'test'):
        ids = voc_folder.read_split(str(folder / f'ImageSets/Main/{split}.txt'))
        key = {'trainval': 'train', 'test': 'val'}[split]
        splits[key] = ids
        for image_id in ids:
            annotation = voc_folder.read_annotation(source, image_id)
            data = (folder / f'JPEGImages/{image_id}.jpg').read_bytes()
            kept = (annotation.boxes[:, 2:] > annotation.boxes[:, :2]).all(1)
            kept_names = tuple(np.array(annotation.names)[kept].tolist())
            size = image_size.size_in_header(data)
            photos[image_id] = Photo(data, size, kept_names, annotation.boxes[kept].astype(int))
    compare(capfd, tmp_path, photos, splits)
