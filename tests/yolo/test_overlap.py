"""Work in threads: in order, within its bound, with its errors."""

import itertools
import threading
import time

import numpy as np
import pytest

from yolo import overlap


def test_results_come_in_the_order_of_the_items():
    rng = np.random.default_rng(0)
    seconds = rng.uniform(0, 0.01, 100)

    def wait(i: int) -> int:
        time.sleep(seconds[i])
        return i

    assert list(overlap.in_order(wait, range(100), threads=4, bound=7)) == list(range(100))


def test_no_more_items_are_taken_than_the_bound():
    taken, done, most = [], [], 0

    def items():
        nonlocal most
        for i in range(50):
            taken.append(i)
            most = max(most, len(taken) - len(done))
            yield i

    for result in overlap.in_order(lambda i: i, items(), threads=2, bound=5):
        done.append(result)
    assert done == taken == list(range(50))
    assert 1 <= most <= 5


def test_work_runs_at_the_same_time():
    meeting = threading.Barrier(3, timeout=30)
    assert list(overlap.in_order(lambda _: meeting.wait() >= 0, range(6), threads=3, bound=3)) == [True] * 6


def test_an_error_comes_at_its_place_and_ends_the_rest():
    begun, closed = [], []

    def items():
        try:
            yield from range(100)
        finally:
            closed.append(True)

    def fail(i: int) -> int:
        begun.append(i)
        if i == 5:
            raise ValueError('five')
        return i

    results = overlap.in_order(fail, items(), threads=2, bound=4)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match='five'):
        next(results)
    assert closed == [True]
    assert max(begun) <= 5 + 4


def test_an_error_of_the_items_surfaces():
    def items():
        yield 1
        raise OSError('gone')

    with pytest.raises(OSError, match='gone'):
        list(overlap.in_order(lambda i: i, items(), threads=1, bound=2))


def test_closing_ends_the_items_and_the_threads():
    closed = []

    def items():
        try:
            yield from itertools.count()
        finally:
            closed.append(True)

    before = threading.active_count()
    results = overlap.in_order(lambda batch: sum(batch), overlap.batches(items(), 3), threads=3, bound=3)
    assert next(results) == 0 + 1 + 2
    results.close()
    assert closed == [True]
    assert threading.active_count() == before


def test_batches_are_full_but_for_the_last():
    assert list(overlap.batches(iter(range(7)), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(overlap.batches([], 3)) == []
