import re

import numpy as np

from yolo.pages import page, plots

HOSTILE = '<script>$x_1$&'


def texts(svg):
    return re.findall(r'<text[^>]*>([^<]*)</text>', svg)


def charts():
    rng = np.random.default_rng(0)
    line = np.linspace(0, 1, 5)
    edges = np.logspace(-4, 0, 9, base=2)
    return {
        'bars': plots.bars([HOSTILE, 'b'], [0.25, 1234]),
        'columns': plots.columns([HOSTILE, 'b'], [3, 4], 'x', 'y', 3.5),
        'curves': plots.curves({HOSTILE: (line, line), 'b': (line, 1 - line)}, [HOSTILE], 'x', 'y'),
        'heat_map': plots.heat_map(np.eye(2), np.array([[7, 0], [0, 12345]]), [HOSTILE, 'b'], ['c', 'd'], ('r', 's')),
        'strips': plots.strips(
            {'one': rng.integers(0, 9, (2, 20)), 'two': np.ones((2, 20))}, [HOSTILE, 'b'], (0, 1), 'x'
        ),
        'counts_by_score': plots.counts_by_score({HOSTILE: np.array([1000, 10, 0])}, (0, 1), 'x'),
        'density': plots.density(rng.integers(0, 900, (8, 8)), edges, np.array([[0.2, 0.3]]), 'w', 'h', HOSTILE),
    }


def test_names_are_escaped_and_the_same_data_gives_the_same_bytes():
    assert charts() == charts()
    for name, svg in charts().items():
        assert '<script' not in svg, name
        assert '&lt;script&gt;$x_1$&amp;' in svg, name  # and not read as mathematics
        assert 'mathdefault' not in svg, name
        assert 'http' not in svg, name


def test_charts_say_their_numbers():
    every = charts()
    assert {'0.250', '1,234'} <= set(texts(every['bars']))
    assert {'3', '4'} <= set(texts(every['columns']))
    assert {'7', '12k'} <= set(texts(every['heat_map']))
    assert '1000' in texts(every['counts_by_score'])
    names = [f'class {k}' for k in range(80)]
    large = plots.heat_map(np.eye(80), np.full((80, 80), 7), names, names, ('r', 's'))
    assert set(names) <= set(texts(large))
    assert '7' not in texts(large)  # there is no room


def test_anchors_have_a_white_outline():
    edges = np.array([0.25, 0.5, 1])
    points = np.array([[0.3, 0.3], [0.6, 0.6]])
    svg, without = (plots.density(np.full((2, 2), 9), edges, p, 'w', 'h', 'anchors') for p in (points, points[:0]))
    outlines = [chart.count('stroke: #ffffff; stroke-width: 2.5') for chart in (svg, without)]
    assert outlines[0] >= outlines[1] + 2 + 1  # of both numbers and of the marker


def test_a_picture_is_a_data_url_and_none_is_none():
    assert page.picture(np.zeros((9, 9, 3), np.uint8)).startswith('data:image/jpeg;base64,')
    assert page.picture(None) == ''
