import collections
import copy
import dataclasses
import json
import math

import numpy as np
import pytest

from preprocess import resume, statistics
from preprocess.resume import Summary
from preprocess.statistics import PLANE, SIZE_BINS, Sight, Statistics, gather
from yolo.data import records
from yolo.geometry.assignment import responsible_places, sizes_iou

CLASSES, ANCHORS, SIZE = ('a', 'b', 'never'), np.array([[0.5, 0.5], [2, 3], [6, 2]], np.float32), (96, 160)


def record(boxes, labels, difficult=(), image_id='x'):
    """A record of boxes in pixels of an image of SIZE."""
    relative = (np.reshape(np.array(boxes, float), (-1, 4)) / [160, 96, 160, 96]).astype(np.float32)
    labels = np.array(labels, int)
    hard = np.array(difficult if len(difficult) else [False] * len(labels), bool)
    places = responsible_places(relative, labels, ANCHORS, (3, 5)).reshape(-1, 3)
    return records.Record(image_id, b'', (480, 800), relative, labels, hard, places)


def drawn(num=60, seed=0):
    """Records with 0 to 8 objects of two classes, often close to each other."""
    rng = np.random.default_rng(seed)
    made = []
    for count in rng.integers(0, 9, num).tolist():
        low = rng.integers(0, 6, (count, 2)) * 12
        high = np.minimum(low + rng.integers(1, 60, (count, 2)), [160, 96])
        made.append(record(np.concatenate([low, high], 1), rng.integers(0, 2, count), rng.random(count) < 0.3))
    return made


def gathered(made, step=1000):
    """The statistics of records, taken in so many at a time."""
    total = Statistics()
    for start in range(0, len(made), step):
        total.add(gather(made[start : start + step], CLASSES, ANCHORS, SIZE), start)
    return total


def slow_lost(made) -> collections.Counter:
    """By class name: objects that a later one of their image overwrites in a grid."""
    lost: collections.Counter = collections.Counter()
    for each in made:
        grid: dict = {}
        for place, label in zip(each.places.tolist(), each.labels.tolist(), strict=True):
            if tuple(place) in grid:
                lost[grid[tuple(place)]] += 1
            grid[tuple(place)] = CLASSES[label]
    return lost


def test_counts_are_those_of_a_loop_over_objects():
    made = drawn()
    found = gathered(made)
    sizes, centres = {'a': [0] * SIZE_BINS, 'b': [0] * SIZE_BINS}, [0] * PLANE**2
    aspects, anchors, overlaps = [0] * 17, [0] * 3, [0] * 3
    for each in made:
        for box, label, place in zip(each.boxes.astype(float), each.labels, each.places, strict=True):
            width, height = (box[2] - box[0]) * 160, (box[3] - box[1]) * 96
            side = math.sqrt(width * height) * (1 + 1e-5)
            sizes[CLASSES[label]][next(i for i in range(SIZE_BINS) if side < 2 ** ((i + 1) / 2))] += 1
            aspects[8 + max(-8, min(8, round(2 * math.log2(width / height))))] += 1
            centres[int((box[1] + box[3]) / 2 * PLANE) * PLANE + int((box[0] + box[2]) / 2 * PLANE)] += 1
            anchors[place[2]] += 1
            iou = sizes_iou(np.array([width / 32, height / 32]), ANCHORS)[place[2]]
            overlaps[place[2]] += round(10_000 * float(iou))
    lost = slow_lost(made)
    assert sum(lost.values()) > 20
    assert {name: each.sizes for name, each in found.classes.items()} == sizes
    assert {name: each.num_lost for name, each in found.classes.items()} == lost
    assert {name: each.num_images for name, each in found.classes.items()} == {
        name: sum(k in each.labels for each in made) for k, name in enumerate(('a', 'b'))
    }
    assert (found.centres, found.aspects, found.anchors, found.overlaps) == (centres, aspects, anchors, overlaps)


@pytest.mark.parametrize('step', [1, 7, 64])
def test_how_the_records_are_cut_into_parts_changes_nothing(step):
    made = drawn(100, 1)
    assert gathered(made, step) == gathered(made)
    first, second = gathered(made[:37]), gathered(made[37:], step)
    first.add(second, 37)
    assert first == gathered(made)


def test_eight_pixels_and_a_cell_are_edges_of_bins():
    def below(side, size_bin) -> int:
        found = gathered([record([(10, 10, 10 + side, 10 + side)], [0])])
        return found.classes['a'].num_below(size_bin)

    assert [below(7.99, 6), below(8, 6), below(8.01, 6)] == [1, 0, 0]
    assert [below(31.9, 10), below(32, 10), below(33, 10)] == [1, 0, 0]
    assert below(0.01, 1) == 1


