"""In which order a run takes the records of a split: a function of seed and epoch, known before anything is read.

A split that fits into the window is shuffled as a whole. A larger one is cut into blocks of consecutive records, which
are read at one go; each epoch puts the blocks into another order, cuts that into windows of equal length, and shuffles
the records of each window. In such a window the images of one row of the batches (the first image of each, the second
...) come from neighbouring blocks, so that a process that makes some rows needs a part of the blocks alone.
"""

import dataclasses
import functools
import math

import numpy as np
import tensorflow as tf

from yolo.data.index import RecordIndex

BLOCK_BYTES = 1 << 20  # of consecutive records that are read at one go


@dataclasses.dataclass(frozen=True)
class Order:
    """The endless order of a split's N records for batches of `batch_size` images, epoch by epoch.

    window_bytes: most bytes of records that are shuffled together, beside a block of BLOCK_BYTES.
    """

    index: RecordIndex
    batch_size: int
    seed: int
    window_bytes: int

    @property
    def num_records(self) -> int:
        """N."""
        return len(self.index.offsets)

    @functools.cached_property
    def num_windows(self) -> int:
        """Windows in an epoch."""
        return math.ceil(int(self.index.num_bytes.sum()) / self.window_bytes)

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
        if self.num_windows == 1:
            numbers = tf.range(self.num_records, dtype=tf.int64)
            return tf.random.experimental.stateless_shuffle(numbers, seed), epoch * self.num_records
        numbers, before = self._records_of(window, seed)
        position = epoch * self.num_records + before
        return tf.gather(numbers, self._shuffle(tf.size(numbers), position, seed)), position

    def _records_of(self, window: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The records of a window as its blocks follow each other, and how many of the epoch come before them."""
        begins = np.flatnonzero(np.diff(self.blocks, prepend=-1))  # (M,) first record of each block
        ends = np.append(begins[1:], self.num_records)
        block_bytes = np.add.reduceat(self.index.num_bytes, begins)  # (M,)
        shuffled = tf.random.experimental.stateless_shuffle(tf.range(len(begins), dtype=tf.int64), seed)
        bytes_before = tf.cumsum(tf.gather(block_bytes, shuffled), exclusive=True)
        windows = bytes_before * self.num_windows // block_bytes.sum()  # (M,)
        before = tf.reduce_sum(tf.gather(ends - begins, tf.boolean_mask(shuffled, windows < window)))
        chosen = tf.boolean_mask(shuffled, windows == window)
        return tf.ragged.range(tf.gather(begins, chosen), tf.gather(ends, chosen)).values, before

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
