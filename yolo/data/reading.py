"""Serialized records by their numbers: runs of consecutive ones are read at one go, and nothing else is read."""

import numpy as np
import tensorflow as tf

from yolo.data.index import RecordIndex
from yolo.data.order import Order

READERS = 4  # runs that are read at the same time
READ_BYTES = 1 << 20  # at a time, where records are read one after the other


def shuffled_records(order: Order, first: int, rows: slice) -> tf.data.Dataset:
    """The endless serialized records of some rows of each batch, in order, from the position `first` on.

    Windows are read one ahead: the next one while the records of the last one are taken. Of each, only the records of
    these rows are read that come at `first` or later.
    """

    def read(numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        ascending = tf.argsort(numbers)
        return read_records(order, tf.gather(numbers, ascending)), tf.math.invert_permutation(ascending)

    def emit(window: tf.Tensor, places: tf.Tensor) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(places).map(lambda place: window[place])

    windows = _windows(order, first, rows).map(read).prefetch(1)
    return windows.flat_map(emit)


def numbers_of(order: Order, first: int, count: int) -> tf.Tensor:
    """The numbers (count,) int64 of the records from the position `first` on, without reading any."""
    numbers = _windows(order, first, slice(0, order.batch_size)).flat_map(tf.data.Dataset.from_tensor_slices)
    return numbers.take(count).batch(count).get_single_element()


def _windows(order: Order, first: int, rows: slice) -> tf.data.Dataset:
    """The numbers (n,) of the records of each window in order, only those of some rows and from a position on."""

    def own(window: tf.Tensor) -> tf.Tensor:
        numbers, position = order.window(window)
        positions = position + tf.range(tf.size(numbers, tf.int64))
        row = positions % order.batch_size
        return tf.boolean_mask(numbers, (positions >= first) & (row >= rows.start) & (row < rows.stop))

    first_window = first // order.num_records * order.num_windows  # of the epoch of that position
    windows = tf.data.Dataset.range(first_window, tf.int64.max)
    return windows.map(own).filter(lambda numbers: tf.size(numbers) > 0)


def read_records(order: Order, numbers: tf.Tensor) -> tf.Tensor:
    """The serialized records (n,) string with these numbers (n,) int64, which ascend; n >= 1."""
    index, blocks = order.index, tf.gather(order.blocks, numbers)
    follows = (numbers[1:] == numbers[:-1] + 1) & (blocks[1:] == blocks[:-1])
    begins = tf.where(tf.concat([[True], ~follows], 0))[:, 0]  # (r,) where each run begins in `numbers`
    ends = tf.concat([begins[1:], [tf.size(numbers, tf.int64)]], 0)
    firsts, lasts = tf.gather(numbers, begins), tf.gather(numbers, ends - 1)
    offsets = tf.gather(index.offsets, firsts)
    run_bytes = tf.gather(index.offsets, lasts) + tf.gather(index.num_bytes, lasts) - offsets
    paths = tf.gather(index.paths, tf.gather(index.files, firsts))
    runs = tf.data.Dataset.from_tensor_slices((paths, offsets, run_bytes, ends - begins))
    read = runs.map(_read_run, num_parallel_calls=READERS, deterministic=True)
    return read.flat_map(tf.data.Dataset.from_tensor_slices).batch(tf.size(numbers, tf.int64)).get_single_element()


def consecutive_records(index: RecordIndex, numbers: range) -> tf.data.Dataset:
    """The serialized records with some consecutive numbers, in order, from the first of them on in its file."""
    files = np.unique(index.files[numbers.start : numbers.stop])
    offsets = np.zeros(len(files), np.int64)
    offsets[:1] = index.offsets[numbers.start : numbers.stop][:1]
    paths = tf.constant([index.paths[file] for file in files], tf.string)
    return tf.data.Dataset.from_tensor_slices((paths, offsets)).flat_map(_open_at).take(len(numbers))


def _open_at(path: tf.Tensor, offset: tf.Tensor, buffer_size: tf.Tensor | int = READ_BYTES) -> tf.data.Dataset:
    """The records of a file from an offset on, with checksums and from every file system that TensorFlow knows.

    To be called in a function of a dataset: TensorFlow cannot write it into the graph of one itself.
    """
    opened = tf.raw_ops.TFRecordDatasetV2(
        filenames=[path], compression_type='', buffer_size=buffer_size, byte_offsets=[offset]
    )
    return tf.data.experimental.from_variant(opened, tf.TensorSpec((), tf.string))


def _read_run(path: tf.Tensor, offset: tf.Tensor, num_bytes: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """The `count` consecutive records (count,) of a file that begin at an offset, by one read of their bytes."""
    return _open_at(path, offset, num_bytes).take(count).batch(count).get_single_element()