def test_the_example_of_a_class_is_of_its_median_size_and_not_difficult_if_there_is_one():
    """Of a class of small objects the one large one, a slip perhaps, is no example."""
    usual, small, large = (0, 0, 21, 21), (0, 0, 9, 9), (0, 0, 64, 38.4)
    made = [record([small, large], [0, 0]), record([large, usual, usual], [1, 0, 0]), record([usual], [0])]
    for step in (1, 2, 3):
        found = gathered(made, step)
        assert found.classes['a'].example == Sight(1, 1)
        assert found.classes['b'].example == Sight(1, 0)
    assert gathered([record([usual, usual], [0, 0], [True, False])]).classes['a'].example == Sight(0, 1)
    found = gathered([record([usual] * 3 + [large, small, large], [0] * 6, [True] * 3 + [False] * 3)])
    assert found.classes['a'].example.object == 4  # nearest of those that are not difficult
    assert gathered([record([usual], [0], [True])]).classes['a'].example == Sight(0, 0, 1)


def test_the_most_crowded_images_are_listed_the_first_of_equal_ones_first():
    box = (0, 0, 20, 20)
    made = [record([box] * count, [0] * count) for count in (1, 3, 2, 5, 3, *[2] * 20)]
    expected = [(3, 5), (1, 3), (4, 3), (2, 2), (5, 2), (6, 2), (7, 2), (8, 2)]
    for step in (1, 3, 100):
        assert [(each.record, each.rank) for each in gathered(made, step).crowded] == expected


def test_a_box_that_was_rounded_to_nothing_counts_too():
    found = gathered([record([(16, 16, 16, 40)], [0])])
    assert sum(found.anchors) == sum(found.aspects) == found.classes['a'].num_objects == 1


def test_images_without_objects_have_no_statistics():
    assert gathered([record([], [])] * 3) == Statistics()


def note_of(tmp_path, made):
    """The text of the note on a shard of some records, and its summary."""
    names = [[CLASSES[label] for label in each.labels] for each in made]
    summary = Summary(lengths=[5] * len(made), statistics=gathered(made))
    for each, own in zip(made, names, strict=True):
        summary.take_image(own, each.difficult)
    path = str(tmp_path / 'all.tfrecord-00000-of-00001')
    resume.note(path, records.ShardFile(len(made), 21 * len(made), 0), summary)
    return path, tmp_path / 'progress/all.tfrecord-00000-of-00001.json', summary


def test_a_note_gives_the_statistics_back(tmp_path):
    path, _, summary = note_of(tmp_path, drawn())
    assert resume.read_note(path).summary == summary


def test_the_note_of_an_older_version_is_not_taken(tmp_path):
    path, file, _ = note_of(tmp_path, drawn())
    fields = json.loads(file.read_text())
    del fields['summary']['statistics']
    file.write_text(json.dumps(fields))
    with pytest.raises(ValueError, match=r'summary.statistics.classes counts 0 objects.* is written again'):
        resume.read_note(path)
    path, file, summary = note_of(tmp_path, [record([], [])])
    fields = json.loads(file.read_text())
    del fields['summary']['statistics']
    file.write_text(json.dumps(fields))
    assert resume.read_note(path).summary == summary


def test_statistics_that_cannot_be_are_named():
    made = drawn()
    good = gathered(made)
    objects = {name: each.num_objects for name, each in good.classes.items()}
    assert not good.find_problem(objects, len(made))
    for change, expected in (
        (lambda each: each.centres.pop(), 'centres is not 1024 counts'),
        (lambda each: each.aspects.__setitem__(0, -1), 'aspects is not 17 counts'),
        (lambda each: each.anchors.__setitem__(0, each.anchors[0] + 1), 'anchors counts'),
        (lambda each: each.overlaps.pop(), 'overlaps is not 3 counts'),
        (lambda each: each.classes.pop('a'), 'classes counts'),
        (lambda each: each.classes['a'].sizes.append(0), 'sizes that are not 29 counts'),
        (lambda each: setattr(each.classes['b'].example, 'record', 60), 'a record that is not among 60'),
        (lambda each: each.classes['a'].examples.popitem(), 'examples of other sizes than there are'),
        (lambda each: setattr(each.crowded[0], 'record', 60), 'a record that is not among 60'),
    ):
        changed = copy.deepcopy(good)
        change(changed)
        assert expected in changed.find_problem(objects, len(made))
    assert dataclasses.asdict(good) == json.loads(json.dumps(dataclasses.asdict(good)))
    assert len(good.crowded) == statistics.MOST_CROWDED
