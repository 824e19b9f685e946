"""Which pixels the boxes of each format mean: photos that EXIF turns, edges, and numbers that are no shares."""

import json

import numpy as np
import pytest
from annotated_sets import CLASSES, coco_json, draw, preprocess, read_objects, write, yolo_text
from conftest import turned_photo

from yolo.data import images, orientation, records, tfrecord

YAML = f'names: [{", ".join(CLASSES)}]\ntrain: images\n'


def stored_image(out_dir):
    """The image (H, W, 3) of the only record."""
    description = records.read_description(str(out_dir))
    [path] = records.shard_paths(str(out_dir), 'train', description)
    with open(path, 'rb') as file:
        [record] = map(records.deserialize, tfrecord.unframe(file, path))
    return images.decode_stored(record.image, description.image_format, description.image_size)


@pytest.mark.parametrize('turn', [3, 5])
def test_yolo_boxes_are_of_the_upright_photo_whatever_its_size(capfd, tmp_path, turn):
    """A half turn, and a square photo: the size does not show that they are turned."""
    stored = np.zeros((64, 64, 3), np.uint8)
    stored[:20, :40] = 250
    upright = orientation.apply(stored, turn)
    write(tmp_path / 'images/a.jpg', turned_photo(stored, turn))
    write(tmp_path / 'labels/a.txt', '0 0.5 0.5 0.2 0.4')
    write(tmp_path / 'data.yaml', YAML)
    words = [f'--yolo={tmp_path}/data.yaml', '--strict', '--image_format=png']
    status, text = preprocess(capfd, tmp_path / 'out', *words)
    assert status == 0, text
    assert abs(stored_image(tmp_path / 'out').astype(int) - upright).mean() < 3
    assert abs(read_objects(tmp_path / 'out')['train']['images/a'][1] - [0.4, 0.3, 0.6, 0.7]).max() < 1e-6


@pytest.mark.parametrize('kind', ['coco', 'yolo'])
def test_a_box_that_begins_before_the_edge_is_clipped_where_pixels_are_not_counted_from_1(capfd, tmp_path, kind):
    photo = draw(1)[0]
    height, width = photo.size
    write(tmp_path / 'images/a.jpg', photo.data)
    if kind == 'coco':
        root = json.loads(coco_json({'a.jpg': photo}))
        root['annotations'][0]['bbox'][0] = -0.5
        write(tmp_path / 'a.json', json.dumps(root))
        words = [f'--coco=train={tmp_path}/a.json']
    else:
        write(tmp_path / 'data.yaml', YAML)
        write(tmp_path / 'labels/a.txt', f'0 {4.5 / width} 0.5 {10 / width} 0.2')
        words = [f'--yolo={tmp_path}/data.yaml']
    status, text = preprocess(capfd, tmp_path / 'out', *words)
    assert status == 0, text
    assert f': clipped to the image of {width} x {height}' in text
    assert 'begin at 0' not in text
    status, text = preprocess(capfd, tmp_path / 'strict', *words, '--strict')
    assert status == 1


def test_numbers_that_are_pixels_are_said_aloud(capfd, tmp_path):
    for i, photo in enumerate(draw(3)):
        write(tmp_path / f'images/{i}.jpg', photo.data)
        write(tmp_path / f'labels/{i}.txt', '0 40 30 20 20\n1 20 20 10 10' if i else yolo_text(photo))
    write(tmp_path / 'data.yaml', YAML)
    status, text = preprocess(capfd, tmp_path / 'out', f'--yolo={tmp_path}/data.yaml')
    assert status == 0, text
    reason = 'its numbers are no shares of the image, 0..1; are they pixels?'
    lines = [line.strip() for line in text.splitlines() if reason in line]
    kept = len(draw(1)[0].names)
    assert lines[0].startswith(f'4 x box left out: {reason}; in 2 images')  # whatever the line
    assert lines[1].startswith(
        f'warning: {100 * 4 / (4 + kept):.0f} % of the boxes of train (4 of {4 + kept}) are left out'
    )
    assert '  4 x box left out' in text
    problems = json.loads((tmp_path / 'out/report.json').read_text())['problems']
    assert (
        sorted(p['reason'][:8] for p in problems if p['kind'] == 'box left out') == ['line 1: '] * 2 + ['line 2: '] * 2
    )


def test_numbers_that_are_all_pixels_are_an_error_that_says_so(capfd, tmp_path):
    write(tmp_path / 'images/a.jpg', draw(1)[0].data)
    write(tmp_path / 'labels/a.txt', '0 40 30 20 20')
    write(tmp_path / 'data.yaml', YAML)
    status, text = preprocess(capfd, tmp_path / 'out', f'--yolo={tmp_path}/data.yaml')
    assert status == 1
    assert 'no objects were found in any annotation' in text
    assert '(what is in them: line 1: its numbers are no shares of the image, 0..1; are they pixels?)' in text


def test_boxes_of_other_classes_are_left_out_on_purpose(capfd, tmp_path):
    for i, photo in enumerate(draw(9)):
        write(tmp_path / f'images/{i}.jpg', photo.data)
        write(tmp_path / f'labels/{i}.txt', yolo_text(photo))
    write(tmp_path / 'data.yaml', YAML)
    status, text = preprocess(capfd, tmp_path / 'out', f'--yolo={tmp_path}/data.yaml', '--labels=cat')
    assert status == 0, text
    assert 'its name is not among the labels' in text
    assert 'are left out: ' not in text
