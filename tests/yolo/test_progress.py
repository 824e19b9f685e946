"""How far a command is, where there is no terminal: by a clock that the test moves."""

import io

from tqdm import tqdm

from yolo import progress


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def test_a_line_every_thirty_seconds_and_none_before(caplog):
    clock = Clock()
    with caplog.at_level('INFO'), progress.counter(2000, 'images', 'test', clock=clock) as advance:
        for seconds in (10, 19.5, 1, 29, 200):  # at 10, 29.5, 30.5, 59.5 and 259.5
            clock.now += seconds
            advance(400)
    assert caplog.messages == [
        'test: 1,200 of 2,000 images, 39.3 a second',
        'test: 2,000 of 2,000 images, 7.7 a second',
    ]


def test_lines_without_a_total_and_a_name_and_none_where_it_is_quiet(caplog):
    for is_quiet in (False, True):
        clock = Clock()
        with caplog.at_level('INFO'), progress.counter(None, 'frames', is_quiet=is_quiet, clock=clock) as advance:
            clock.now += 30
            advance(60)
    assert caplog.messages == ['60 frames, 2.0 a second']


def test_on_a_terminal_there_is_the_bar_and_no_line(monkeypatch, caplog):
    clock, output = Clock(), io.StringIO()
    output.isatty = lambda: True
    monkeypatch.setattr(progress, 'tqdm', lambda **options: tqdm(file=output, **options))
    with caplog.at_level('INFO'), progress.counter(8, 'images', 'test', clock=clock) as advance:
        clock.now += 60
        advance(8)
    assert 'test: 100%' in output.getvalue()
    assert caplog.messages == []
