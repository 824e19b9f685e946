import collections

import numpy as np
import pytest
from conftest import NOTEBOOK_TABLE

from preprocess import anchors, scan
from preprocess.box_sizes import count_sizes
from yolo.geometry.assignment import sizes_iou
from yolo.geometry.targets import encode_targets


def slow_iou(size, anchor):
    shared = min(size[0], anchor[0]) * min(size[1], anchor[1])
    return shared / (size[0] * size[1] + anchor[0] * anchor[1] - shared)


def slow_kmeans(sizes, centres):
    """One box at a time, from given centres until no box moves."""
    nearest = None
    while True:
        now = [max(range(len(centres)), key=lambda k, size=size: slow_iou(size, centres[k])) for size in sizes]
        if now == nearest:
            return np.array(centres)
        nearest = now
        for k in range(len(centres)):
            mine = [size for size, at in zip(sizes, nearest, strict=True) if at == k]
            if mine:
                centres[k] = (sum(w for w, _ in mine) / len(mine), sum(h for _, h in mine) / len(mine))


def test_notebook_anchors_choose_as_the_notebook_prints():
    relative = np.array([row[:2] for row in NOTEBOOK_TABLE], np.float32)
    named = np.array(anchors.NAMED['notebook'])
    overlap = sizes_iou(relative * 13.0, named)
    np.testing.assert_allclose(overlap.max(1), [row[3] for row in NOTEBOOK_TABLE], atol=0.00501)
    boxes = np.concatenate([0.5 - relative / 2, 0.5 + relative / 2], 1)
    places = encode_targets(boxes, np.zeros(len(boxes)), named, (13, 13)).numpy()
    assert places[:, 2].tolist() == [row[2] for row in NOTEBOOK_TABLE]


def test_kmeans_steps_as_its_slow_twin():
    sizes = np.random.default_rng(1).uniform(0.3, 12, (150, 2))
    start = sizes[[3, 50, 90, 120]]
    fast = anchors._kmeans_once(sizes, start, 1000)
    np.testing.assert_allclose(fast, slow_kmeans(sizes.tolist(), [tuple(c) for c in start]), rtol=1e-9)
    assert np.abs(fast - start).max() > 0.1


def test_kmeans_finds_known_clusters_smallest_first():
    rng = np.random.default_rng(2)
    centres = np.array([[1, 2], [4, 3], [9, 10]], float)
    sizes = np.concatenate([centre * rng.uniform(0.9, 1.1, (40, 2)) for centre in centres[[2, 0, 1]]])
    found = anchors.kmeans(sizes, 3)
    np.testing.assert_allclose(found, centres, rtol=0.04)
    np.testing.assert_array_equal(found, anchors.kmeans(sizes, 3))
    assert anchors.mean_iou(sizes, found) > 0.85


def test_kmeans_copes_with_many_equal_boxes():
    sizes = np.array([[1, 1]] * 50 + [[5, 5], [9, 2]], float)
    np.testing.assert_allclose(anchors.kmeans(sizes, 3), [[1, 1], [9, 2], [5, 5]])
    with pytest.raises(ValueError, match='needs 4 boxes of different size, the first split has 3'):
        anchors.kmeans(sizes, 4)
    with pytest.raises(ValueError, match='the first split has 0'):
        anchors.kmeans(np.zeros((0, 2)), 1)


def test_mean_iou_against_a_slow_twin():
    sizes = np.random.default_rng(3).uniform(0.2, 9, (30, 2))
    slow = np.mean([max(slow_iou(size, anchor) for anchor in anchors.NAMED['voc']) for size in sizes])
    assert anchors.mean_iou(sizes, np.array(anchors.NAMED['voc'])) == pytest.approx(slow)


def test_kmeans_is_fitted_in_cells_of_the_grid():
    relative = np.array([[0.1, 0.2], [0.1, 0.2], [0.5, 0.25]])
    np.testing.assert_allclose(anchors.make_anchors('kmeans:2', relative, (4, 10)), [[1, 0.8], [5, 1]])


def test_lists_and_names_are_taken_as_they_are():
    nothing = np.zeros((0, 2))
    np.testing.assert_array_equal(anchors.make_anchors('1.5,2, 3,4.25', nothing, (5, 7)), [[1.5, 2], [3, 4.25]])
    np.testing.assert_array_equal(anchors.make_anchors('tiny-voc', nothing, (5, 7))[-1], [16.62, 10.52])


@pytest.mark.parametrize(
    'text', ['', 'coco', '1,2,3', '1,x', '1,-2', '0,1', 'nan,1', 'inf,1', 'kmeans', 'kmeans:0', 'kmeans:x', 'kmeans:-1']
)
def test_other_anchors_are_refused(text):
    with pytest.raises(ValueError, match=f'--anchors={text}'):
        anchors.make_anchors(text, np.ones((5, 2)), (13, 13))


def test_sizes_that_rounding_made_different_are_one():
    low = np.random.default_rng(0).random((500, 2), np.float32) * np.float32(0.8)
    sizes = (low + np.float32(0.2)) - low
    assert len(np.unique(sizes, axis=0)) > 5
    with pytest.raises(ValueError, match='has 1'):
        anchors.make_anchors('kmeans:5', sizes, (13, 13))


def _scan(sizes, num_unread, reasons, **counts):
    return scan.Scan(collections.Counter(counts), sizes, count_sizes(sizes), num_unread, reasons)


def test_of_very_many_sizes_an_even_part_is_kept_whatever_the_shards():
    sizes = np.arange(150_000, dtype=np.float32).reshape(-1, 2)
    kept = []
    for bounds in ([75_000], [1, 40_001, 75_000], [9_000, 9_000, 30_000, 74_999, 75_000]):
        parts = np.split(sizes, bounds)
        found = scan.join(_scan(part, 0, (), a=1) for part in parts)
        assert found.counts == {'a': len(parts)}
        kept.append(found.sizes)
    np.testing.assert_array_equal(kept[0], sizes[::8])
    np.testing.assert_array_equal(kept[1], kept[0])
    np.testing.assert_array_equal(kept[2], kept[0])
    few = scan.join([_scan(sizes[:500], 2, ('x',)), _scan(sizes[500:600], 1, ('y',))])
    np.testing.assert_array_equal(few.sizes, sizes[:600])
    assert (few.num_unread, few.reasons) == (3, ('x', 'y'))
