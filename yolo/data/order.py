"""In which order a run takes the records of a split: a function of seed and epoch, known before anything is read.

A split that fits into the window is shuffled as a whole. A larger one is cut into blocks of consecutive records, which
are read at one go; each epoch puts the blocks into another order, cuts that into windows of equal length, and shuffles
the records of each window. In such a window the images of one row of the batches (the first image of each, the second
...) come from neighbouring blocks, so that a process that makes some rows needs a part of the blocks alone.

With repeat factors an epoch has some records more than once, all in one window, and in each epoch others.
"""

import dataclasses
import functools
import math

import numpy as np
import tensorflow as tf

from yolo.data import index, records
from yolo.data.index import RecordIndex
from yolo.data.sampling import ONE

BLOCK_BYTES = 1 << 20  # of consecutive records that are read at one go
REPEAT_SEED = 1 << 41  # added to the seed, so that what is repeated does not depend on the shuffling


@dataclasses.dataclass(frozen=True)
class Order:
    """The endless order of a split's N records for batches of `batch_size` images, epoch by epoch.

    window_bytes: most bytes of records that are shuffled together, beside a block of BLOCK_BYTES. repeats (N,) int64:
    how often each record comes in an epoch, on average, in units of 1 / ONE, at least ONE; None: once.
    """

    index: RecordIndex
    batch_size: int
    seed: int
    window_bytes: int
    repeats: np.ndarray | None = None

    @property
    def num_records(self) -> int:
        """N."""
        return len(self.index.offsets)

    @functools.cached_property
    def epoch_length(self) -> int:
        """Records in an epoch, which is the same in every epoch: N, or with repeats their sum, rounded up."""
        return self.num_records if self.repeats is None else -(-int(self.repeats.sum()) // ONE)

    @functools.cached_property
    def num_windows(self) -> int:
        """Windows in an epoch; what is repeated counts as often as it is on average."""
        num_bytes = self.index.num_bytes
        if self.repeats is not None:
            num_bytes = num_bytes * self.repeats // ONE
        return math.ceil(int(num_bytes.sum()) / self.window_bytes)

    @functools.cached_property
    def blocks(self) -> np.ndarray:
        """The number (N,) of each record's block; blocks are counted through the files and never cross them."""
        place = np.stack([self.index.files, self.index.offsets // BLOCK_BYTES])
        begins = np.any(place[:, 1:] != place[:, :-1], axis=0)
        return np.concatenate([[0], np.cumsum(begins)])

    def window(self, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The records (n,) int64 of a window in order, and the position of the first one in the endless order.

        number: of the window since the first epoch began, scalar int64.
        """
        epoch, window = number // self.num_windows, number % self.num_windows
        seed = tf.stack([tf.cast(self.seed, tf.int64), epoch])
        counts = self._counts(seed)
        if self.num_windows == 1:
            numbers = _repeat(tf.range(self.num_records, dtype=tf.int64), counts)
            return tf.random.experimental.stateless_shuffle(numbers, seed), epoch * self.epoch_length
        numbers, before = self._records_of(window, seed, counts)
        position = epoch * self.epoch_length + before
        return tf.gather(numbers, self._shuffle(tf.size(numbers), position, seed)), position

    def _counts(self, seed: tf.Tensor) -> tf.Tensor | None:
        """How often each record comes in an epoch: (N,) int64, its repeat factor rounded down or up at random.

        The factors of all records, in random order, are laid end to end from a random fraction on; a record comes once
        for each whole number that its own reaches. So every record has its mean, and every epoch the same length: the
        last one is drawn out to a whole number. (Systematic sampling.)
        """
        if self.repeats is None:
            return None
        own_seed = seed + tf.constant([REPEAT_SEED, 0], seed.dtype)
        shuffled = tf.random.experimental.stateless_shuffle(tf.range(self.num_records, dtype=tf.int64), own_seed)
        begin = tf.random.stateless_uniform((), own_seed + REPEAT_SEED, 0, ONE, tf.int64)
        ends = tf.cumsum(tf.gather(self.repeats, shuffled))
        ends = begin + tf.concat([ends[:-1], [self.epoch_length * ONE]], 0)
        reached = ends // ONE  # (N,) whole numbers
        counts = reached - tf.concat([[0], reached[:-1]], 0)
        return tf.gather(counts, tf.math.invert_permutation(shuffled))

    def _records_of(self, window: tf.Tensor, seed: tf.Tensor, counts: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        """The records of a window as its blocks follow each other, and how many of the epoch come before them."""
        begins = np.flatnonzero(np.diff(self.blocks, prepend=-1))  # (M,) first record of each block
        ends = np.append(begins[1:], self.num_records)
        lengths = tf.constant(ends - begins)  # (M,) records in an epoch
        block_bytes = tf.constant(np.add.reduceat(self.index.num_bytes, begins))  # (M,)
        if counts is not None:
            lengths = tf.math.segment_sum(counts, self.blocks)
            block_bytes = tf.math.segment_sum(counts * self.index.num_bytes, self.blocks)
        shuffled = tf.random.experimental.stateless_shuffle(tf.range(len(begins), dtype=tf.int64), seed)
        bytes_before = tf.cumsum(tf.gather(block_bytes, shuffled), exclusive=True)
        windows = bytes_before * self.num_windows // tf.reduce_sum(block_bytes)  # (M,)
        before = tf.reduce_sum(tf.gather(lengths, tf.boolean_mask(shuffled, windows < window)))
        chosen = tf.boolean_mask(shuffled, windows == window)
        numbers = tf.ragged.range(tf.gather(begins, chosen), tf.gather(ends, chosen)).values
        return _repeat(numbers, None if counts is None else tf.gather(counts, numbers)), before

    def _shuffle(self, count: tf.Tensor, position: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Which of `count` records comes at each place of a window that begins at a position: (count,).

        The first records go to the first row of the batches, in random order, the next ones to the second row ...
        """
        places = tf.random.experimental.stateless_shuffle(
            tf.range(count), seed + tf.stack([tf.int64.max // 2, position])
        )
        rows = (position + tf.cast(places, tf.int64)) % self.batch_size
        by_row = tf.gather(places, tf.argsort(rows, stable=True))  # the places, all of the first row first
        return tf.math.invert_permutation(by_row)


def read_order(
    data_dir: str,
    split: str,
    batch_size: int,
    seed: int,
    shuffle_mb: int,
    repeats: np.ndarray | None = None,
    numbers: np.ndarray | None = None,
) -> Order:
    """The order of a split.

    shuffle_mb: how many MB of records are shuffled together; repeats (N,): of `label_reading.read_repeats`, where
    records come more than once an epoch; numbers (n,): of the records to take in place of all, ascending, by which
    those of the order count then. ValueError if the split is empty or missing, or its index is damaged.
    """
    description = records.read_description(data_dir)
    if not description.split(split).num_images:
        raise ValueError(f'split {split!r} of {data_dir!r} has no images to train on')
    found = index.read_index(data_dir, split, description)
    if numbers is not None:
        found, repeats = index.select(found, numbers), None if repeats is None else repeats[numbers]
    return Order(found, batch_size, seed, shuffle_mb * 10**6, repeats)


def _repeat(numbers: tf.Tensor, counts: tf.Tensor | None) -> tf.Tensor:
    """Each of the numbers (n,) as often as `counts` (n,) says, None for once.

    tf.repeat would need memory for n times the largest of the counts.
    """
    if counts is None:
        return numbers
    places = tf.range(tf.reduce_sum(counts))
    return tf.gather(numbers, tf.searchsorted(tf.cumsum(counts), places, side='right'))
