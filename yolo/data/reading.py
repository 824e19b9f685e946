"""Serialized records in the order of a run: one window of them in memory, and as many read as are taken.

While the records of a window are taken, those of the next one are read, step by step, into the memory that becomes
free, also from one epoch to the next. Runs of consecutive records are read at one go, and nothing else is read.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from yolo.data.index import RecordIndex
from yolo.data.order import Order

READERS = 2  # steps that are read at the same time
STEP_BYTES = 8 << 20  # of records in a step, but no more than a window divided by
STEPS = 100
READ_BYTES = 2 << 20  # at most, in one read
SCALAR = np.zeros(0, np.int32)  # a shape

Step = tuple[tf.Tensor, tf.Tensor, tf.Tensor]


def shuffled_records(order: Order, first: int, rows: slice) -> tf.data.Dataset:
    """The endless serialized records of some rows of each batch, in order, from the position `first` on.

    Only the records of these rows are read that come at `first` or later.
    """
    windows = _windows(order, first, rows)
    with tf.device('CPU:0'):
        index, lists = _as_tensors(order.index), (_empty_list(), _empty_list())
    nothing = tf.data.Dataset.from_tensors(tf.zeros(0, tf.int64))
    steps = tf.data.Dataset.zip(nothing.concatenate(windows), windows).flat_map(_cut(order))

    def read(places: tf.Tensor, numbers: tf.Tensor, begins: tf.Tensor) -> Step:
        return places, read_records(index, numbers), begins

    read_steps = steps.map(read, num_parallel_calls=READERS, deterministic=True)
    return read_steps.scan(lists, _exchange).unbatch()


def numbers_of(order: Order, first: int, count: int) -> tf.Tensor:
    """The numbers (count,) int64 of the records from the position `first` on, without reading any."""
    numbers = _windows(order, first, slice(0, order.batch_size)).flat_map(tf.data.Dataset.from_tensor_slices)
    return numbers.take(count).batch(count).get_single_element()


def read_records(index: RecordIndex, numbers: tf.Tensor) -> tf.Tensor:
    """The serialized records (n,) string with these numbers (n,) int64; consecutive ones are read at one go."""
    return tf.cond(tf.size(numbers) > 0, lambda: _read_some(index, numbers), lambda: tf.zeros(0, tf.string))


def consecutive_records(index: RecordIndex, numbers: range) -> tf.data.Dataset:
    """The serialized records with some consecutive numbers, in order, from the first of them on in its file."""
    files = np.unique(index.files[numbers.start : numbers.stop])
    offsets = np.zeros(len(files), np.int64)
    offsets[:1] = index.offsets[numbers.start : numbers.stop][:1]
    paths = tf.constant([index.paths[file] for file in files], tf.string)
    return tf.data.Dataset.from_tensor_slices((paths, offsets)).flat_map(_open_at).take(len(numbers))


def chosen_records(index: RecordIndex, numbers: np.ndarray, at_once: int = 16) -> tf.data.Dataset:
    """The serialized records with some numbers (n,) int64, ascending, in order; nothing else is read."""
    with tf.device('CPU:0'):
        tensors = _as_tensors(index)
    groups = tf.data.Dataset.from_tensor_slices(np.asarray(numbers, np.int64)).batch(at_once)
    return groups.map(lambda group: read_records(tensors, group)).unbatch()


def _windows(order: Order, first: int, rows: slice) -> tf.data.Dataset:
    """The numbers (n,) of the records of each window in order, only those of some rows and from a position on."""

    def own(window: tf.Tensor) -> tf.Tensor:
        numbers, position = order.window(window)
        positions = position + tf.range(tf.size(numbers, tf.int64))
        row = positions % order.batch_size
        return tf.boolean_mask(numbers, (positions >= first) & (row >= rows.start) & (row < rows.stop))

    first_window = first // order.epoch_length * order.num_windows  # of the epoch of that position
    windows = tf.data.Dataset.range(first_window, tf.int64.max)
    return windows.map(own).filter(lambda numbers: tf.size(numbers) > 0)


def _cut(order: Order) -> Callable[[tf.Tensor, tf.Tensor], tf.data.Dataset]:
    """A function that cuts the taking of one window and the reading of the next one into steps.

    It takes the numbers of the records of both, in order. A step has the places, in the window as it was read, of the
    records to take (n,) int32; the numbers of those to read (m,) int64; whether it is the first one.
    """
    num_bytes = order.index.num_bytes
    step_bytes = min(STEP_BYTES, int(num_bytes.sum()) // order.num_windows // STEPS)
    most = max(1, step_bytes // int(num_bytes.mean()))  # records

    def cut(taken: tf.Tensor, read: tf.Tensor) -> tf.data.Dataset:
        places, ascending = tf.math.invert_permutation(tf.argsort(taken)), tf.sort(read)
        count = (tf.maximum(tf.size(taken, tf.int64), tf.size(read, tf.int64)) + most - 1) // most

        def part(values: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
            size = tf.size(values, tf.int64)
            return values[size * number // count : size * (number + 1) // count]

        numbers = tf.data.Dataset.range(count)
        return numbers.map(lambda number: (part(places, number), part(ascending, number), number == 0))

    return cut


def _exchange(windows: tuple[tf.Tensor, tf.Tensor], step: Step) -> tuple[tuple[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Takes records out of one window, whose memory becomes free, and adds those that were read to the next one.

    windows: both, as lists of strings; step: the places of the records to take (n,) int32; the records that were read
    (m,) string; whether the next window begins to be taken. Returns both lists and the records that were taken (n,).
    """
    places, read, begins = step
    taken, filled = tf.cond(begins, lambda: (windows[1], _empty_list()), lambda: windows)
    out = tf.raw_ops.TensorListGather(input_handle=taken, indices=places, element_shape=SCALAR, element_dtype=tf.string)
    nothing = tf.fill(tf.shape(places), '')
    taken = tf.raw_ops.TensorListScatterIntoExistingList(input_handle=taken, tensor=nothing, indices=places)
    added = tf.raw_ops.TensorListFromTensor(tensor=read, element_shape=SCALAR)
    filled = tf.raw_ops.TensorListConcatLists(input_a=filled, input_b=added, element_dtype=tf.string)
    return (taken, filled), out


