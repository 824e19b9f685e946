"""Where each record of a split begins: `SPLIT.index` beside its TFRecord files, so that any record is read alone.

The file holds the length in bytes of every record, in the order of the files, as little-endian uint32, and at its end
the CRC-32C of these. Offsets follow: a TFRecord file has 16 bytes more for each record. Folders without an index (of
version 0.1) get theirs from the files themselves, from the 12 bytes before each record.
"""

import dataclasses
import posixpath
from collections.abc import Mapping, Sequence

import google_crc32c
import numpy as np

from yolo import storage
from yolo.data import damage, records, tfrecord

SUFFIX = '.index'


@dataclasses.dataclass(frozen=True)
class RecordIndex:
    """The N records of a split in the order of its S files.

    paths: of the files; files (N,) int64: the number of each record's file; offsets (N,) int64: where its frame begins
    in the file; num_bytes (N,) int64: of its frame, 16 more than of the record.
    """

    paths: tuple[str, ...]
    files: np.ndarray
    offsets: np.ndarray
    num_bytes: np.ndarray


def select(index: RecordIndex, numbers: np.ndarray) -> RecordIndex:
    """The index of some records alone; numbers (n,): of these, ascending."""
    return dataclasses.replace(
        index, files=index.files[numbers], offsets=index.offsets[numbers], num_bytes=index.num_bytes[numbers]
    )


def index_path(data_dir: str, split: str) -> str:
    """Path of the index of a split."""
    return posixpath.join(data_dir, split + SUFFIX)


def write_indices(data_dir: str, lengths: Mapping[str, Sequence[int]]) -> None:
    """Writes the index of each split, atomically; lengths: of its records in bytes, in the order of its files."""
    for split, numbers in lengths.items():
        data = np.asarray(numbers, '<u4').tobytes()
        storage.write(index_path(data_dir, split), data + google_crc32c.value(data).to_bytes(4, 'little'))


def read_index(data_dir: str, split: str, description: records.Description) -> RecordIndex:
    """The index of a split, from its file or, where there is none, from the TFRecord files.

    ValueError if the index is damaged or not that of these files, which are checked as by `records.shard_files`.
    """
    shards = records.shard_files(data_dir, split, description)
    if storage.exists(index_path(data_dir, split)):
        lengths = read_lengths(data_dir, split)
    else:
        lengths = _scan(data_dir, split, list(shards))
    num_bytes = lengths.astype(np.int64) + tfrecord.FRAME_BYTES
    ends = np.cumsum([shard.num_images for shard in shards.values()])
    if len(lengths) != (ends[-1] if len(ends) else 0):
        raise ValueError(_stale(data_dir, split, f'it has {len(lengths)} records'))
    offsets = np.zeros(len(lengths), np.int64)
    for (path, shard), end in zip(shards.items(), ends, strict=True):
        part = slice(end - shard.num_images, end)
        bounds = np.cumsum(num_bytes[part])
        if shard.num_images and bounds[-1] != shard.num_bytes:
            raise ValueError(_stale(data_dir, split, f'its records of {posixpath.basename(path)} have another length'))
        offsets[part] = bounds - num_bytes[part]
    files = np.repeat(np.arange(len(ends)), [shard.num_images for shard in shards.values()])
    return RecordIndex(tuple(shards), files, offsets, num_bytes)


def read_lengths(data_dir: str, split: str) -> np.ndarray:
    """The lengths (N,) uint32 that an index file holds; ValueError if it is damaged, OSError if it is missing."""
    path = index_path(data_dir, split)
    data = storage.read(path)
    lengths, crc = data[:-4], data[-4:]
    if len(data) % 4 or google_crc32c.value(lengths).to_bytes(4, 'little') != crc:
        raise ValueError(f'{path} is damaged; remove it, and it is made anew from the records at each start')
    return np.frombuffer(lengths, '<u4')


def _stale(data_dir: str, split: str, reason: str) -> str:
    return (
        f'{index_path(data_dir, split)} is not the index of the records beside it ({reason}); remove it, and it is '
        'made anew from the records at each start'
    )


def _scan(data_dir: str, split: str, paths: Sequence[str]) -> np.ndarray:
    """The lengths (N,) of the records in files; ValueError names the record whose length is damaged."""
    lengths: list[int] = []
    for path in paths:
        try:
            with storage.reader(path) as file:
                lengths.extend(tfrecord.record_lengths(file, path))
        except ValueError as error:
            raise ValueError(damage.describe(data_dir, split) or str(error)) from error
    return np.array(lengths, np.int64)
