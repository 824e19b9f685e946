import collections

import cv2
import numpy as np
import pytest

from preprocess.report import page, problems
from preprocess.resume import Summary
from yolo.data import records, voc_folder
from yolo.data.problems import LEFT_OUT_BOX, LEFT_OUT_IMAGE, NOTED, REPAIRED, Problem

ANCHORS = np.array([[0.1, 0.2], [0.5, 0.5]])


def box_problem(number, kind=LEFT_OUT_BOX, name='ignore', reason='its name is not among the labels'):
    return Problem('train', f'im_{number}', kind, f'object 2 {name!r} (41, 31, 100, 80): {reason}')


def write(tmp_path, sizes, found=(), names=('cat',), num_objects=None, left_out=0):
    num_objects = len(sizes) if num_objects is None else num_objects
    per_class = dict.fromkeys(names, 7)
    split = records.Split(3, 1, num_objects, 0, per_class, 9, images_left_out=left_out, boxes_left_out=0)
    anchors = tuple((w * 13, h * 13) for w, h in ANCHORS.tolist())
    description = records.Description(names, (416, 416), anchors, 'kmeans:2', 0.843, 95, {'train': split}, '1')
    summary = Summary(num_images=3, problems=list(found), objects_per_image=collections.Counter({0: 1, 5: 2}))
    source = voc_folder.Source(str(tmp_path / 'Annotations'), str(tmp_path / 'JPEGImages'))
    page.write_page(str(tmp_path), description, {'train': summary}, sizes, source)
    return (tmp_path / 'report.html').read_text()


@pytest.mark.parametrize(('smallest', 'num'), [(1e-5, 5000), (0.02, 5000), (0.5, 3), (1, 1), (1, 0)])
def test_every_box_is_in_the_charts(smallest, num):
    sizes = np.random.default_rng(0).uniform(smallest, 1, (num, 2)) ** 3
    counts, edges = page.size_histogram(sizes, ANCHORS)
    assert counts.sum() == num
    assert counts.shape == (len(edges) - 1,) * 2
    names, values = page.area_histogram(sizes)
    assert sum(values) == num
    assert len(names) == len(values)
    assert names[-1] == '0.5–1'
    assert not any(name.startswith('-') for name in names)


def test_small_boxes_are_told_apart():
    sizes = np.repeat([[0.003, 0.003], [0.01, 0.01], [0.03, 0.03]], [5, 7, 9], 0)
    _, values = page.area_histogram(sizes)
    assert [value for value in values if value] == [5, 7, 9]
    counts, _ = page.size_histogram(sizes, ANCHORS)
    assert sorted(counts[counts > 0].tolist()) == [5, 7, 9]


def test_the_page_says_of_how_many_boxes_it_is(tmp_path):
    sizes = np.random.default_rng(0).uniform(0.01, 1, (50, 2))
    text = write(tmp_path, sizes)
    assert 'all 50 usable boxes of train' in text
    assert 'a mean IoU of 0.843' in text
    assert text == write(tmp_path, sizes)
    assert 'http' not in text
    assert '50 boxes, evenly taken from the 200 of train' in write(tmp_path, sizes, num_objects=200)


def test_names_are_escaped_and_a_page_of_80_classes_is_small(tmp_path):
    names = ('<script>', *(f'class {k}' for k in range(79)))
    text = write(tmp_path, np.full((5, 2), 0.5), [box_problem(0, name='<script>')], names)
    assert '<script' not in text
    assert '<td>class &lt;script&gt;</td><td>7</td>' in text
    assert len(text) < 150_000


def test_problems_are_grouped_by_class_and_reason():
    found = [box_problem(number) for number in range(216)] + [box_problem(3)]
    found += [box_problem(1, REPAIRED, "a (b) 'c", f'clipped to the image of {size} x 375') for size in (500, 400)]
    found += [Problem('train', name, LEFT_OUT_IMAGE, f'no image {name!r}') for name in ('x', 'y', 'z')]
    rows = [tuple(row.values()) for row in problems.group(found)]
    assert rows == [
        ('217', LEFT_OUT_BOX, "'ignore'", 'its name is not among the labels', '216'),
        ('3', LEFT_OUT_IMAGE, '', "no image '…'", '3'),
        ('2', REPAIRED, '"a (b) \'c"', 'clipped to the image', '1'),
    ]


def test_the_box_is_drawn_on_the_thumbnail():
    image = np.full((200, 300, 3), 128, np.uint8)
    boxes = problems.boxes_of([box_problem(0), box_problem(1), Problem('train', 'x', NOTED, 'listed more than once')])
    assert boxes.tolist() == [[41, 31, 100, 80]] * 2
    drawn = problems.draw(image, boxes, (150, 100))
    is_red = (drawn == problems.RED).all(2)
    rows, columns = np.nonzero(is_red)
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == (20, 15, 50, 40)
    assert not is_red[20:36, 25:46].any()
    assert (image == 128).all()


def test_a_page_shows_what_was_wrong(tmp_path):
    for folder in ('Annotations', 'JPEGImages'):
        (tmp_path / folder).mkdir()
    cv2.imwrite(str(tmp_path / 'JPEGImages/im_0.jpg'), np.full((90, 120, 3), 128, np.uint8))
    text = write(tmp_path, np.full((5, 2), 0.5), [box_problem(0), box_problem(1)])
    assert '<td>2 ×</td><td class="text">box left out</td><td class="text">&#39;ignore&#39;</td>' in text
    assert text.count('src="data:image/jpeg') == 1
    assert text.count('<div class="none">no image</div>') == 1
    assert 'Every listed image was written.' in text


def test_a_page_says_that_all_was_written_only_where_it_was(tmp_path):
    sizes = np.full((5, 2), 0.5)
    assert 'every listed image was written as it is' in write(tmp_path, sizes)
    gone = [Problem('train', 'x', LEFT_OUT_IMAGE, 'no image')]
    text = write(tmp_path, sizes, gone, left_out=1)
    assert 'image was written' not in text
    assert 'Images left out: 1.' in text
