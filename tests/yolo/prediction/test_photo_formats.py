"""Photos to the files of other programs, by the same way as drawings and JSON."""

import dataclasses
import json
import signal
import threading

import numpy as np
import pytest
from conftest import turned_photo
from prediction_cases import BOXES, make_detector, write_photos

from yolo.data.voc_xml import parse_annotation
from yolo.prediction import photos, writers
from yolo.prediction.stop import Stop


def test_each_format_has_all_photos_and_nothing_else_is_written(tmp_path):
    paths = write_photos(tmp_path / 'in', 7)
    out = tmp_path / 'out'
    out.mkdir()
    counts = photos.predict_photos(make_detector(), paths, str(out), Stop(), writers.OF_PHOTOS)
    assert counts == photos.Counts(images=7, objects=14)
    names = [f'{i:03d}' for i in range(7)]
    assert sorted(str(path.relative_to(out)) for path in out.rglob('*') if path.is_file()) == sorted(
        [f'xml/{name}.xml' for name in names]
        + [f'{folder}/{name}.txt' for folder in ('yolo', 'yolo_scores') for name in [*names, 'classes']]
        + ['coco_detections.json', 'coco_images.json']
    )
    for i, name in enumerate(names):
        side = 40 + 20 * (i % 3)
        annotation = parse_annotation((out / f'xml/{name}.xml').read_bytes())
        assert annotation.filename == f'{name}.png'
        assert annotation.size == (side, side)
        assert annotation.names == ('dog', 'cat')
        np.testing.assert_allclose(annotation.boxes - [1, 1, 0, 0], BOXES * side, atol=0.5)
        assert (out / f'yolo/{name}.txt').read_text() == (
            '1 0.500000 0.750000 0.500000 0.500000\n0 0.250000 0.375000 0.500000 0.250000\n'
        )
        assert (out / f'yolo_scores/{name}.txt').read_text().startswith('1 0.500000 0.750000 0.500000 0.500000 0.9')
    assert (out / 'yolo/classes.txt').read_text() == 'cat\ndog\n'
    images = json.loads((out / 'coco_images.json').read_text())['images']
    assert [image['file_name'] for image in images] == paths
    rows = json.loads((out / 'coco_detections.json').read_text())
    assert [row['image_id'] for row in rows] == [i for i in range(7) for _ in range(2)]
    assert rows[1] == {'image_id': 0, 'category_id': 0, 'bbox': [0.0, 10.0, 20.0, 10.0], 'score': 0.4}


def test_turned_photos_are_upright_everywhere_but_where_the_xml_could_not_say_so(tmp_path, caplog):
    stored = np.full((40, 80, 3), 40, np.uint8)
    for turn in (6, 3, 4):
        (tmp_path / f'{turn}.jpg').write_bytes(turned_photo(stored, turn))
    paths = [f'{tmp_path}/{turn}.jpg' for turn in (6, 3, 4)]
    photos.predict_photos(make_detector(), paths, str(tmp_path), Stop(), (*writers.OF_PHOTOS, writers.JSON))
    listed = json.loads((tmp_path / 'detections.json').read_text())
    assert [(entry['width'], entry['height']) for entry in listed] == [(40, 80), (80, 40), (80, 40)]
    assert listed[0]['detections'][0] == {
        **{'label': 'dog', 'score': 0.9},
        **{'xmin': 10.0, 'ymin': 40.0, 'xmax': 30.0, 'ymax': 80.0},
    }
    upright, upside_down = (parse_annotation((tmp_path / f'xml/{turn}.xml').read_bytes()) for turn in (6, 3))
    assert upright.size == (80, 40)
    assert upright.boxes[0].tolist() == [11, 41, 30, 80]
    assert upside_down.size == (40, 80)
    assert upside_down.boxes[0].tolist() == [21, 1, 60, 20]  # of the lower half, which is stored as the upper one
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith(f'2 photos, such as {tmp_path}/3.jpg, are turned by EXIF in a way that their size does not')


def test_photos_of_one_name_have_a_file_each_and_it_is_said(tmp_path, caplog):
    paths = write_photos(tmp_path / 'a', 2) + write_photos(tmp_path / 'b', 1)
    photos.predict_photos(make_detector(), paths, str(tmp_path), Stop(), (writers.XML,))
    assert len(list((tmp_path / 'xml').iterdir())) == 3
    assert (tmp_path / 'xml/001.xml').exists()
    assert f'xml: 2 photos, such as {tmp_path}/a/000.png, have a file named after their whole path' in caplog.text


def test_a_signal_leaves_whole_files_of_the_photos_that_were_done(tmp_path):
    paths = write_photos(tmp_path / 'in', 40)
    stop, calls = Stop(), []
    detector = make_detector(lambda: len(calls) == 3 and stop._record(signal.SIGINT), calls)
    photos.predict_photos(detector, paths, str(tmp_path), stop, writers.OF_PHOTOS)
    assert sorted(path.name for path in (tmp_path / 'xml').iterdir()) == [f'{i:03d}.xml' for i in range(6)]
    assert len(json.loads((tmp_path / 'coco_images.json').read_text())['images']) == 6
    assert len(json.loads((tmp_path / 'coco_detections.json').read_text())) == 12


def test_a_disk_that_is_full_ends_it_and_leaves_no_half_list(tmp_path, monkeypatch):
    paths = write_photos(tmp_path / 'in', 9)
    write, lock, written = photos.storage.write, threading.Lock(), []

    def fail(path, data):
        with lock:
            written.append(path)
            if len(written) > 6:
                raise OSError(28, 'No space left on device', path)
        write(path, data)

    monkeypatch.setattr(photos.storage, 'write', fail)
    with pytest.raises(OSError, match='No space left'):
        photos.predict_photos(make_detector(), paths, str(tmp_path), Stop(), (writers.XML, writers.COCO))
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []


def test_images_that_may_have_more_objects_are_counted(tmp_path):
    paths = write_photos(tmp_path / 'in', 3)
    detector = make_detector()
    for most, number in ((2, 3), (3, 0), (1, 3)):
        detector.limits = dataclasses.replace(detector.limits, max_detections=most)
        counts = photos.predict_photos(detector, paths, str(tmp_path), Stop(), (writers.JSON,))
        assert (counts.at_limit, counts.objects) == (number, 3 * min(most, 2))
