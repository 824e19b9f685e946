import collections

import numpy as np
import pytest
import tensorflow as tf

from yolo.data import order
from yolo.data.index import RecordIndex

WHOLE = 1 << 40  # bytes of a window that any split fits into


def make_index(num_records: int, num_files: int = 3, seed: int = 0) -> RecordIndex:
    """Records of 100 to 1,000 bytes in files that do not exist."""
    num_bytes = np.random.default_rng(seed).integers(100, 1000, num_records)
    files = np.sort(np.arange(num_records) % num_files)
    offsets = np.zeros(num_records, np.int64)
    for file in range(num_files):
        inside = num_bytes[files == file]
        offsets[files == file] = np.cumsum(inside) - inside
    return RecordIndex(tuple(f'file{i}' for i in range(num_files)), files, offsets, num_bytes)


def make_order(window_bytes: int, num_records: int = 500, batch_size: int = 8, seed: int = 3) -> order.Order:
    return order.Order(make_index(num_records), batch_size, seed, window_bytes)


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of about four records."""
    monkeypatch.setattr(order, 'BLOCK_BYTES', 2000)


def windows_of(made: order.Order, epoch: int) -> list[list[int]]:
    numbers = range(epoch * made.num_windows, (epoch + 1) * made.num_windows)
    return [made.window(tf.constant(number, tf.int64))[0].numpy().tolist() for number in numbers]


def epoch_of(made: order.Order, epoch: int) -> list[int]:
    return [record for window in windows_of(made, epoch) for record in window]


@pytest.mark.parametrize('window_bytes', [WHOLE, 100_000, 20_000, 9000])
def test_every_record_once_an_epoch_and_each_epoch_in_another_order(small_blocks, window_bytes):
    made = make_order(window_bytes)
    assert (made.num_windows == 1) == (window_bytes == WHOLE)
    epochs = [epoch_of(made, epoch) for epoch in range(3)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(500))
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert epochs[0] == epoch_of(make_order(window_bytes), 0)
    assert epochs[0] != epoch_of(make_order(window_bytes, seed=4), 0)


def test_positions_follow_each_other(small_blocks):
    made, expected = make_order(20_000), 0
    for number in range(2 * made.num_windows):
        numbers, position = made.window(tf.constant(number, tf.int64))
        assert position == expected
        expected += len(numbers)
    assert expected == 2 * 500


def test_the_order_is_that_of_all_versions():
    """A run must see the same images when it is continued with a later version; those of 0.1 had one file, too."""
    assert epoch_of(make_order(WHOLE, 8, seed=0), 2) == [3, 0, 6, 5, 4, 7, 1, 2]
    assert epoch_of(make_order(WHOLE, 8, seed=1), 0) == [5, 1, 6, 4, 7, 2, 0, 3]


def test_that_of_windows_too(small_blocks):
    expected = [[15, 13, 14, 12, 11], [0, 4, 2, 3, 1, 5], [9, 6, 8, 7, 10]]
    assert windows_of(make_order(4000, 16, batch_size=2, seed=0), 1) == expected


def test_windows_have_equal_lengths_and_no_more_than_that(small_blocks):
    made = make_order(20_000)
    for epoch in range(3):
        lengths = [made.index.num_bytes[window].sum() for window in windows_of(made, epoch)]
        assert max(lengths) <= 20_000 + order.BLOCK_BYTES + 1000
        assert min(lengths) > max(lengths) - 2 * (order.BLOCK_BYTES + 1000)  # a short one would leave no time to read


def test_blocks_are_consecutive_records_of_one_file(small_blocks):
    made = make_order(20_000)
    lengths = collections.Counter(made.blocks.tolist())
    assert 2 < np.mean(list(lengths.values())) < 5
    assert sorted(lengths) == list(range(len(lengths)))
    for block in lengths:
        assert len(set(made.index.files[made.blocks == block])) == 1
    assert (np.diff(made.blocks) >= 0).all()


def test_records_of_a_window_are_mixed(small_blocks):
    """A batch is of as many blocks as it has images; a row does not take the records of a block one after the other."""
    made = make_order(100_000)
    window = np.array(windows_of(made, 1)[0])
    batches = made.blocks[window[: len(window) // 8 * 8]].reshape(-1, 8)
    assert np.mean([len(set(batch)) for batch in batches]) > 7.5
    assert np.mean(np.diff(window[::8]) == 1) < 0.1


def test_some_rows_need_a_part_of_the_blocks_alone(small_blocks):
    made = make_order(100_000)
    for number in range(made.num_windows, 2 * made.num_windows):
        numbers, position = (value.numpy() for value in made.window(tf.constant(number, tf.int64)))
        rows = (position + np.arange(len(numbers))) % 8
        blocks = [set(made.blocks[numbers[(rows >= 2 * i) & (rows < 2 * i + 2)]]) for i in range(4)]
        assert sum(map(len, blocks)) <= len(set(made.blocks[numbers])) + 3  # those at the borders twice
