import html.parser
import re

import numpy as np
import pytest
from random_case import random_case

from yolo.evaluation import advice, breakdowns, report, report_tables, result, summary
from yolo.evaluation.error_analysis import ERROR_TYPES
from yolo.evaluation.voc_matching import Detections, GroundTruth

NONE = np.zeros(0, int)
NO_TRUTH = GroundTruth(NONE, NONE, np.zeros((0, 4)), np.zeros(0, bool))
NO_DETECTIONS = Detections(NONE, NONE, np.zeros(0), np.zeros((0, 4)))
NAMES = ('cat <script>', 'dog', 'bird')
WITHOUT_END = ('meta', 'img', 'br', 'rect', 'line', 'circle', 'polyline', 'path', 'use', 'image')


class Checker(html.parser.HTMLParser):
    """Counts elements, and looks that they are closed in order and that nothing is fetched."""

    def __init__(self):
        super().__init__()
        self.open, self.counts = [], {}

    def handle_starttag(self, tag, attrs):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        for name, value in attrs:
            assert name not in ('src', 'href', 'xlink:href') or value.startswith(('data:', '#'))
        if tag not in WITHOUT_END:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.open:
            assert self.open.pop() == tag


def write(folder, truth, detections, names=NAMES):
    evaluated = result.EvaluationResult(names, tuple(f'image_{number}' for number in range(12)), truth, detections)
    evaluation = summary.evaluate(evaluated, 0.5, {'split': 'test'})
    image = np.random.default_rng(0).integers(0, 255, (150, 200, 3), dtype=np.uint8)
    path = report.write_page(
        str(folder),
        'Test',
        evaluated,
        evaluation.matches,
        evaluation.curves,
        evaluation.error_types,
        evaluation.metrics,
        lambda numbers: {n: (image, (220, 220)) for n in numbers if n != 3},
    )
    with open(path) as file:
        text = file.read()
    checker = Checker()
    checker.feed(text)
    assert not checker.open
    return text, checker.counts, evaluation


def test_the_page_has_all_its_parts(tmp_path):
    truth, detections = random_case(0)
    text, counts, evaluation = write(tmp_path, truth, detections)
    error_types = evaluation.error_types
    shown = min(report.MOST_PICTURES, int((error_types.types >= 0).sum())) + min(
        report.MOST_PICTURES, int(error_types.is_missed.sum())
    )
    assert counts['img'] + text.count('class="none"') == shown
    assert counts['svg'] == 6  # curves, confusion, size, number, scores of all and by class
    assert 'cat &lt;script&gt;' in text
    assert '<script' not in text
    assert 'http' not in text  # nothing from elsewhere
    assert text == write(tmp_path, truth, detections)[0]


def test_the_page_has_the_numbers(tmp_path):
    text, _, evaluation = write(tmp_path, *random_case(0))
    metrics = evaluation.metrics
    for name, row in metrics['per_class'].items():
        cells = [name.replace('<', '&lt;').replace('>', '&gt;'), f'{row["ap_11pt"]:.3f}', f'{row["ap_area"]:.3f}']
        assert ''.join(f'<td>{cell}</td>' for cell in [*cells, row['num_objects']]) in text
    assert f'<td>mAP</td><td>{metrics["map_11pt"]:.3f}</td><td>{metrics["map_area"]:.3f}</td>' in text
    for row in metrics['errors'].values():
        assert re.search(rf'<td>{row["cost"]:.3f}<span.*</td><td>{row["count"]:,}<span', text)
    chart = text[text.index('Which class is taken for which') : text.index('Most often confused')]
    drawn = re.findall(r'<text[^>]*>(\d+)</text>', chart)
    assert sorted(map(int, drawn)) == sorted(n for row in metrics['confusion'] for n in row if n)


@pytest.mark.parametrize('costliest', ERROR_TYPES)
def test_the_diagnosis_comes_first_and_names_the_costliest_error(costliest):
    metrics = summary.evaluate(
        result.EvaluationResult(NAMES, tuple(map(str, range(12))), *random_case(0)), 0.5, {'split': 'test'}
    ).metrics
    metrics['errors'][costliest]['cost'] = 0.777
    tables = report_tables.tables(metrics)
    assert tables['verdict'].startswith(f'Most is lost by: {costliest}, 0.777 of mAP (')
    assert tables['verdict'] == ' '.join(advice.advise(metrics))
    assert tables['diagnosis'][0]['name'] == costliest
    assert tables['diagnosis'][0]['percent'] == '100'


