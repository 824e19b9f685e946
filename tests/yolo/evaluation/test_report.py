import html.parser

import numpy as np
import pytest
from random_case import random_case

from yolo.evaluation import report, result, summary
from yolo.evaluation.voc_matching import Detections, GroundTruth

NONE = np.zeros(0, int)
NO_TRUTH = GroundTruth(NONE, NONE, np.zeros((0, 4)), np.zeros(0, bool))
NO_DETECTIONS = Detections(NONE, NONE, np.zeros(0), np.zeros((0, 4)))


class Checker(html.parser.HTMLParser):
    """Counts elements, and looks that they are closed in order and that nothing is fetched."""

    def __init__(self):
        super().__init__()
        self.open, self.counts = [], {}

    def handle_starttag(self, tag, attrs):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        for name, value in attrs:
            assert name not in ('src', 'href') or value.startswith('data:')
        if tag not in ('meta', 'img', 'br', 'rect', 'line', 'circle', 'polyline'):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.open:
            assert self.open.pop() == tag


def write(folder, truth, detections):
    names = ('cat <&>', 'dog', 'bird')
    found = result.EvaluationResult(names, tuple(f'image_{number}' for number in range(12)), truth, detections)
    evaluation = summary.evaluate(found, 0.5, {'split': 'test'})
    image = np.random.default_rng(0).integers(0, 255, (150, 200, 3), dtype=np.uint8)
    path = report.write_page(
        str(folder),
        'Test',
        found,
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
    return text, checker.counts, evaluation.error_types


def test_the_page_has_all_its_parts(tmp_path):
    truth, detections = random_case(0)
    text, counts, error_types = write(tmp_path, truth, detections)
    shown = min(report.MOST_PICTURES, int((error_types.types >= 0).sum())) + min(
        report.MOST_PICTURES, int(error_types.is_missed.sum())
    )
    assert counts['img'] + text.count('class="none"') == shown
    assert counts['svg'] == 9  # curves, AP, three histograms, two of errors, size, number
    assert 'cat &lt;&amp;&gt;' in text
    assert 'cat <&>' not in text


@pytest.mark.parametrize(
    ('truth', 'detections'),
    [(random_case(0)[0], NO_DETECTIONS), (NO_TRUTH, random_case(0)[1]), (NO_TRUTH, NO_DETECTIONS)],
)
def test_nothing_to_show_is_shown(tmp_path, truth, detections):
    text, counts, _ = write(tmp_path, truth, detections)
    assert counts['table'] == 2
    assert 'Most is lost by' in text or not len(truth.images)
