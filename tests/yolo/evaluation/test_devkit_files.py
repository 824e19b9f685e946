import json
import logging

import numpy as np
import pytest
from conftest import DATA

from yolo.data import voc_folder, voc_xml
from yolo.evaluation import annotations, devkit_files
from yolo.evaluation.voc_ap import voc_average_precision
from yolo.evaluation.voc_matching import Detections, GroundTruth

CLASSES, IDS = ['cat', 'diningtable'], ['a', 'with space', 'c']
DETECTIONS = Detections(
    np.array([0, 1, 1, 2]),
    np.array([0, 1, 0, 1]),
    np.array([0.1, 1 / 3, 0.9, 0.3], np.float32).astype(float),
    np.array([[1, 2, 3.25, 4], [1 / 3, 2, 30, 40.1], [5, 6, 7, 8], [1, 1, 2, 2]]),
)


def ap_of(detections):
    boxes = np.array([[1, 2, 3, 4], [1, 2, 30, 40], [5, 6, 7, 8.0]])
    truths = GroundTruth(np.array([0, 1, 1]), np.array([0, 1, 0]), boxes, np.array([False, False, False]))
    return voc_average_precision(truths, detections, 2)


def test_what_is_written_is_read_back_to_the_last_bit(tmp_path):
    paths = devkit_files.write_detections(str(tmp_path), 'test', CLASSES, IDS, DETECTIONS)
    assert [path.rpartition('/')[2] for path in paths] == ['comp4_det_test_cat.txt', 'comp4_det_test_diningtable.txt']
    assert (tmp_path / 'comp4_det_test_cat.txt').read_text().splitlines()[0].startswith('with space 0.89999')
    got = devkit_files.read_detections(str(tmp_path), 'test', CLASSES, IDS)
    order = np.lexsort((-got.scores, got.classes))
    expected = np.lexsort((-DETECTIONS.scores, DETECTIONS.classes))
    for name, value in vars(DETECTIONS).items():
        np.testing.assert_array_equal(getattr(got, name)[order], value[expected])
    assert ap_of(got).map_area == ap_of(DETECTIONS).map_area


def test_another_spelling_is_taken_with_a_warning_that_has_both(tmp_path, caplog):
    devkit_files.write_detections(str(tmp_path), 'test', ['cat', 'Dining Table', 'dog'], IDS, DETECTIONS)
    with caplog.at_level(logging.WARNING, 'absl'):
        got = devkit_files.read_detections(str(tmp_path), 'test', CLASSES, IDS)
    assert ap_of(got).ap_area.tolist() == ap_of(DETECTIONS).ap_area.tolist()
    assert "'Dining Table'" in caplog.text
    assert "'diningtable'" in caplog.text
    assert "'dog' is not among the classes, cat, diningtable" in caplog.text


def test_two_files_of_a_class_are_refused(tmp_path):
    for name in ('comp4_det_test_Dining Table', 'comp4_det_test_dining_table'):
        (tmp_path / f'{name}.txt').write_text('a 0.5 1 2 3 4\n')
    with pytest.raises(
        ValueError, match=r"Dining Table.txt and .*dining_table.txt are both files of the class 'diningtable'"
    ):
        devkit_files.read_detections(str(tmp_path), 'test', CLASSES, IDS)


def test_signs_are_part_of_a_name_and_letters_are_compared_composed(tmp_path, caplog):
    for name in ('A-', 'cafe\u0301'):
        (tmp_path / f'comp4_det_test_{name}.txt').write_text('a 0.5 1 2 3 4\n')
    got = devkit_files.read_detections(str(tmp_path), 'test', ['A+', 'A-', 'caf\u00e9'], IDS)
    assert got.classes.tolist() == [1, 2]


def test_sides_the_wrong_way_round_are_reported(tmp_path, caplog):
    folder = tmp_path / 'results [1]'
    folder.mkdir()
    (folder / 'comp4_det_test_cat.txt').write_text('a 0.5 1 2 3 4\n\nc 0.5 100 100 50 50\nc 0.4 5 5 4.5 6\n')
    with caplog.at_level(logging.WARNING, 'absl'):
        got = devkit_files.read_detections(str(folder), 'test', ['cat'], IDS)
    assert len(got.scores) == 3
    assert '1 of 3 boxes have xmax < xmin or ymax < ymin, and match nothing; the first is in line 3' in caplog.text


def test_a_class_without_a_file_has_no_detections(tmp_path, caplog):
    devkit_files.write_detections(str(tmp_path), 'test', ['cat'], IDS, DETECTIONS)
    with caplog.at_level(logging.WARNING, 'absl'):
        got = devkit_files.read_detections(str(tmp_path), 'test', CLASSES, IDS)
    assert set(got.classes) == {0}
    assert "no detections of the class 'diningtable'" in caplog.text


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('a 0.5 1 2 3 4\nelsewhere 0.5 1 2 3 4\n', r"cat.txt, line 2: the image 'elsewhere' is not in the list"),
        ('a 0.5 1 2 3\n', r"cat.txt, line 1: 'a 0.5 1 2 3' is not `image_id score"),
        ('a 0.5 1 2 3\nc 0.5 1 2 3\n', 'line 1'),
        ('a 0.5 1 2 3 1e300\n', 'line 1'),
        ('\ufffd 0.5 1 2 3 4', 'line 1'),
        ('a 0.5 1 2 3 x\n', 'line 1'),
        ('\n\na nan 1 2 3 4\n', 'line 3'),
    ],
)
def test_bad_lines_are_named(tmp_path, text, message):
    (tmp_path / 'comp4_det_test_cat.txt').write_text(text)
    with pytest.raises(ValueError, match=message):
        devkit_files.read_detections(str(tmp_path), 'test', CLASSES, IDS)
    with pytest.raises(ValueError, match=r'no file comp4_det_val_<class>\.txt'):
        devkit_files.read_detections(str(tmp_path), 'val', CLASSES, IDS)
    (tmp_path / 'comp4_det_test_cat.txt').write_text(text, encoding='utf-16')
    with pytest.raises(ValueError, match=r'cat.txt is not text in UTF-8'):
        devkit_files.read_detections(str(tmp_path), 'test', CLASSES, IDS)
    (tmp_path / 'comp4_det_test_cat.txt').write_text('')
    assert not devkit_files.read_detections(str(tmp_path), 'test', CLASSES, IDS).scores.size


