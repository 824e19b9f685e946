"""What is written for other programs is read by them: preprocessing, pycocotools, and readers as LabelImg has them."""

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from conftest import turned_photo

from preprocess import convert as conversion
from preprocess.settings import Settings
from yolo.data import images, orientation, records, tfrecord, voc_folder
from yolo.data.orientation import Turn
from yolo.detection.detector import PhotoDetections
from yolo.prediction import annotation_files, coco

CLASSES = ('cat', 'dog & co', 'Bär')
RELATIVE = np.array([[0.1, 0.25, 0.5, 0.8], [0.0, 0.0, 1.0, 0.52], [0.3333, 0.2, 0.3334, 0.9]])
SCORES, NUMBERS = np.array([0.9, 0.5, 0.25], np.float32), np.array([1, 0, 2], np.int32)


def detections(size: tuple[int, int], count: int = 3) -> PhotoDetections:
    """Detections in a photo of `size` = height, width."""
    boxes = RELATIVE[:count] * [size[1], size[0], size[1], size[0]]
    labels = tuple(CLASSES[k] for k in NUMBERS[:count])
    return PhotoDetections(boxes, RELATIVE[:count].astype(np.float32), SCORES[:count], NUMBERS[:count], labels)


def preprocessed(tmp_path, ids) -> tuple[dict[str, records.Record], dict[str, list[tuple[str, str]]]]:
    """The records that preprocessing makes of photos and XML in a folder, and kind and reason of its problems."""
    (tmp_path / 'list.txt').write_text('\n'.join(ids))
    source = voc_folder.Source(str(tmp_path / 'xml'), str(tmp_path / 'photos'))
    given = {'image_size': (160, 160), 'anchors': 'voc', 'image_format': 'png', 'workers': 1, 'labels': CLASSES}
    given['leaks'] = 'off'  # the photos are all black
    settings = Settings(source, {'all': str(tmp_path / 'list.txt')}, str(tmp_path / 'out'), **given)
    _, summaries = conversion.convert(settings, overwrite=True)
    path = records.shard_path(settings.out_dir, 'all', 0, 1)
    with open(path, 'rb') as file:
        written = [records.deserialize(data) for data in tfrecord.unframe(file, path)]
    problems: dict[str, list[tuple[str, str]]] = {image_id: [] for image_id in ids}
    for each in summaries['all'].problems:
        problems[each.image_id].append((each.kind, each.reason))
    return {record.image_id: record for record in written}, problems


def folders(tmp_path):
    (tmp_path / 'photos').mkdir()
    (tmp_path / 'xml').mkdir()


def test_preprocessing_reads_the_boxes_that_were_detected(tmp_path):
    """Within half a pixel, without any problem; a box thinner than a pixel has two; no objects are no problem."""
    folders(tmp_path)
    for name, count in (('some', 3), ('none', 0)):
        path = tmp_path / 'photos' / f'{name}.png'
        path.write_bytes(images.encode_png(np.zeros((100, 240, 3), np.uint8)))
        data = annotation_files.format_xml(str(path), (100, 240), detections((100, 240), count), Turn(is_jpeg=False))
        (tmp_path / 'xml' / f'{name}.xml').write_bytes(data)
    written, problems = preprocessed(tmp_path, ['some', 'none'])
    assert problems == {'some': [], 'none': []}
    record = written['some']
    assert record.labels.tolist() == NUMBERS.tolist()
    error = np.abs(record.boxes * [240, 100, 240, 100] - detections((100, 240)).boxes)
    assert error[:2].max() <= 0.5 + 1e-4
    assert error[2].max() <= 2
    assert len(written['none'].boxes) == 0


@pytest.mark.slow
@pytest.mark.parametrize('turn', range(1, 9))
@pytest.mark.parametrize('size', [(96, 160), (96, 96)])
def test_photos_that_exif_turns_come_back_with_their_boxes_on_the_same_pixels(tmp_path, turn, size):
    """The object is the bright part of the photo; if preprocessing reads it turned, its box has to be turned too."""
    folders(tmp_path)
    stored = np.full((*size, 3), 30, np.uint8)
    stored[8:40, 16:80] = 220  # in the upper left
    (tmp_path / 'photos' / 'a.jpg').write_bytes(turned_photo(stored, turn))
    upright = orientation.apply(stored, turn)
    rows, columns = np.nonzero(upright[..., 0] > 100)
    height, width = upright.shape[:2]
    box = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], float)
    relative = (box / [width, height, width, height]).astype(np.float32)
    result = PhotoDetections(box, relative, SCORES[:1], NUMBERS[:1], ('dog & co',))
    place = Turn(turn)
    data = annotation_files.format_xml(f'{tmp_path}/photos/a.jpg', (height, width), result, place)
    (tmp_path / 'xml' / 'a.xml').write_bytes(data)
    written, _ = preprocessed(tmp_path, ['a'])
    image, [found] = images.decode(written['a'].image), written['a'].boxes
    x0, y0, x1, y1 = np.rint(found * 160).astype(int)
    assert image[y0 + 3 : y1 - 3, x0 + 3 : x1 - 3].min() > 190
    outside = np.ones(image.shape[:2], bool)
    outside[y0 - 3 : y1 + 3, x0 - 3 : x1 + 3] = False
    assert image[outside].max() < 60
    is_upright = annotation_files.xml_is_upright((height, width), place)
    assert is_upright == (turn == 1 or (turn >= 5 and size == (96, 160)))
    written_size = tuple(int(ET.fromstring(data).findtext(f'size/{side}')) for side in ('height', 'width'))
    assert written_size == ((height, width) if is_upright else size)
    assert annotation_files.xml_is_ambiguous((height, width), place) != is_upright


