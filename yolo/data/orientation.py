"""The EXIF orientation of an image file: how its stored pixels are to be turned or mirrored for viewing.

It is in the tag 0x0112 of a small TIFF: in the segment APP1 of a JPEG, the chunk eXIf of a PNG, the chunk EXIF of a
WebP. OpenCV turns the pixels of a TIFF file itself. (Exif 2.32, section 4.6.4; PNG 3, section 11.3.4.5; WebP container)
"""

import dataclasses
from collections.abc import Iterator
from typing import Literal

import cv2
import numpy as np

from yolo.data import image_size

AS_STORED, FIRST_ON_SIDE = 1, 5  # from 5 on width and height change places
APP1, MARK = 0xE1, b'Exif\0\0'
TAG = 0x0112
MOST_ENTRIES = 1000  # of a table of tags
MOST_CHUNKS = 10_000


@dataclasses.dataclass(frozen=True)
class Turn:
    """How a file's pixels are turned for viewing: its EXIF orientation 1..8; is_jpeg: whether it is a JPEG."""

    orientation: int = AS_STORED
    is_jpeg: bool = True


def find_turn(data: bytes) -> Turn:
    """How the pixels of a file are turned."""
    return Turn(read(data), image_size.is_jpeg(data))


def read(data: bytes) -> int:
    """The orientation 1..8 that the EXIF of a JPEG, PNG or WebP names; 1, as it is stored, for any other file."""
    if image_size.is_jpeg(data):
        return _in_tiff(_of_jpeg(data))
    if data.startswith(b'\x89PNG\r\n\x1a\n'):
        return _in_tiff(_of_chunks(data, 8, b'eXIf', 'big'))
    if data[:4] == b'RIFF' and data[8:12] == b'WEBP':
        return _in_tiff(_of_chunks(data, 12, b'EXIF', 'little').removeprefix(MARK))
    return AS_STORED


def _of_jpeg(data: bytes) -> bytes:
    """The first EXIF in front of the pixels."""
    for marker, start, end in image_size.jpeg_segments(data):
        if marker == APP1 and data.startswith(MARK, start):
            return data[start + len(MARK) : end]
        if marker == image_size.SCAN:
            break
    return b''


def _of_chunks(data: bytes, start: int, wanted: bytes, order: Literal['little', 'big']) -> bytes:
    """What is in the first chunk of a name. A PNG has length, name, content and checksum; a WebP name, length, content.

    That of WebP is filled up to an even length.
    """
    for name, first, end in _chunks(data, start, order):
        if name == wanted:
            return data[first:end]
    return b''


def _chunks(data: bytes, at: int, order: Literal['little', 'big']) -> Iterator[tuple[bytes, int, int]]:
    for _ in range(MOST_CHUNKS):
        head = data[at : at + 8]
        if len(head) < 8:
            return
        is_png = order == 'big'
        name, length = (head[4:], head[:4]) if is_png else (head[:4], head[4:])
        first = at + 8
        end = first + int.from_bytes(length, order)
        yield name, first, end
        at = end + 4 if is_png else end + end % 2


def _in_tiff(tiff: bytes) -> int:
    """The orientation in the first table of tags."""
    order: Literal['little', 'big'] = 'little' if tiff[:2] == b'II' else 'big'

    def number(start: int, size: int) -> int:
        return int.from_bytes(tiff[start : start + size], order)

    table = number(4, 4)  # entries of tag, type, count, value: 2 + 2 + 4 + 4 bytes
    entries = [table + 2 + 12 * i for i in range(min(number(table, 2), MOST_ENTRIES))]
    values = [number(entry + 8, 2) for entry in entries if number(entry, 2) == TAG]
    return next((value for value in values if AS_STORED < value <= 8), AS_STORED)


def apply(image: np.ndarray, orientation: int) -> np.ndarray:
    """An image (H, W, 3) as it is stored -> upright: rotated or mirrored as an orientation 1..8 says."""
    if orientation >= FIRST_ON_SIDE:
        image = cv2.transpose(image)
    flips = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}  # 0: top to bottom, 1: left to right, -1: both
    return cv2.flip(image, flips[orientation]) if orientation in flips else image


def boxes_as_stored(boxes: np.ndarray, orientation: int) -> np.ndarray:
    """Boxes (N, 4) relative to the upright image -> the same parts of the stored one: xmin, ymin, xmax, ymax, 0..1."""
    xmin, ymin, xmax, ymax = np.asarray(boxes).reshape(-1, 4).T
    if orientation in (2, 3, 6, 7):  # left to right
        xmin, xmax = 1 - xmax, 1 - xmin
    if orientation in (3, 4, 7, 8):
        ymin, ymax = 1 - ymax, 1 - ymin
    if orientation >= FIRST_ON_SIDE:
        xmin, ymin, xmax, ymax = ymin, xmin, ymax, xmax
    return np.stack([xmin, ymin, xmax, ymax], 1)