def test_the_devkits_own_cases_through_files(tmp_path):
    """Annotations as XML and detections as result files give what the MATLAB code makes of them."""
    cases, expected = (json.loads((DATA / 'voc_devkit' / name).read_text()) for name in ('cases.json', 'devkit.json'))
    (tmp_path / 'ids.txt').write_text('\n'.join(cases['images']))
    for image_id in cases['images']:
        objects = ''.join(
            f'<object><name>{name}</name><difficult>{int(difficult)}</difficult><bndbox>'
            + ''.join(f'<{side}>{value}</{side}>' for side, value in zip(voc_xml.SIDES, box, strict=True))
            + '</bndbox></object>'
            for image, name, *box, difficult in cases['objects']
            if image == image_id
        )
        (tmp_path / f'{image_id}.xml').write_text(f'<annotation>{objects}</annotation>')
    for kind in cases['classes']:
        lines = [
            ' '.join(map(str, [image, score, *box])) + '\n'
            for image, name, score, *box in cases['detections']
            if name == kind
        ]
        (tmp_path / f'comp4_det_test_{kind}.txt').write_text(''.join(lines))
    image_ids, classes, objects, _ = annotations.read_truth(
        voc_folder.Source(str(tmp_path), str(tmp_path)), str(tmp_path / 'ids.txt')
    )
    assert image_ids == cases['images']
    ap = voc_average_precision(
        objects, devkit_files.read_detections(str(tmp_path), 'test', classes, image_ids), len(classes)
    )
    for k, name in enumerate(classes):
        assert ap.ap_11pt[k] == pytest.approx(expected[name]['ap_11pt'], abs=1e-9)
        assert ap.ap_area[k] == pytest.approx(expected[name]['ap_area'], abs=1e-9)


def annotation(*objects) -> str:
    return (
        '<annotation>'
        + ''.join(
            f'<object><name>{name}</name><bndbox>'
            + ''.join(f'<{side}>{value}</{side}>' for side, value in zip(voc_xml.SIDES, box, strict=True))
            + '</bndbox></object>'
            for name, *box in objects
        )
        + '</annotation>'
    )


def test_odd_annotations_are_reported(tmp_path, caplog):
    source, ids = voc_folder.Source(str(tmp_path), str(tmp_path)), tmp_path / 'ids.txt'
    ids.write_text('a\n')
    (tmp_path / 'a.xml').write_text(annotation(('cat', 1, 2, 3, 4), ('', 1, 2, 3, 4), ('cat', 50, 1, 1, 50)))
    with caplog.at_level(logging.WARNING, 'absl'):
        _, classes, objects, _ = annotations.read_truth(source, str(ids))
    assert (classes, objects.classes.tolist()) == (['cat'], [0, 0])
    assert 'objects without a name are left out in 1 annotations' in caplog.text
    assert '1 objects have boxes without area' in caplog.text
    assert '[50.0, 1.0, 1.0, 50.0] in' in caplog.text
    with caplog.at_level(logging.WARNING, 'absl'):
        annotations.read_truth(source, str(ids), ['cat', 'cta'])
    assert "no object has the class 'cta'; there are cat" in caplog.text
    with pytest.raises(ValueError, match='names a class twice'):
        annotations.read_truth(source, str(ids), ['cat', 'cat'])
    assert 'unreadable' not in caplog.text
    repeated = annotation(('cat', 1, 2, 3, 4)).replace('</name>', '</name><name>dog</name><difficult/>')
    (tmp_path / 'a.xml').write_text(repeated)
    with caplog.at_level(logging.WARNING, 'absl'):
        annotations.read_truth(source, str(ids))
    assert '2 elements in 1 annotations are repeated or unreadable; the first, in' in caplog.text
    assert "a.xml: object 1 'cat' (1, 2, 3, 4): it has 2 elements <name>; the first was taken" in caplog.text
    (tmp_path / 'a.xml').write_text(annotation())
    with pytest.raises(ValueError, match=r'none of the 1 images of .* has an object; name the classes by --labels'):
        annotations.read_truth(source, str(ids))
    ids.write_text('')
    with pytest.raises(ValueError, match=r'ids.txt names no image'):
        annotations.read_truth(source, str(ids))


def test_annotations_that_cannot_be_read_are_named(tmp_path):
    source = voc_folder.Source(str(tmp_path), str(tmp_path))
    (tmp_path / 'ids.txt').write_text('a\n')
    with pytest.raises(ValueError, match=r"the list names the image 'a', but there is no annotation .*/a.xml"):
        annotations.read_truth(source, str(tmp_path / 'ids.txt'))
    (tmp_path / 'a.xml').write_text('<annotation><object><name>cat</name></object></annotation>')
    with pytest.raises(ValueError, match=r"a.xml: an object 'cat' has the box \[nan"):
        annotations.read_truth(source, str(tmp_path / 'ids.txt'))
    assert annotations.read_truth(source, str(tmp_path / 'ids.txt'), ['dog'])[2].images.size == 0
