import collections
import dataclasses
import re

import cv2
import numpy as np
import pytest

from preprocess import anchors
from preprocess.box_sizes import count_sizes
from preprocess.leaks import leaks as leak_tools
from preprocess.report import page, problems
from preprocess.resume import Summary
from yolo.data import records, voc_folder
from yolo.data.problems import LEFT_OUT_BOX, LEFT_OUT_IMAGE, NOTED, REPAIRED, Problem

ANCHORS = np.array([[0.1, 0.2], [0.5, 0.5]])


def box_problem(number, kind=LEFT_OUT_BOX, name='ignore', reason='its name is not among the labels'):
    return Problem('train', f'im_{number}', kind, f'object 2 {name!r} (41, 31, 100, 80): {reason}')


def describe(**changes):
    cells = tuple((w * 13, h * 13) for w, h in ANCHORS.tolist())
    description = records.Description(('cat',), (416, 416), cells, 'kmeans:2', 0.843, 95, {}, '1')
    return dataclasses.replace(description, **changes)


def write(tmp_path, sizes, found=(), names=('cat',), others=(), left_out=0):
    """The page of boxes of some sizes, and of `others` that anchors are not fitted to."""
    size_counts = count_sizes(sizes) + count_sizes(np.reshape(others, (-1, 2)))
    per_class = dict.fromkeys(names, 7)
    split = records.Split(3, 1, len(sizes) + len(others), 0, per_class, 9, images_left_out=left_out, boxes_left_out=0)
    description = describe(classes=names, splits={'train': split})
    summary = Summary(num_images=3, problems=list(found), objects_per_image=collections.Counter({0: 1, 5: 2}))
    source = voc_folder.Source(str(tmp_path / 'Annotations'), str(tmp_path / 'JPEGImages'))
    leaks = leak_tools.find({'train': []}, {'train': {}}, 0)
    page.write_page(str(tmp_path), description, {'train': summary}, sizes, size_counts, source, leaks)
    return (tmp_path / 'report.html').read_text()


@pytest.mark.parametrize(('smallest', 'num'), [(1e-5, 5000), (0.02, 5000), (0.5, 3), (1, 1), (1, 0)])
def test_every_box_is_in_the_charts(smallest, num):
    sizes = np.random.default_rng(0).uniform(smallest, 1, (num, 2)) ** 3
    counts, edges = page.size_histogram(count_sizes(sizes), ANCHORS)
    assert counts.sum() == num
    assert counts.shape == (len(edges) - 1,) * 2
    names, values = page.area_histogram(count_sizes(sizes))
    assert sum(values) == num
    assert len(names) == len(values)
    assert names[-1] == '1/2–1'
    assert not any(name.startswith('-') for name in names)


def test_bins_are_as_if_counted_one_by_one():
    rng = np.random.default_rng(1)
    sizes = rng.uniform(0.1, 1, (300, 2)) ** 2
    counts, edges = page.size_histogram(count_sizes(sizes[:100]) + count_sizes(sizes[100:]), ANCHORS)
    slow = np.zeros_like(counts)
    for w, h in sizes:
        slow[np.flatnonzero(edges <= w)[-1], np.flatnonzero(edges <= h)[-1]] += 1
    assert np.array_equal(counts, slow)
    names, values = page.area_histogram(count_sizes(sizes))
    roots = np.sqrt(sizes.prod(1))
    assert values == [int(((roots >= low) & (roots < 2 * low)).sum()) for low in 2.0 ** np.arange(-len(names), 0)]


def test_anchors_beyond_the_image_have_bins_too():
    counts, edges = page.size_histogram(count_sizes(np.array([[0.9, 0.9]])), np.array([[1.3, 0.5]]))
    assert (edges[-1], counts.sum()) == (2, 1)
    assert counts.shape == (len(edges) - 1,) * 2


def test_small_boxes_have_bins_of_their_own():
    sizes = np.repeat([[0.003, 0.003], [0.01, 0.01], [0.03, 0.03]], [5, 7, 9], 0)
    _, values = page.area_histogram(count_sizes(sizes))
    assert [value for value in values if value] == [5, 7, 9]
    counts, _ = page.size_histogram(count_sizes(sizes), ANCHORS)
    assert sorted(counts[counts > 0].tolist()) == [5, 7, 9]


def test_size_bins_are_labelled_with_their_exact_edges():
    names, _ = page.area_histogram(count_sizes(np.array([[0.04, 0.04]])))
    assert names == ['1/32–1/16', '1/16–1/8', '1/8–1/4', '1/4–1/2', '1/2–1']
    names, _ = page.area_histogram(count_sizes(np.array([[0.001, 0.001]])))
    assert names[:2] == ['1/1024–1/512', '1/512–1/256']


def test_header_and_bar_agree_on_the_mean_iou(tmp_path):
    sizes = np.random.default_rng(0).uniform(0.01, 1, (50, 2))
    text = write(tmp_path, sizes)
    in_header = re.search(r'2 anchors \(kmeans:2\) with a mean IoU of (\d\.\d+)\.', text)[1]
    *_, chart = text.split('<svg')
    bars = re.findall(r'>(\d\.\d{3})</text>', chart)  # of k = 1, 2, ...
    assert (len(bars), bars[1], in_header) == (page.MOST_K, '0.843', '0.843')


def test_only_fitted_anchors_are_a_bar():
    sizes = np.random.default_rng(0).uniform(0.1, 13, (50, 2))
    names, fitted = page.iou_by_k(sizes, describe(anchors_from='kmeans:2'))
    _, named = page.iou_by_k(sizes, describe(anchors_from='voc'))
    assert names == [str(k) for k in range(1, page.MOST_K + 1)]
    assert fitted[1] == 0.843
    assert named[1] == anchors.mean_iou(sizes, anchors.kmeans(sizes, 2, starts=2))
    assert [*fitted[:1], *fitted[2:]] == [*named[:1], *named[2:]]


def test_the_page_says_of_how_many_boxes_it_is(tmp_path):
    sizes = np.random.default_rng(0).uniform(0.01, 1, (50, 2))
    text = write(tmp_path, sizes)
    assert 'all 50 usable boxes of train' in text
    assert 'a mean IoU of 0.843' in text
    assert text == write(tmp_path, sizes)
    assert 'http' not in text
    text = write(tmp_path, sizes, others=np.full((150, 2), 0.1))
    assert 'all 200 usable boxes of train' in text
    assert 'is that of 50 of them, evenly taken' in text


def test_names_are_escaped_and_a_page_of_80_classes_is_small(tmp_path):
    names = ('<script>', *(f'class {k}' for k in range(79)))
    text = write(tmp_path, np.full((5, 2), 0.5), [box_problem(0, name='<script>')], names)
    assert '<script' not in text
    assert '<td>&lt;script&gt;</td>' in text
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
