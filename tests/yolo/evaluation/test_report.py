import html.parser
import re

import numpy as np
import pytest
from random_case import random_case

from yolo.evaluation import report, report_tables, result, summary
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
    assert tables['verdict'].startswith(f'Most is lost by: {costliest}, 0.777 of mAP.')
    assert report_tables.NEXT_STEPS[costliest] in tables['verdict']
    assert tables['diagnosis'][0]['name'] == costliest
    assert tables['diagnosis'][0]['percent'] == '100'


def test_the_most_confused_pairs_are_in_order():
    confusion = [[5, 2, 0, 1], [7, 1, 2, 0], [0, 0, 9, 0], [4, 4, 4, 0]]
    metrics = {'per_class': dict.fromkeys('abc'), 'confusion': confusion}
    assert report_tables.most_confused(metrics) == [
        ['b', 'a', '7', '70.0 %'],
        ['a', 'b', '2', '25.0 %'],
        ['b', 'c', '2', '20.0 %'],
    ]


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
    verdict = 'Most is lost by: missed, 1.000' if len(truth.images) else 'The split has no objects to find'
    assert verdict in text


def test_neither_a_class_nor_an_image_fills_the_gallery():
    """40 false positives of class 0 score higher than all others, and 30 of them are in one image."""
    images = np.concatenate([np.zeros(30, int), np.arange(1, 11), np.arange(10), [11]])
    classes = np.concatenate([np.zeros(40, int), np.ones(10, int), [2]])
    boxes = np.tile([1.0, 1, 9, 9], (51, 1))
    detections = Detections(images, classes, np.linspace(1, 0.5, 51), boxes)
    evaluated = result.EvaluationResult(NAMES, tuple(map(str, range(12))), NO_TRUTH, detections)
    evaluation = summary.evaluate(evaluated, 0.5)
    shown = report._most_confident(evaluation.matches, evaluation.error_types).tolist()
    assert shown == sorted(shown)
    assert len(shown) == report.MOST_PICTURES
    # Those that come first in their image: the 1st, ten of class 0, none of class 1, the last; of class 0 six of them.
    assert [d for d in shown if d in (0, *range(30, 35), 50)] == [0, *range(30, 35), 50]
    assert shown == [*range(18), *range(30, 35), 50]  # filled up with the best others


def test_false_positives_are_shown_best_score_first_where_nothing_is_left_out():
    truth, detections = random_case(0)
    evaluated = result.EvaluationResult(NAMES, tuple(map(str, range(12))), truth, detections)
    evaluation = summary.evaluate(evaluated, 0.5)
    shown = report._most_confident(evaluation.matches, evaluation.error_types)
    assert (evaluation.error_types.types[shown] >= 0).all()
    assert (np.diff(shown) > 0).all()
    assert len(shown) == report.MOST_PICTURES
