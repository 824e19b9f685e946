"""The TFRecord file format without TensorFlow: the offline stage writes it in processes that start at once.

(TensorFlow tensorflow/core/lib/io/record_writer.h)
"""

from collections.abc import Iterator
from typing import BinaryIO

import google_crc32c

MOST_BYTES = 2**31 - 1  # of a record: protobuf's own limit
HEAD_BYTES, TAIL_BYTES = 12, 4  # around a record: its length in 8 bytes and their checksum in 4, after it its own
FRAME_BYTES = HEAD_BYTES + TAIL_BYTES


def frame(serialized: bytes) -> bytes:
    """The bytes of one record in a TFRecord file: length, checksum of the length, the record, its checksum."""
    length = len(serialized).to_bytes(8, 'little')
    return length + _masked_crc(length) + serialized + _masked_crc(serialized)


def unframe(file: BinaryIO, path: str) -> Iterator[bytes]:
    """The serialized records of an open TFRecord file; ValueError, with its path and the position, if it is damaged."""
    position = 0
    while (number := _read_length(file, path, position)) is not None:
        serialized, crc = file.read(number), file.read(4)
        if crc != _masked_crc(serialized):
            raise ValueError(f'{path} is damaged after byte {position:,}')
        yield serialized
        position += FRAME_BYTES + number


def record_lengths(file: BinaryIO, path: str) -> Iterator[int]:
    """The lengths in bytes of the records of an open TFRecord file, without reading them.

    ValueError, with its path and the position, for a length that is damaged; a file that ends within its last record
    is not noticed.
    """
    position = 0
    while (number := _read_length(file, path, position)) is not None:
        yield number
        position += FRAME_BYTES + number
        file.seek(position)


def _read_length(file: BinaryIO, path: str, position: int) -> int | None:
    """The length in bytes of the record whose frame begins here, at a position; None at the end of the file."""
    length = file.read(8)
    if not length:
        return None
    crc, number = file.read(4), int.from_bytes(length, 'little')
    if len(length) < 8 or crc != _masked_crc(length):
        raise ValueError(f'{path} is damaged at byte {position:,}')
    if number > MOST_BYTES:  # memory for that many would be taken before reading
        raise ValueError(f'{path} is damaged at byte {position:,}: a record of {number:,} bytes')
    return number


def _masked_crc(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return (((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, 'little')
