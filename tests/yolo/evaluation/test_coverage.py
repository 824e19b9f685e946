import logging

import numpy as np
import pytest

from yolo.data.voc_folder import Source
from yolo.evaluation import annotations, coverage, devkit_files

NUM = 40  # images of the list test, all but the last two with one object


@pytest.fixture
def warned(tmp_path, caplog):
    """What is said of results on some images of a made devkit folder, '' if nothing."""
    main = tmp_path / 'VOC/ImageSets/Main'
    for folder in (main, tmp_path / 'VOC/Annotations', tmp_path / 'results'):
        folder.mkdir(parents=True)
    ids = [f'{number:06}' for number in range(NUM)]
    lists = {'test': ids, 'val': ids[:30], 'part': ids[:8], 'cat_test': [f'{name} -1' for name in ids]}
    for name, lines in lists.items():
        (main / f'{name}.txt').write_text('\n'.join(lines))
    (main / 'notes.txt').write_bytes(b'\xff\xfe no list')
    box = '<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>'
    for number, name in enumerate(ids):
        text = f'<object><name>cat</name>{box}</object>' if number < NUM - 2 else ''
        (tmp_path / f'VOC/Annotations/{name}.xml').write_text(f'<annotation>{text}</annotation>')

    def said(numbers) -> str:
        lines = [f'{ids[number]} 0.5 1 1 9 9\n' * 2 for number in numbers]
        (tmp_path / 'results/comp4_det_test_cat.txt').write_text(''.join(lines))
        source, list_path = Source(str(tmp_path / 'VOC/Annotations'), ''), str(main / 'test.txt')
        image_ids, classes, truth, _ = annotations.read_truth(source, list_path)
        detections = devkit_files.read_detections(str(tmp_path / 'results'), 'test', classes, image_ids)
        caplog.clear()
        with caplog.at_level(logging.WARNING, 'absl'):
            coverage.warn_of_another_list(str(tmp_path / 'results'), list_path, image_ids, truth, detections)
        return caplog.text

    return said


def test_results_of_fewer_than_half_of_the_images_are_said(warned, tmp_path):
    text = warned(range(9, 21))
    assert f'28 of 40 images of the list test.txt have no detection in {tmp_path}/results' in text
    assert 'their 26 objects count as missed. 12 images have detections, too few for a detector that was run' in text
    assert 'list them in ImageSets/Main/NAME.txt, name the files comp4_det_NAME_<class>.txt, and give --split=' in text
    assert warned(range(10, 28))  # 18 of 38 with objects
    assert not warned(range(10, 29))  # 19 of 38: half
    assert warned([*range(10, 28), 38, 39])  # images without objects do not make it half
    assert not warned(range(NUM))
    assert warned([]).rstrip().endswith('their 38 objects count as missed')  # no other list is meant


def test_results_of_exactly_another_list_name_it(warned):
    text = warned(range(8))
    assert '8 images have detections, exactly the list part.txt; to evaluate on these alone, name the files' in text
    assert 'comp4_det_part_<class>.txt, and give --split=part' in text
    assert 'exactly the list val.txt' in warned(range(30))  # more than half
    assert not warned(range(29))


def test_numbers_have_separators_and_a_list_without_objects_is_no_reason(caplog, tmp_path):
    ids = [f'{number:06}' for number in range(4952)]
    (tmp_path / 'test.txt').write_text('\n'.join(ids))
    difficult = np.arange(4952) >= 4900  # do not count
    truth = annotations.GroundTruth(np.arange(4952), np.zeros(4952, int), np.ones((4952, 4)), difficult)
    found = devkit_files.Detections(np.arange(160), np.zeros(160, int), np.ones(160), np.ones((160, 4)))
    with caplog.at_level(logging.WARNING, 'absl'):
        coverage.warn_of_another_list('results', str(tmp_path / 'test.txt'), ids, truth, found)
    assert '4,792 of 4,952 images of the list test.txt have no detection in results: their 4,740 obj' in caplog.text
    caplog.clear()
    none = annotations.select(truth, np.zeros(4952, bool))
    with caplog.at_level(logging.WARNING, 'absl'):
        coverage.warn_of_another_list('results', str(tmp_path / 'test.txt'), ids, none, found)
    assert not caplog.text