def _empty_list() -> tf.Tensor:
    return tf.raw_ops.EmptyTensorList(element_shape=SCALAR, max_num_elements=-1, element_dtype=tf.string)


def _as_tensors(index: RecordIndex) -> RecordIndex:
    """The same with tensors for arrays: functions share them, while each would have its own copy of an array."""
    return dataclasses.replace(index, **{name: tf.constant(value) for name, value in vars(index).items()})


def _read_some(index: RecordIndex, numbers: tf.Tensor) -> tf.Tensor:
    """`read_records` of one record or more."""
    files = tf.gather(index.files, numbers)
    offsets = tf.gather(index.offsets, numbers)
    ends = offsets + tf.gather(index.num_bytes, numbers)
    follows = (offsets[1:] == ends[:-1]) & (files[1:] == files[:-1])
    begins = tf.where(tf.concat([[True], ~follows], 0))[:, 0]  # (r,) where each run begins in `numbers`
    stops = tf.concat([begins[1:], [tf.size(numbers, tf.int64)]], 0)
    starts = tf.gather(offsets, begins)
    num_bytes = tf.gather(ends, stops - 1) - starts
    paths = tf.gather(index.paths, tf.gather(files, begins))
    runs = tf.data.Dataset.from_tensor_slices((paths, starts, num_bytes, stops - begins))
    return runs.flat_map(_read_run).batch(tf.size(numbers, tf.int64)).get_single_element()


def _read_run(path: tf.Tensor, offset: tf.Tensor, num_bytes: tf.Tensor, count: tf.Tensor) -> tf.data.Dataset:
    """The `count` consecutive records of a file that begin at an offset, by as few reads of their bytes as can be."""
    return _open_at(path, offset, _even_part(num_bytes)).take(count)


def _open_at(path: tf.Tensor, offset: tf.Tensor, buffer_size: tf.Tensor | int = READ_BYTES) -> tf.data.Dataset:
    """The records of a file from an offset on, with checksums and from every file system that TensorFlow knows.

    To be called in a function of a dataset: TensorFlow cannot write it into the graph of one itself.
    """
    opened = tf.raw_ops.TFRecordDatasetV2(
        filenames=[path], compression_type='', buffer_size=buffer_size, byte_offsets=[offset]
    )
    return tf.data.experimental.from_variant(opened, tf.TensorSpec((), tf.string))


def _even_part(num_bytes: tf.Tensor) -> tf.Tensor:
    """The bytes of a read, so that a whole number of reads gives a run and nothing behind it is read."""
    reads = (num_bytes + READ_BYTES - 1) // READ_BYTES
    return (num_bytes + reads - 1) // reads