def test_a_turned_file_that_labelimg_shows_as_it_is_stored_has_its_boxes_there():
    xml = annotation_files.format_xml('a.png', (80, 40), detections((80, 40), 1), Turn(6, is_jpeg=False))
    root = ET.fromstring(xml)
    assert (root.findtext('size/height'), root.findtext('size/width')) == ('40', '80')
    assert not annotation_files.xml_is_ambiguous((80, 40), Turn(6, is_jpeg=False))


def test_the_xml_has_what_labelimg_reads(tmp_path):
    path = tmp_path / 'two words' / 'ä.jpg'
    root = ET.fromstring(annotation_files.format_xml(str(path), (100, 240), detections((100, 240)), Turn()))
    texts = {tag: root.findtext(tag) for tag in ('folder', 'filename', 'path', 'size/depth', 'segmented')}
    assert texts == {
        'folder': 'two words',
        'filename': 'ä.jpg',
        'path': str(path),
        'size/depth': '3',
        'segmented': '0',
    }
    found = [
        (each.findtext('name'), [int(each.findtext(f'bndbox/{side}')) for side in ('xmin', 'ymin', 'xmax', 'ymax')])
        for each in root.findall('object')
    ]
    assert found == [('dog & co', [25, 26, 120, 80]), ('cat', [1, 1, 240, 52]), ('Bär', [81, 21, 82, 90])]
    assert [each.findtext('truncated') for each in root.findall('object')] == ['0', '1', '0']
    assert {each.findtext('pose') for each in root.findall('object')} == {'Unspecified'}
    assert {each.findtext('difficult') for each in root.findall('object')} == {'0'}


def test_yolos_text_has_centres_and_sizes_relative_to_the_photo():
    lines = annotation_files.format_yolo(detections((100, 240))).splitlines()
    assert lines[:2] == ['1 0.300000 0.525000 0.400000 0.550000', '0 0.500000 0.260000 1.000000 0.520000']
    with_scores = annotation_files.format_yolo(detections((100, 240)), with_scores=True).splitlines()
    assert [line.rpartition(' ')[0] for line in with_scores] == lines
    assert [line.split()[-1] for line in with_scores] == ['0.900000', '0.500000', '0.250000']
    assert annotation_files.format_yolo(detections((100, 240), 0)) == ''


def test_pycocotools_reads_the_results_with_the_images(tmp_path):
    from pycocotools.coco import COCO

    sizes = {'a.jpg': (100, 240), 'none.jpg': (30, 40), 'b/ä.jpg': (80, 60)}
    with coco.coco_files(str(tmp_path), CLASSES) as add:
        for path, size in sizes.items():
            add(path, size, detections(size, 0 if path == 'none.jpg' else 3))
            assert not list(tmp_path.glob('*.json'))  # not before they are whole
    read = COCO(str(tmp_path / coco.IMAGES))
    found = read.loadRes(str(tmp_path / coco.DETECTIONS))
    assert {image['file_name']: (image['height'], image['width']) for image in read.imgs.values()} == sizes
    for path, size in sizes.items():
        [image_id] = [number for number, image in read.imgs.items() if image['file_name'] == path]
        rows = found.loadAnns(found.getAnnIds(imgIds=[image_id]))
        expected = detections(size, 0 if path == 'none.jpg' else 3)
        assert [read.cats[row['category_id']]['name'] for row in rows] == list(expected.labels)
        corners = np.array([row['bbox'] for row in rows]).reshape(-1, 4)
        corners[:, 2:] += corners[:, :2]
        np.testing.assert_allclose(corners, expected.boxes, atol=0.02)
        np.testing.assert_allclose([row['score'] for row in rows], expected.scores, atol=1e-5)


def test_cocos_files_without_photos_or_objects_are_json(tmp_path):
    for count in (0, 1):
        with coco.coco_files(str(tmp_path), CLASSES) as add:
            for _ in range(count):
                add('a.jpg', (30, 40), detections((30, 40), 0))
        assert json.loads((tmp_path / coco.DETECTIONS).read_text()) == []
        assert len(json.loads((tmp_path / coco.IMAGES).read_text())['images']) == count


def test_a_failure_leaves_the_files_of_before(tmp_path):
    (tmp_path / coco.DETECTIONS).write_text('of before')

    def fail() -> None:
        with coco.coco_files(str(tmp_path), CLASSES) as add:
            add('a.jpg', (30, 40), detections((30, 40)))
            raise OSError('full')

    with pytest.raises(OSError, match='full'):
        fail()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(coco.DETECTIONS, 'of before')]
