"""A split that is larger than the shuffle window: what happens at the borders of windows, and of the size itself."""

import itertools
import math
import types

import numpy as np
import pytest
import tensorflow as tf
from test_order import WHOLE, epoch_of, make_index, make_order, small_blocks, windows_of  # noqa: F401

from yolo.data import order, reading
from yolo.data.index import RecordIndex


def even_order(num_records: int, window_bytes: int, batch_size: int = 2) -> order.Order:
    """Records of 1,000 bytes in one file; with blocks of 1,000 bytes each is a block."""
    offsets = 1000 * np.arange(num_records)
    index = RecordIndex(('file',), np.zeros(num_records, np.int64), offsets, np.full(num_records, 1000))
    return order.Order(index, batch_size, 5, window_bytes)


def slow_windows(made: order.Order, epoch: int) -> list[list[int]]:
    """The records of each window of an epoch, ascending: whole blocks, each in the window that its first byte is in."""
    total = int(made.index.num_bytes.sum())
    number = math.ceil(total / made.window_bytes)
    blocks = tf.random.experimental.stateless_shuffle(
        tf.range(1 + int(made.blocks.max()), dtype=tf.int64), tf.constant([made.seed, epoch], tf.int64)
    )
    windows, before = [[] for _ in range(number)], 0
    for block in blocks.numpy().tolist():
        records = np.flatnonzero(made.blocks == block)
        window = next(w for w in range(number) if before * number < (w + 1) * total)
        windows[window] += records.tolist()
        before += int(made.index.num_bytes[records].sum())
    return [sorted(window) for window in windows]


@pytest.mark.parametrize('window_bytes', [100_000, 20_000, 9000])
def test_a_block_is_in_the_window_that_it_begins_in(small_blocks, window_bytes):  # noqa: F811
    """And whole, so that one that lies across the border makes its window longer; no record is lost or twice."""
    made = make_order(window_bytes)
    total, straddling = int(made.index.num_bytes.sum()), 0
    for epoch in range(2):
        windows = windows_of(made, epoch)
        assert [sorted(window) for window in windows] == slow_windows(made, epoch)
        assert sorted(itertools.chain(*windows)) == list(range(500))
        ends = np.cumsum([made.index.num_bytes[window].sum() for window in windows])
        borders = total * np.arange(1, len(windows) + 1) / len(windows)
        assert (ends >= borders).all()
        assert ends[-1] == total
        straddling += int((ends > borders).sum())
    assert straddling > 2


def test_a_window_of_exactly_the_splits_size_is_the_whole_and_one_byte_less_makes_two():
    total = int(make_index(500).num_bytes.sum())
    whole, exact, less = (make_order(window_bytes) for window_bytes in (WHOLE, total, total - 1))
    assert [made.num_windows for made in (whole, exact, less)] == [1, 1, 2]
    for epoch in range(2):
        assert epoch_of(exact, epoch) == epoch_of(whole, epoch)
        assert sorted(epoch_of(less, epoch)) == list(range(500))
    assert epoch_of(less, 0) != epoch_of(exact, 0)


def test_one_byte_less_cuts_between_blocks(small_blocks):  # noqa: F811
    """With one block, nothing is left for the second window, and nothing is lost by that."""
    total = int(make_index(500).num_bytes.sum())
    made = make_order(total - 1)
    assert [sorted(window) for window in windows_of(made, 1)] == slow_windows(made, 1)
    one_block = even_order(2, 1999)
    assert one_block.num_windows == 2
    assert sorted(map(len, windows_of(one_block, 0))) == [0, 2]
    assert ids_from(one_block, 0, 6) == in_order(one_block, 3)


@pytest.mark.parametrize(
    ('window_bytes', 'lengths'),
    [
        (8000, [8]),
        (7999, [4, 4]),  # the border at 4,000 bytes is where a block begins: it is the first of the next window
        (4000, [4, 4]),
        (3999, [3, 3, 2]),  # borders at 2,667 and 5,333: the blocks from 2,000 and from 5,000 on lie across them
        (1000, [1] * 8),
        (999, [1] * 8 + [0]),
    ],
)
def test_borders_at_and_within_blocks(monkeypatch, window_bytes, lengths):
    monkeypatch.setattr(order, 'BLOCK_BYTES', 1000)
    made = even_order(8, window_bytes)
    got = [len(window) for window in windows_of(made, 1)]
    assert sorted(got, reverse=True) == lengths
    assert [sorted(window) for window in windows_of(made, 1)] == slow_windows(made, 1)


def ids_from(made: order.Order, first: int, count: int) -> list[int]:
    """The numbers of the records from a position on, as a run takes them that goes on there."""
    return reading.numbers_of(made, first, count).numpy().tolist()


def in_order(made: order.Order, epochs: int) -> list[int]:
    """The numbers of the records of some epochs from the start."""
    return [record for epoch in range(epochs) for record in epoch_of(made, epoch)]


@pytest.mark.parametrize(
    ('window_bytes', 'batch_size', 'positions'),
    [
        (3999, 2, (2, 3, 4)),  # around a border within a block; with 2 a batch has images of two windows
        (3999, 3, (8, 9)),  # of an epoch that ends within a batch
        (7999, 2, (4, 5)),
        (8000, 2, (8,)),
    ],
)
def test_at_and_around_a_border_the_same_records_follow(monkeypatch, window_bytes, batch_size, positions):
    """Each record once an epoch still: a run that goes on there takes what is left of a window, and all of the next."""
    monkeypatch.setattr(order, 'BLOCK_BYTES', 1000)
    made = even_order(8, window_bytes, batch_size)
    expected = in_order(made, 3)
    for first in positions:
        assert ids_from(made, first, 12) == expected[first : first + 12]


@pytest.mark.parametrize(('num_bytes', 'windows'), [(10**6, 1), (10**6 + 1, 2), (2 * 10**6, 2), (2 * 10**6 + 1, 3)])
def test_shuffle_mb_is_millions_of_bytes(monkeypatch, num_bytes, windows):
    index = RecordIndex(('file',), np.zeros(2, np.int64), np.array([0, 1000]), np.array([1000, num_bytes - 1000]))
    split = types.SimpleNamespace(num_images=2)
    description = types.SimpleNamespace(split=lambda name: split)
    monkeypatch.setattr(order.records, 'read_description', lambda data_dir: description)
    monkeypatch.setattr(order.index, 'read_index', lambda data_dir, split, description: index)
    assert order.read_order('folder', 'train', 2, 0, shuffle_mb=1).num_windows == windows
