"""What is read of the records, and when: the bytes of all others are destroyed, so that reading them is an error."""

import itertools
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from conftest import write_records

from yolo.data import index, order, parsing, pipeline, reading, records, sampling

BATCH, NUM = 4, 22  # images a batch, records


@pytest.fixture(
    params=['one window', 'windows', 'windows, repeats', pytest.param('one window, repeats', marks=pytest.mark.slow)]
)
def made(request, tmp_path, monkeypatch) -> order.Order:
    """The order of a split of 22 records in 2 files, shuffled as a whole or in windows, with repeats or without."""
    monkeypatch.setattr(order, 'BLOCK_BYTES', 20_000)
    folder = write_records(tmp_path / 'data', num_images=NUM)
    found = index.read_index(folder, 'train', records.read_description(folder))
    kind, _, repeats = request.param.partition(', ')
    factors = sampling.in_units(1 + np.arange(NUM) % 4 * 0.6) if repeats else None
    made = order.Order(found, BATCH, 1, {'one window': 10**9, 'windows': 60_000}[kind], factors)
    assert (made.num_windows > 2) == (kind == 'windows')
    assert made.epoch_length == (41 if repeats else NUM)
    return made


def numbers_in_order(made: order.Order, epochs: int = 2) -> list[int]:
    """The numbers of the records as they come."""
    windows = [made.window(tf.constant(number, tf.int64))[0] for number in range(epochs * made.num_windows)]
    return tf.concat(windows, 0).numpy().tolist()


def ids(serialized) -> list[str]:
    return [parsing.parse_ids(record[None])[0].numpy().decode() for record in serialized]


def id_of(number: int) -> str:
    """The id that `write_records` gives to a record: the first file has the even ones."""
    half = (NUM + 1) // 2
    return f'train_{2 * number if number < half else 2 * (number - half) + 1}'


@pytest.fixture
def read_numbers(monkeypatch) -> list[int]:
    """The numbers of the records that were read, as they were read, one step after the other."""
    numbers, read_records = [], reading.read_records

    def recorded(found: index.RecordIndex, asked: tf.Tensor) -> tf.Tensor:
        tf.numpy_function(lambda array: numbers.extend(array.tolist()), [asked], [])
        return read_records(found, asked)

    monkeypatch.setattr(reading, 'read_records', recorded)
    monkeypatch.setattr(reading, 'READERS', 1)
    return numbers


def test_records_come_in_their_order(made):
    expected = [id_of(number) for number in numbers_in_order(made)]
    assert ids(reading.shuffled_records(made, 0, slice(0, BATCH)).take(len(expected))) == expected


def check_positions(made: order.Order, positions) -> None:
    """That from each of these positions on the records follow that come there from the start."""
    expected = [id_of(number) for number in numbers_in_order(made, epochs=3)]
    for first in positions:
        serialized = reading.shuffled_records(made, first, slice(0, BATCH)).take(NUM)
        assert ids(serialized) == expected[first : first + NUM]
        assert reading.numbers_of(made, first, 6).numpy().tolist() == numbers_in_order(made)[first : first + 6]


def test_from_a_position_the_same_records_follow(made):
    check_positions(made, [1, 9, made.epoch_length - 1, made.epoch_length])


@pytest.mark.slow
def test_from_every_position_the_same_records_follow(made):
    check_positions(made, range(made.epoch_length + 3))


@pytest.mark.parametrize('first', [8, 18])
def test_what_was_used_is_not_read_again(made, first, read_numbers):
    serialized = ids(reading.shuffled_records(made, first, slice(0, BATCH)).take(made.epoch_length - first))
    rest = numbers_in_order(made, epochs=1)[first:]
    assert serialized == [id_of(number) for number in rest]
    assert sorted(read_numbers[: len(rest)]) == sorted(rest)
    assert set(read_numbers[len(rest) :]) <= set(range(NUM))  # of the next epoch


@pytest.mark.parametrize('part', [0, 1])
def test_the_records_of_other_rows_are_not_read(made, part, read_numbers):
    rows = range(2 * part, 2 * part + 2)
    own = [number for position, number in enumerate(numbers_in_order(made)) if position % BATCH in rows]
    count = len(own)
    serialized = ids(reading.shuffled_records(made, 0, slice(rows.start, rows.stop)).take(count))
    assert serialized == [id_of(number) for number in own]
    assert sorted(read_numbers[:count]) == sorted(own)


def test_no_more_is_read_ahead_than_a_window(made, read_numbers):
    """And some steps, of one record here."""
    window = made.epoch_length // made.num_windows
    for taken, _ in enumerate(reading.shuffled_records(made, 0, slice(0, BATCH)).take(2 * made.epoch_length)):
        assert len(read_numbers) <= taken + window + 12


def test_rows_put_together_are_the_batches(made):
    whole = ids(reading.shuffled_records(made, 0, slice(0, BATCH)).take(40))
    rows = [iter(ids(reading.shuffled_records(made, 0, slice(i, i + 1)).take(10))) for i in range(BATCH)]
    assert [next(rows[position % BATCH]) for position in range(40)] == whole


def test_bytes_that_are_read_are_those_of_the_records(made):
    """By what the system counts (Linux), beside a byte for each file that is opened at an offset."""

    def bytes_read() -> int:
        text = pathlib.Path('/proc/self/io').read_text()
        return int(text.split('rchar: ')[1].split()[0])

    numbers = tf.constant([0, 1, 2, 9, 13, 14, 21], tf.int64)
    reading.read_records(made.index, numbers)
    before, alone = bytes_read(), bytes_read()
    reading.read_records(made.index, numbers)
    found = bytes_read() - alone - (alone - before)
    wanted = int(made.index.num_bytes[numbers.numpy()].sum())
    assert wanted <= found < wanted + 2000


def test_other_file_systems(tmp_path):
    folder = write_records(tmp_path / 'data', num_images=8)
    tf.io.gfile.makedirs('ram://reading')
    for name in tf.io.gfile.listdir(folder):
        tf.io.gfile.copy(f'{folder}/{name}', f'ram://reading/{name}')
    for shuffle_mb in (2048, 16):
        here, there = (
            list(itertools.islice(pipeline.training_batches(path, 'train', 4, 0, shuffle_mb=shuffle_mb), 3))
            for path in (folder, 'ram://reading')
        )
        for a, b in zip(here, there, strict=True):
            tf.debugging.assert_equal(a['image'], b['image'])
            tf.debugging.assert_equal(a['places'], b['places'])
