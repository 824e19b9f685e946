"""What `report.html` shows of the records, taken from the page itself."""

import base64
import collections
import html.parser
import json
import re

import cv2
import numpy as np
import pytest

from preprocess import convert, statistics
from preprocess.box_sizes import count_sizes
from preprocess.leaks.leaks import Leaks
from preprocess.leaks.near_duplicates import Pairs
from preprocess.report import charts, class_table, leak_pairs, page, pictures
from preprocess.resume import Summary
from preprocess.settings import Settings
from preprocess.statistics import SIZE_BINS, ClassStatistics, Sight, Statistics
from yolo.data import records, voc_folder
from yolo.data.problems import LEFT_OUT_BOX, NOTED, Problem

RED, BLUE = (0, 0, 255), (255, 0, 0)  # BGR


class Facts(html.parser.HTMLParser):
    """Headings with the texts, rows of tables, and images (alt, BGR) below each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts, self.rows, self.images = ({'': ''}, collections.defaultdict(list), collections.defaultdict(list))
        self.heading, self.is_heading = '', False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.is_heading = tag == 'h2'
        if tag == 'tr':
            self.rows[self.heading].append([])
        elif tag in ('td', 'th'):
            self.rows[self.heading][-1].append('')
        elif tag == 'img':
            data = base64.b64decode(given['src'].removeprefix('data:image/jpeg;base64,'))
            self.images[self.heading].append((given['alt'], cv2.imdecode(np.frombuffer(data, np.uint8), 1)))

    def handle_data(self, data):
        if self.is_heading:
            self.heading, self.is_heading = data, False
        self.texts[self.heading] = self.texts.get(self.heading, '') + data
        if self.rows[self.heading] and self.rows[self.heading][-1] and self.get_starttag_text() != '</table>':
            self.rows[self.heading][-1][-1] += data.strip()


def draw(folder, image_id, objects, size=(160, 320), colour=RED):
    """An image of a grey ground with filled boxes x0, y0, x1, y1, and its XML."""
    image = np.full((*size, 3), 128, np.uint8)
    text = ''
    for name, x0, y0, x1, y1 in objects:
        cv2.rectangle(image, (x0, y0), (x1 - 1, y1 - 1), colour, cv2.FILLED)
        text += f'<object><name>{name}</name><bndbox><xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax>'
        text += f'<ymax>{y1}</ymax></bndbox></object>'
    cv2.imwrite(str(folder / f'JPEGImages/{image_id}.png'), image)
    (folder / f'Annotations/{image_id}.xml').write_text(f'<annotation>{text}</annotation>')


@pytest.fixture(scope='module')
def drawings(tmp_path_factory):
    """A folder of five drawings and their XML."""
    folder = tmp_path_factory.mktemp('drawings')
    for part in ('Annotations', 'JPEGImages'):
        (folder / part).mkdir()
    draw(folder, 'one', [('square', 40, 40, 140, 120)])
    draw(folder, 'many', [('square', 16 * i, 10, 16 * i + 6, 18) for i in range(6)] + [('bar', 100, 90, 300, 100)])
    draw(folder, 'pair', [('bar', 20, 60, 220, 80), ('bar', 22, 62, 218, 78)], colour=BLUE)
    draw(folder, 'empty', [])
    draw(folder, 'other', [('late', 100, 20, 200, 120)], (320, 160), BLUE)
    return folder


def convert_to(out_dir, drawings, **changes) -> Facts:
    """Writes the records of two small splits; the facts of their page."""
    source = voc_folder.Source(str(drawings / 'Annotations'), str(drawings / 'JPEGImages'))
    splits = {'train': ('one', 'many', 'pair', 'empty'), 'test': ('one', 'other')}
    given = {'image_size': (96, 160), 'anchors': '1,1,4,1', 'workers': 1, 'image_format': 'png', **changes}
    convert.convert(Settings(source, splits, str(out_dir), **given))
    return Facts((out_dir / 'report.html').read_text())


@pytest.fixture(scope='module')
def written(drawings, tmp_path_factory):
    """A folder of records, and the facts of its page."""
    folder = tmp_path_factory.mktemp('written') / 'out'
    return folder, convert_to(folder, drawings)


def test_classes_are_rows_with_their_numbers_by_split(written):
    assert written[1].rows['Classes'] == [
        ['class', 'train', 'test', 'images', 'under 8 pixels', 'lost'],
        ['square', '7', '1', '2', '86 %', '57 %'],
        ['bar', '3', '0', '2', '0.0 %', '33 %'],
        ['late', '0', '1', '0', '–', '–'],
    ]


def check_examples(images) -> None:
    """Each class has an example, with the object in the middle."""
    shown = dict(images)
    assert list(shown) == [f'an object of class {name} with its box' for name in ('bar', 'late', 'square')]
    image = shown['an object of class late with its box']
    assert image.shape[1] == pictures.EXAMPLE_SIDE or image.shape[0] == pictures.EXAMPLE_SIDE
    assert np.abs(image[image.shape[0] // 2, image.shape[1] // 2].astype(int) - BLUE).max() < 40
    assert np.abs(image[2, 2].astype(int) - 128).max() < 60  # the ground around it
    rows, columns = np.nonzero((np.abs(image.astype(int) - BLUE) < 60).all(2))
    assert np.ptp(columns) / np.ptp(rows) == pytest.approx(60 / 100, rel=0.1)  # as photographed, not as stretched


def test_each_class_has_an_example_with_its_box(written):
    check_examples(written[1].images['One example of each class'])
    assert 'An object whose size is nearest to the median of its class' in written[1].texts['One example of each class']
    assert (
        'squaretrain many' in written[1].texts['One example of each class']
    )  # one of the six small, not the large one


@pytest.mark.parametrize('changes', [{'resize': 'letterbox'}, {'image_format': 'raw', 'num_shards': 2}])
def test_examples_are_as_photographed_however_they_are_stored(drawings, tmp_path, changes):
    check_examples(convert_to(tmp_path, drawings, **changes).images['One example of each class'])


def test_grey_records_are_shown_grey(drawings, tmp_path):
    shown = dict(convert_to(tmp_path, drawings, channels=1, image_format='raw').images['One example of each class'])
    middle = shown['an object of class late with its box'][50, 50].astype(int)
    assert np.abs(middle - 29).max() < 12  # blue as grey


def test_the_most_crowded_images_come_first(written):
    found = written[1]
    assert [alt for alt, _ in found.images['The most crowded images']] == [
        'many with the boxes of its 7 objects',
        'pair with the boxes of its 2 objects',
    ]
    image = found.images['The most crowded images'][0][1]
    assert image.shape[1] / image.shape[0] == pytest.approx(2, rel=0.02)
    assert 'train many' in found.texts['The most crowded images']


def test_anchors_are_rows_with_the_objects_nearest_to_them(written):
    found = written[1]
    assert found.rows['Anchors'][1:] == [
        ['1', '1.00 × 1.00', '32 × 32', '7', '70 %', found.rows['Anchors'][1][-1]],
        ['2', '4.00 × 1.00', '128 × 32', '3', '30 %', found.rows['Anchors'][2][-1]],
    ]
    assert '5 of 10 objects of train (50 %) are lost as targets' in found.texts['Objects']


def test_warnings_are_on_the_page_and_in_the_report(written):
    text = written[1].texts['Warnings']
    report = json.loads((written[0] / 'report.json').read_text())
    kinds = [each['kind'] for each in report['warnings']]
    assert kinds == ['not in the first split', 'few images', 'anchors that fit badly', 'in the first split only']
    for each in report['warnings']:
        assert each['text'] in text
        assert each['advice'] in text
        assert all(item in text for item in each['items'])


def test_splits_without_objects_have_a_page(drawings, tmp_path):
    found = convert_to(tmp_path, drawings, labels=('hexagon', 'bar chart'), anchors='voc')
    assert found.rows['Classes'][1] == ['hexagon', '0', '0', '0', '–', '–']
    assert not {'One example of each class', 'Anchors', 'The most crowded images'} & found.texts.keys()


def test_into_how_many_files_records_go_does_not_show(written, drawings, tmp_path):
    convert_to(tmp_path, drawings, num_shards=3)
    assert (tmp_path / 'report.html').read_bytes() == (written[0] / 'report.html').read_bytes()


def test_bars_are_logarithmic_where_numbers_differ_much():
    def lengths(*numbers) -> list[float]:
        names = [f'c{i}' for i in range(len(numbers))]
        split = records.Split(1, 1, sum(numbers), 0, dict(zip(names, numbers, strict=True)), 9, 0, 0)
        description = records.Description(tuple(names), (96, 96), ((1, 1),), 'voc', 0.7, 95, {'a': split}, '1')
        rows = class_table.rows(description, {'a': Summary()})
        assert [row['name'] for row in rows] == names
        return [float(row['bars'][0][1]) for row in rows]

    assert lengths(5000, 2500, 100) == [100, 50, 2]
    assert lengths(5000, 99, 0) == [100, pytest.approx(100 * np.log(100) / np.log(5001), abs=0.1), 0]
    assert lengths(0, 0) == [0, 0]


def test_charts_have_every_object():
    rng = np.random.default_rng(0)
    found = Statistics(
        centres=rng.integers(0, 9, 1024).tolist(), aspects=[0, 0, *rng.integers(1, 9, 10).tolist(), *[0] * 5]
    )
    found.classes = {f'c{i}': ClassStatistics(1, 0, rng.integers(0, 5, SIZE_BINS).tolist()) for i in range(3)}
    found.classes['most'] = ClassStatistics(1, 0, [100] * SIZE_BINS)
    counts, edges, names = charts.class_sizes(found)
    assert counts.shape == (4, SIZE_BINS)
    assert len(edges) == SIZE_BINS + 1
    assert counts.sum() == sum(each.num_objects for each in found.classes.values())
    assert names[0] == 'most'
    assert charts.centres(found)[3, 5] == found.centres[3 * 32 + 5]
    ratios, numbers = charts.aspects(found)
    assert (ratios[0], ratios[6], ratios[7], ratios[-1]) == ('1:8', '1:1', '1.4:1', '2.8:1')
    assert numbers == found.aspects[2:12]
    few = Statistics(classes={'a': ClassStatistics(1, 0, [0] * 8 + [7] + [0] * (SIZE_BINS - 9))})
    counts, edges, _ = charts.class_sizes(few)
    assert (counts.sum(), edges[0], edges[-1]) == (7, 4, 64)
    assert counts[0, list(edges).index(16)] == 7


def big_page(tmp_path, monkeypatch) -> str:
    """The page of 100,000 images, 80 classes and 20,000 problems, with pictures of noise: the worst to store."""
    rng = np.random.default_rng(0)
    names = tuple(f'class number {k}' for k in range(80))
    noise = rng.integers(0, 256, (416, 416, 3), dtype=np.uint8)
    record = records.Record(
        'x' * 60,
        noise.tobytes(),
        (416, 416),
        np.full((900, 4), 0.5, np.float32),
        np.zeros(900, int),
        np.zeros(900, bool),
        np.zeros((900, 3)),
    )
    monkeypatch.setattr(pictures, '_read', lambda data_dir, description, shown: iter([record] * len(shown)))
    monkeypatch.setattr(page.problem_tools, 'read_image', lambda source, image_id: noise)
    summaries, splits = {}, {}
    for split, share in (('train', 8), ('val', 1), ('test', 1)):
        sizes = rng.integers(0, 900, (80, SIZE_BINS)) * share
        classes = {
            n: ClassStatistics(9 * share, 7, row.tolist(), {'9': Sight(1, 2)})
            for n, row in zip(names, sizes, strict=True)
        }
        made = Statistics(classes, [9] * 1024, [9] * 17, [99] * 5, [99_000] * 5, [Sight(7, 0, 900)] * 8)
        box = "object 2 'ignore' (41, 31, 100, 80): a reason of its own, number {}, as long as they are"
        problems = [
            Problem(
                split, f'image {i // 40}', LEFT_OUT_BOX if i % 2 else NOTED, box.format('abcdefgh'[i % 8] * (i % 990))
            )
            for i in range(20_000)
        ]
        per_image = collections.Counter({int(n): 100 for n in range(300)})
        numbers = {name: each.num_objects for name, each in classes.items()}
        summaries[split] = Summary(objects_per_image=per_image, problems=problems, statistics=made)
        splits[split] = records.Split(10_000 * share, 9, sum(numbers.values()), 0, numbers, 900, 0, 0)
    description = records.Description(
        names, (416, 416), tuple((i, i) for i in range(1, 6)), 'voc', 0.6, 95, splits, '1', image_format='raw'
    )
    boxes = rng.uniform(0.01, 1, (10_000, 2))
    half = np.arange(500)
    pairs = Pairs(half, half[::-1] + 500, np.ones(500), np.zeros(500, bool))  # half of them of two splits
    leaks = Leaks(('train', 'val'), tuple(map(str, range(1000))), np.arange(1000) // 750, pairs, {})
    page.write_page(str(tmp_path), description, summaries, boxes, count_sizes(boxes), voc_folder.Source('', ''), leaks)
    return (tmp_path / 'report.html').read_text()


@pytest.mark.slow
def test_a_page_of_a_hundred_thousand_images_and_eighty_classes_has_less_than_ten_megabytes(tmp_path, monkeypatch):
    text = big_page(tmp_path, monkeypatch)
    found = Facts(text)
    assert 1_000_000 < len(text.encode()) < 10_000_000
    assert len(found.rows['Classes']) == 81
    assert len(found.images['One example of each class']) == 80
    assert len(found.images['The most crowded images']) == statistics.MOST_CROWDED
    assert len(found.images['Images of two splits that are alike']) == 2 * leak_pairs.MOST_SHOWN
    assert len(found.images['Images of one split that are alike']) == 2 * leak_pairs.MOST_SHOWN
    assert len(found.images['Problems']) == page.MOST_THUMBNAILS
    assert re.search(r'And [\d,]+ more images, in report.json', text)
    assert re.search(r'And [\d,]+ more kinds, in report.json', text)
    assert len(found.rows['Problems']) == page.MOST_LINES + 1


@pytest.mark.parametrize(('colour', 'outline'), [((37, 16, 198), 255), ((251, 195, 106), 0)])
def test_a_dark_box_has_a_white_outline_and_a_bright_one_a_black(colour, outline):
    image = np.full((20, 20, 3), 120, np.uint8)
    pictures._draw_box(image, np.array([5, 5, 15, 15]), colour)
    assert tuple(image[5, 10]) == colour[::-1]
    assert (image[4, 4:16] == outline).all()
    assert (image[6:14, 6:14] == 120).all()
