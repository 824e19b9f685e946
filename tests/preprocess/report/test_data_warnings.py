import json

import numpy as np
import pytest

from preprocess.leaks import leaks
from preprocess.report import data_warnings, object_warnings, summary
from preprocess.report.data_warning import DataWarning, counted, percent
from preprocess.resume import Summary
from preprocess.statistics import IOU_STEPS, SIZE_BINS, ClassStatistics, Statistics
from yolo.data import records
from yolo.names import plain

MANY = 1000  # images of a class, so that nothing is said of their number
BIG = 14  # bin of objects of 128 pixels


def of_class(num_objects, num_images=MANY, num_lost=0, **sizes) -> ClassStatistics:
    """The statistics of a class; sizes: bin_6=10 says that ten objects are in that bin, the others are large."""
    counts = [0] * SIZE_BINS
    for name, number in sizes.items():
        counts[int(name.removeprefix('bin_'))] = number
    counts[BIG] += num_objects - sum(sizes.values())
    return ClassStatistics(num_images, num_lost, counts)


def made(train, test=None, **changes):
    """A description and summaries; train: by class statistics or a number of objects; test: numbers of objects."""
    train = {name: each if isinstance(each, ClassStatistics) else of_class(each) for name, each in train.items()}
    numbers = {'train': {name: each.num_objects for name, each in train.items()}}
    if test is not None:
        numbers['test'] = test
    names = tuple(sorted({name for each in numbers.values() for name in each}))
    splits = {
        split: records.Split(MANY, 1, sum(each.values()), 0, {name: each.get(name, 0) for name in names}, 9, 0, 0)
        for split, each in numbers.items()
    }
    total = sum(numbers['train'].values())
    given = {
        'classes': names,
        'image_size': (416, 416),
        'anchors': ((1.0, 1.0), (5.0, 5.0)),
        'anchors_from': 'voc',
        'anchors_mean_iou': 0.6,
        'jpeg_quality': 95,
        'splits': splits,
        'tool_version': '1',
        'counts': [total // 2, total - total // 2],
    } | changes
    counts = given.pop('counts')
    statistics = Statistics({name: each for name, each in train.items() if each.num_objects}, anchors=counts)
    statistics.overlaps = [IOU_STEPS * number // 2 for number in counts]
    summaries = {split: Summary() for split in splits}
    summaries['train'] = Summary(statistics=statistics)
    return records.Description(**given), summaries


def lines(*arguments, **changes) -> dict[str, str]:
    """The lines of all warnings by kind."""
    return {each.kind: each.line for each in data_warnings.find(*made(*arguments, **changes))}


def test_good_data_draws_no_word():
    assert lines({'car': 5000, 'bus': 900}, {'car': 500, 'bus': 90}) == {}


def test_a_class_that_is_not_in_the_first_split_is_the_first_warning():
    found = lines({'car': 5000}, {'car': 9, 'van': 12, 'bus': 1, 'tram': 30})
    assert list(found) == ['not in the first split']
    assert found['not in the first split'] == (
        "3 classes without any object in train, so that nothing can learn them: 'tram' (30 objects in test), "
        "'van' (12 objects in test), 'bus' (1 object in test); move some of their images to train"
    )


def test_classes_of_the_labels_that_are_nowhere_are_said():
    found = lines({'car': 5000, 'cra': of_class(0)}, {'car': 9})
    assert found == {
        'without objects': "1 class of --labels without any object: 'cra'; are the names written as in the annotations?"
    }


def test_a_class_of_one_object_is_said_and_eleven_images_are_enough():
    few = {f'k{number:02}': of_class(3 * number, number) for number in range(1, 12)}
    found = lines({'car': 5000, **few, 'one': of_class(1, 1)})
    line = found.pop('few images')
    assert line.startswith('11 classes in at most 10 images of train, from which little is learnt: ')
    assert "'one' (1 object in 1 image), 'k01' (3 objects in 1 image), 'k02'" in line
    assert line.endswith(' and 6 more; label more images of them')
    assert 'k11' not in line
    assert not found


@pytest.mark.parametrize('split', ['test', None])
def test_a_class_in_the_first_split_only_is_said_where_there_is_another(split):
    found = lines({'car': 5000, 'bus': 900}, {'car': 7} if split else None)
    assert found == (
        {
            'in the first split only': '1 class without any object outside of train, so that no AP tells of them: '
            "'bus' (900 objects in train)"
        }
        if split
        else {}
    )


def test_a_split_without_objects_measures_nothing_and_draws_no_word():
    assert lines({'car': 5000}, {'car': 0}) == {}
    description, summaries = made({'car': of_class(0)})
    empty = description.splits['train'].__class__(0, 0, 0, 0, {'car': 0}, 0, 3, 0)
    description.splits['train'] = empty
    assert data_warnings.find(description, summaries) == []


def test_names_that_are_alike_are_named_with_the_way_out():
    found = lines({'car': 5000, 'Car': 20, 'traffic light': 700, 'traffic_light': 800, 'A+': 99, 'A-': 99})
    assert found == {
        'names that are alike': "names of classes that differ only by case, blanks, _ or -: 'car' (5,000 objects) and "
        "'Car' (20 objects), 'traffic_light' (800 objects) and 'traffic light' (700 objects); "
        "--label_map='Car=car,traffic light=traffic_light' makes them one"
    }


def test_names_that_the_flag_cannot_hold_go_into_a_file():
    assert lines({'a,b': 500, 'A,B': 20})['names that are alike'].endswith('; --label_map=FILE makes them one')


@pytest.mark.parametrize('name', ['car', 'Car', 'car ', ' CAR', 'c-a-r', 'c_ar', '_car', 'c ar', '\uff43ar'])
def test_names_that_mean_the_same_are_plainly_equal(name):
    assert plain(name) == 'car'


def test_names_that_differ_are_not():
    assert len({plain(name) for name in ('car', 'cars', 'A+', 'A-', 'a', 'caf\u00e9', 'cafe', '-')}) == 8


def test_lost_targets_above_a_twentieth_are_said():
    found = lines({'car': of_class(1000, num_lost=51)})
    assert found['lost targets'].startswith(
        '5.1 % of the objects of train (51 of 1,000) are lost as targets, since another one has the same cell and '
    )
    assert 'a larger --image_size' in found['lost targets']
    assert lines({'car': of_class(1000, num_lost=50)}) == {}
    assert lines({'car': of_class(40, num_lost=9)}) == {}  # nine objects are no share


def test_a_class_that_loses_more_than_a_tenth_is_said_though_the_others_do_not():
    found = lines({'car': 5000, 'bottle': of_class(100, num_lost=11), 'cup': of_class(100, num_lost=10)})
    assert found['lost targets'].startswith(
        '1 class of which more than 10 % of the objects of train are lost as targets, since another one has the same '
        "cell and anchor (of all 0.4 %, 21 of 5,200): 11 % of 'bottle' (11 of 100); "
    )
    assert 'cup' not in found['lost targets']


def test_objects_under_8_pixels_are_said_with_the_size_that_helps():
    found = lines({'plate': of_class(200, bin_5=108), 'car': 3000})
    assert found == {
        'small objects': '1 class of which more than 10 % of the objects of train are under 8 pixels at 416 (of all '
        "3.4 %, 108 of 3,200): 54 % of 'plate' (108 of 200); use --image_size=608, or cut the images into parts "
        'before and predict with --tiles'
    }
    assert lines({'plate': of_class(200, bin_5=20), 'car': 3000}) == {}  # a tenth
    assert 'small objects' in lines({'plate': of_class(200, bin_5=21), 'car': 3000})
    assert lines({'plate': of_class(200, bin_6=90), 'car': 3000}) == {}  # from 8 pixels on
    assert lines({'plate': of_class(20, bin_5=9), 'car': 3000}) == {}  # nine objects are no share
    assert '--image_size=832, or' in lines({'plate': of_class(200, bin_4=21)})['small objects']
    assert 'use a larger --image_size, or cut' in lines({'plate': of_class(200, bin_2=21)})['small objects']
    wide = lines({'plate': of_class(200, bin_5=21)}, image_size=(320, 640))['small objects']
    assert 'at 640 x 320' in wide
    assert '--image_size=928x480' in wide


def test_one_object_of_another_class_does_not_change_the_size_that_helps():
    plates = of_class(200, bin_5=108)
    assert '; use --image_size=608, or' in lines({'plate': plates, 'slip': of_class(1, bin_0=1)})['small objects']


def test_objects_under_a_cell_are_said_where_they_are_the_most():
    found = lines({'cell': of_class(200, bin_9=101), 'car': of_class(100, bin_9=50)})
    assert found == {
        'smaller than a cell': '50 % of the objects of train (151 of 300) are under a cell of 32 pixels at 416: '
        "50 % of 'cell' (101 of 200); use --image_size=608",
    }
    both = lines({'plate': of_class(200, bin_5=108), 'cell': of_class(200, bin_9=101)})
    assert '209 of 400' in both['smaller than a cell']
    assert 'plate' not in both['smaller than a cell']
    assert lines({'cell': of_class(200, bin_9=100)}) == {}


def test_small_anchors_are_said_with_their_objects():
    found = lines({'car': 100}, anchors=((0.125, 0.125), (0.25, 0.25), (5, 5)), counts=[7, 43, 50])
    assert found['small anchors'].startswith('1 anchor under 8 pixels: anchor 1 of 4 x 4 pixels (nearest to 7 objects)')
    assert list(found) == ['small anchors']


def test_idle_anchors_are_said_below_a_hundredth_of_the_objects():
    found = lines({'car': 1000}, counts=[9, 991])
    assert found == {
        'idle anchors': '1 anchor nearest to hardly any object of train: anchor 1 of 32 x 32 pixels (0.9 %, 9 of '
        '1,000); --anchors=kmeans:2 fits as many to the boxes'
    }
    assert lines({'car': 1000}, counts=[10, 990]) == {}
    assert 'ask for fewer' in lines({'car': 1000}, counts=[9, 991], anchors_from='kmeans:2')['idle anchors']


def test_anchors_that_fit_badly_are_said_below_one_half():
    found = lines({'car': 1000}, anchors_mean_iou=0.499)
    assert found == {
        'anchors that fit badly': 'the anchors fit the boxes of train badly: their mean IoU is 0.499, below 0.5; '
        '--anchors=kmeans:2 fits as many to the boxes'
    }
    assert lines({'car': 1000}, anchors_mean_iou=0.5) == {}
    fitted = lines({'car': 1000}, anchors_mean_iou=0.4, anchors_from='kmeans:2')
    assert fitted['anchors that fit badly'].endswith('; ask for more: --anchors=kmeans:4')


def test_anchors_are_a_row_each():
    description, summaries = made({'car': 1000}, counts=[0, 1000])
    rows = object_warnings.describe_anchors(description, summaries['train'].statistics)
    assert rows == [
        ['1', '1.00 × 1.00', '32 × 32', '0', '0.0 %', '–'],
        ['2', '5.00 × 5.00', '160 × 160', '1,000', '100 %', '0.50'],
    ]
    assert object_warnings.describe_anchors(description, Statistics()) == []


def test_the_size_that_is_advised_is_enough():
    """Objects drawn at 416, seen again at the advised size: no class has more under 8 pixels than it may have."""
    rng = np.random.default_rng(0)
    for seed in range(20):
        sides = 2 ** rng.uniform(1.7, 5 + seed % 3, 300)
        bins = np.bincount(np.floor(2 * np.log2(sides)).astype(int), minlength=SIZE_BINS)
        train = {'car': ClassStatistics(MANY, 0, bins.tolist())}
        line = lines(train).get('small objects', '')
        if '--image_size=' in line:
            size = int(line.partition('--image_size=')[2].partition(',')[0])
            assert (sides * size / 416 < 8).mean() <= 0.1
            assert size <= 1216
        else:
            assert (sides < 8).mean() <= 0.1 or 'use a larger' in line


def test_eighty_classes_are_ten_short_lines_on_the_screen_and_whole_in_the_report(tmp_path):
    names = [f'class number {number}' for number in range(80)]
    train = {name: of_class(40, 3, 30, bin_2=40) for name in names[:60]}
    description, summaries = made(train, dict.fromkeys(names[30:], 5))
    text = summary.format_summary(description, summaries)
    shown = [line for line in text.splitlines() if line.startswith('warning: ')]
    assert text.splitlines()[-len(shown) :] == shown
    assert 4 <= len(shown) <= 10
    assert max(map(len, shown)) < 500
    assert 'and 15 more' in shown[0]
    summary.write_report(str(tmp_path), description, summaries, leaks.find({}, {}, 0))
    report = json.loads((tmp_path / 'report.json').read_text())['warnings']
    assert [each['kind'] for each in report[:2]] == ['not in the first split', 'few images']
    assert [len(each['items']) for each in report[:2]] == [20, 60]
    assert report[0].keys() == {'kind', 'text', 'items', 'advice'}


def test_numbers_read_well():
    assert [counted(1, 'class'), counted(2, 'class'), counted(1200, 'object')] == [
        '1 class',
        '2 classes',
        '1,200 objects',
    ]
    assert [percent(1, 3), percent(31, 1000), percent(0, 0)] == ['33 %', '3.1 %', '0.0 %']
    assert DataWarning('k', 'a text').line == 'a text'
