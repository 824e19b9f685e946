"""The TFRecord file format without TensorFlow: the offline stage writes it in processes that start at once.

(TensorFlow tensorflow/core/lib/io/record_writer.h)
"""

from collections.abc import Iterator
from typing import BinaryIO

import google_crc32c

MOST_BYTES = 2**31 - 1  # of a record: protobuf's own limit


def frame(serialized: bytes) -> bytes:
    """The bytes of one record in a TFRecord file: length, checksum of the length, the record, its checksum."""
    length = len(serialized).to_bytes(8, 'little')
    return length + _masked_crc(length) + serialized + _masked_crc(serialized)


def unframe(file: BinaryIO, path: str) -> Iterator[bytes]:
    """The serialized records of an open TFRecord file; ValueError, with its path and the position, if it is damaged."""
    position = 0
    while length := file.read(8):
        crc, number = file.read(4), int.from_bytes(length, 'little')
        if len(length) < 8 or crc != _masked_crc(length):
            raise ValueError(f'{path} is damaged at byte {position:,}')
        if number > MOST_BYTES:  # memory for that many would be taken before reading
            raise ValueError(f'{path} is damaged at byte {position:,}: a record of {number:,} bytes')
        serialized, crc = file.read(number), file.read(4)
        if crc != _masked_crc(serialized):
            raise ValueError(f'{path} is damaged after byte {position:,}')
        yield serialized
        position += 16 + number


def _masked_crc(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return (((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, 'little')