def test_the_most_confused_pairs_are_in_order():
    confusion = [[5, 2, 0, 1], [7, 1, 2, 0], [0, 0, 9, 0], [4, 4, 4, 0]]
    metrics = {'per_class': dict.fromkeys('abc'), 'confusion': confusion}
    expected = [('b', 'a', 7, 0.7), ('a', 'b', 2, 0.25), ('b', 'c', 2, 0.2)]
    assert breakdowns.most_confused(metrics, 9) == expected
    assert breakdowns.most_confused(metrics, 2) == expected[:2]


@pytest.mark.parametrize('num_classes', [1, 80])
def test_a_page_of_one_class_and_of_many(tmp_path, num_classes):
    truth, detections = random_case(0)
    truth = GroundTruth(truth.images, np.arange(len(truth.images)) % num_classes, truth.boxes, truth.difficult)
    classes = np.arange(len(detections.images)) % num_classes
    detections = Detections(detections.images, classes, detections.scores, detections.boxes)
    text, counts, _ = write(tmp_path, truth, detections, tuple(f'class {k}' for k in range(num_classes)))
    assert counts['svg'] == (5 if num_classes == 1 else 6)
    assert text.index('What to improve first') < text.index('Average precision')
    gallery = text.index('The most confident false positives')
    assert gallery < 400_000  # letters before the pictures


@pytest.mark.parametrize(
    ('truth', 'detections'),
    [(random_case(0)[0], NO_DETECTIONS), (NO_TRUTH, random_case(0)[1]), (NO_TRUTH, NO_DETECTIONS)],
)
def test_nothing_to_show_is_shown(tmp_path, truth, detections):
    text, counts, _ = write(tmp_path, truth, detections)
    assert counts['table'] == 2
    verdict = 'No object of any class has been detected' if len(truth.images) else 'The split has no objects to find'
    assert verdict in text


def gallery(images, classes) -> np.ndarray:
    """Which false positives are shown, of some by falling score; what the page says of them is asserted."""
    boxes, scores = np.tile([1.0, 1, 9, 9], (len(images), 1)), np.linspace(1, 0.5, len(images))
    detections = Detections(images, classes, scores, boxes)
    evaluated = result.EvaluationResult(NAMES, tuple(map(str, range(images.max() + 1))), NO_TRUTH, detections)
    evaluation = summary.evaluate(evaluated, 0.5)
    shown = report._most_confident(evaluation.matches, evaluation.error_types)
    assert (np.diff(shown) > 0).all()
    assert len(shown) == min(report.MOST_PICTURES, len(images))
    left = np.setdiff1d(np.arange(len(images)), shown)
    of_class, of_image = (np.bincount(each[shown], minlength=each.max() + 1) for each in (classes, images))
    is_few = of_class[classes[left]] < report.MOST_OF_CLASS  # others, of which more could be shown
    assert of_class.max() <= report.MOST_OF_CLASS or not is_few.any()
    assert of_image.max() <= 1 or not (is_few & (of_image[images[left]] == 0)).any()
    return shown


def test_a_class_with_the_best_scores_does_not_fill_the_gallery():
    """In each of 40 images a false positive of each class, those of class 0 first: 18 by their class, 6 others."""
    images, classes = np.tile(np.arange(40), 3), np.repeat(np.arange(3), 40)
    shown = gallery(images, classes)
    assert np.bincount(classes[shown]).tolist() == [12, 6, 6]
    assert len(set(images[shown])) == 24


def test_an_image_with_the_best_scores_does_not_fill_the_gallery():
    """30 false positives of class 0 in one image, ten in others; then ten of class 1 and one of class 2."""
    images = np.concatenate([np.zeros(30, int), np.arange(1, 11), np.arange(10), [11]])
    classes = np.concatenate([np.zeros(40, int), np.ones(10, int), [2]])
    shown = gallery(images, classes)
    # 0 and 30 to 34 are of class 0 and of six images, 46 to 50 of classes 1 and 2 and of five others; then 40 and 41 of
    # class 1; then 39, whose image is not shown yet; and the best are left.
    assert shown.tolist() == [*range(11), *range(30, 35), *range(39, 42), *range(46, 51)]


@pytest.mark.parametrize('seed', range(5))
def test_the_gallery_is_what_the_page_says(seed):
    rng = np.random.default_rng(seed)
    number = int(rng.integers(10, 90))
    gallery(rng.integers(0, rng.integers(2, 60), number), rng.choice(3, number, p=[0.8, 0.15, 0.05]))


def test_false_positives_are_shown_best_score_first_where_nothing_is_left_out():
    truth, detections = random_case(0)
    evaluated = result.EvaluationResult(NAMES, tuple(map(str, range(12))), truth, detections)
    evaluation = summary.evaluate(evaluated, 0.5)
    shown = report._most_confident(evaluation.matches, evaluation.error_types)
    assert (evaluation.error_types.types[shown] >= 0).all()
    assert (np.diff(shown) > 0).all()
    assert len(shown) == report.MOST_PICTURES
