"""JPEG files: pixels by libjpeg, which fills up what is damaged; what it says about that decides what they are worth.

JPEG has no checksum: damage after which the file can still be decoded is seen by nobody.
"""

import dataclasses
import re

import numpy as np
import simplejpeg

from yolo.data import opencv_decoding
from yolo.data.image_size import NOT_HEADERS, SCAN, jpeg_frame, jpeg_segments

SECTOR = 512  # bytes of a disk; holes are whole sectors of zeros
MOST_PLACES = 16  # that are tried for where superfluous bytes are
_EXTRANEOUS = re.compile(r'Corrupt JPEG data: (\d+) extraneous bytes before marker 0x(..)')
_HEADER = re.compile(r'Warning: unknown JFIF revision|Unknown Adobe color transform|Invalid SOS parameters')
_SUBSAMPLING = 'Could not determine subsampling'  # what simplejpeg says of kinds that only libjpeg knows
_LAST_MARKER = 0xD9


@dataclasses.dataclass(frozen=True)
class Decoded:
    """An image (H, W, 3) uint8 BGR; notes: oddities of its file; damage: why its pixels are not to be trusted, or ''"""

    image: np.ndarray
    notes: tuple[str, ...] = ()
    damage: str = ''


def decode(data: bytes) -> Decoded:
    """Decodes a JPEG; ValueError if it cannot be decoded at all. The pixels are those that OpenCV gives, bit for bit.

    libjpeg says the first thing that is wrong and then is silent. If that is harmless (superfluous bytes, odd headers),
    what it says about the file without it counts.
    """
    try:
        return Decoded(_decode(data))
    except ValueError as error:
        reason = str(error)
    image, said = _decode_anyhow(data)
    if image is None:
        raise ValueError(f'not an image that OpenCV reads: {reason}')
    if _SUBSAMPLING in reason:
        reason = said[0] if said else ''
    notes, damage = _judge(data, reason)
    return Decoded(image, notes, damage)


def _decode(data: bytes, strict: bool = True) -> np.ndarray:
    """The image (H, W, 3) uint8 BGR; strict: ValueError with the first thing that libjpeg has to say about the file."""
    frame = jpeg_frame(data)
    if frame is None or frame[2] < 4:
        return simplejpeg.decode_jpeg(data, 'BGR', strict=strict)
    return _cmyk_to_bgr(simplejpeg.decode_jpeg(data, 'CMYK', strict=strict))


def _decode_anyhow(data: bytes) -> tuple[np.ndarray | None, list[str]]:
    """The image as far as it can be decoded, and what is said about it if that is done by OpenCV.

    simplejpeg ends at errors at which OpenCV gives what it has; OpenCV gives nothing of a file without an end.
    """
    try:
        return _decode(data, strict=False), []
    except ValueError:
        return opencv_decoding.decode(data)


def _cmyk_to_bgr(cmyk: np.ndarray) -> np.ndarray:
    """(H, W, 4) uint8, 255 without ink, to (H, W, 3), as OpenCV does (imgcodecs/src/utils.cpp); some rows at a time."""
    image = np.empty((*cmyk.shape[:2], 3), np.uint8)
    for start in range(0, len(cmyk), 64):
        inks = cmyk[start : start + 64].astype(np.uint16)
        black = inks[..., 3:]
        image[start : start + 64] = black - ((255 - inks[..., 2::-1]) * black >> 8)
    return image


def _complaint(data: bytes) -> str:
    """The first thing that libjpeg has to say about a file, or ''."""
    try:
        _decode(data)
    except ValueError as error:
        if _SUBSAMPLING not in str(error):
            return str(error)
        return next(iter(opencv_decoding.decode(data)[1]), '')
    return ''


def _judge(data: bytes, said: str) -> tuple[tuple[str, ...], str]:
    """Notes and damage of a file of which libjpeg first says `said`."""
    notes: tuple[str, ...] = ()
    data = _without_odd_headers(data)
    if _HEADER.match(said):
        notes, said = (said,), _complaint(data)
    match = _EXTRANEOUS.match(said)
    if match and _is_all(data, int(match[1]), int(match[2], 16)):
        return (*notes, said), ''
    return notes, said


def _is_all(data: bytes, count: int, marker: int) -> bool:
    """Whether `count` superfluous bytes before a marker are all that is wrong with a file.

    After the last marker nothing is read, so that nothing can follow; yet pixels that were read from a hole are wrong.
    Zeros that only fill up the file are no hole.
    """
    first = next((start for found, start, _ in jpeg_segments(data) if found == SCAN), len(data))
    last = data.find(bytes([0xFF, _LAST_MARKER]), first)
    ends = [match.start() for match in re.finditer(re.escape(bytes([0xFF, marker])), data)]
    for end in [last] if marker == _LAST_MARKER else ends[:MOST_PLACES]:
        fixed = data[: max(2, end - count)] + data[end:]
        zeros = bytes(SECTOR)
        has_hole = zeros in fixed[first : last - count] or zeros in data[first:end].rstrip(b'\0')
        if not has_hole and (marker == _LAST_MARKER or not _complaint(fixed)):
            return True
    return False


def _without_odd_headers(data: bytes) -> bytes:
    """The file with those fields of its headers set as they should be that libjpeg passes over after a word."""
    fixed = bytearray(data)
    is_sequential = False
    for marker, start, end in jpeg_segments(data):
        if 0xC0 <= marker <= 0xCF and marker not in NOT_HEADERS:
            is_sequential = marker in (0xC0, 0xC1, 0xC9)
        elif marker == 0xE0 and data[start : start + 5] == b'JFIF\0' and end - start >= 14:
            fixed[start + 5 : start + 7] = b'\x01\x01'  # the version
        elif marker == 0xEE and data[start : start + 5] == b'Adobe' and end - start >= 12:
            frame = jpeg_frame(data)
            fixed[start + 11] = 2 if frame and frame[2] == 4 else 1  # YCCK or YCbCr, as libjpeg takes it
        elif marker == SCAN and is_sequential and end <= len(data):
            fixed[end - 3 : end] = b'\x00\x3f\x00'  # all coefficients, at once
    return bytes(fixed)
