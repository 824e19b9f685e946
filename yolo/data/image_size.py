"""The size of an image as its file's header says, before anything is decoded."""

import re
from collections.abc import Callable, Iterator

NOT_HEADERS = frozenset({0xC4, 0xC8, 0xCC})  # among the markers SOF0..SOF15 of JPEG: tables, and one that is reserved
END, SCAN = 0xD9, 0xDA
_MARKER = re.compile(rb'\xff+([^\x00\xff])', re.DOTALL)  # FF00 is a byte of pixels, FFFF a filler
_NUMBER = rb'(?:\s|#[^\n]*\n)+(\d{1,9})'  # of a PNM: a `#` begins a comment
_PNM = re.compile(rb'P[1-6]' + _NUMBER + _NUMBER + rb'\s')
_INTEGERS = {1: 1, 3: 2, 4: 4, 6: 1, 8: 2, 9: 4, 16: 8, 17: 8}  # types of a TIFF's values: their bytes

Size = tuple[int, int]  # height, width


def is_jpeg(data: bytes) -> bool:
    """Whether a file begins as a JPEG does."""
    return data[:2] == b'\xff\xd8'


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The segments of a JPEG, found as libjpeg finds them: marker, and start and end of what is in it."""
    at = 2
    while match := _MARKER.search(data, at):
        marker, at = match[1][0], match.end()
        if marker == END:
            return
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # these have no length
            continue
        length = int.from_bytes(data[at : at + 2], 'big')
        if length < 2:
            return
        yield marker, at + 2, at + length
        at += length


def jpeg_frame(data: bytes) -> tuple[int, int, int] | None:
    """Height, width and number of components of a JPEG; None if it has no header of a frame."""
    for marker, start, _ in jpeg_segments(data):
        if 0xC0 <= marker <= 0xCF and marker not in NOT_HEADERS:
            frame = data[start : start + 6]  # bits, height, width, components
            return (_big(frame, 1, 2), _big(frame, 3, 2), frame[5]) if len(frame) == 6 else None
        if marker == SCAN:
            return None
    return None


def size_in_header(data: bytes) -> Size | None:
    """Height, width as the header of a file says; None if it is cut off, or of none of `FORMATS`."""
    for begins, read in _READERS:
        if re.match(begins, data, re.DOTALL):
            return read(data)
    return None


def _big(data: bytes, start: int, length: int) -> int:
    return int.from_bytes(data[start : start + length], 'big')


def _little(data: bytes, start: int, length: int, signed: bool = False) -> int:
    return int.from_bytes(data[start : start + length], 'little', signed=signed)


def _jpeg(data: bytes) -> Size | None:
    frame = jpeg_frame(data)
    return frame[:2] if frame else None


def _png(data: bytes) -> Size | None:
    return (_big(data, 20, 4), _big(data, 16, 4)) if len(data) >= 24 else None


def _gif(data: bytes) -> Size | None:
    return (_little(data, 8, 2), _little(data, 6, 2)) if len(data) >= 10 else None


def _bmp(data: bytes) -> Size | None:
    if len(data) < 26:
        return None
    if _little(data, 14, 4) == 12:  # the header of OS/2
        return _little(data, 20, 2), _little(data, 18, 2)
    return abs(_little(data, 22, 4, signed=True)), abs(_little(data, 18, 4, signed=True))  # below 0: top to bottom


def _webp(data: bytes) -> Size | None:
    if len(data) < 30:
        return None
    kind = data[12:16]
    if kind == b'VP8X':
        return _little(data, 27, 3) + 1, _little(data, 24, 3) + 1
    if kind == b'VP8L':
        bits = _little(data, 21, 4)
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    return (_little(data, 28, 2) & 0x3FFF, _little(data, 26, 2) & 0x3FFF) if kind == b'VP8 ' else None


def _tiff(data: bytes) -> Size | None:
    """The tags ImageLength and ImageWidth of the first directory."""
    number = _little if data[:2] == b'II' else _big
    is_big = number(data, 2, 2) == 43  # BigTIFF: numbers of 8 bytes
    word, entry = (8, 20) if is_big else (4, 12)
    table = number(data, 8 if is_big else 4, word)
    first = table + (8 if is_big else 2)
    found: dict[int, int] = {}
    end = min(first + entry * number(data, table, first - table), len(data) - entry + 1)
    for start in range(first, end, entry):
        tag, kind = number(data, start, 2), number(data, start + 2, 2)
        if tag in (256, 257) and kind in _INTEGERS:
            found[tag] = max(found.get(tag, 0), number(data, start + 4 + word, _INTEGERS[kind]))
    return (found[257], found[256]) if len(found) == 2 else None


def _largest(pattern: bytes, data: bytes) -> Size | None:
    """The largest of all sizes that follow a pattern in a file: width and height of 4 bytes each."""
    sizes = [(_big(data, m.end() + 4, 4), _big(data, m.end(), 4)) for m in re.finditer(pattern, data, re.DOTALL)]
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def _jpeg2000(data: bytes) -> Size | None:
    return _largest(rb'\xff\x4f\xff\x51....', data)  # the marker SIZ behind the start of the codestream


def _avif(data: bytes) -> Size | None:
    return _largest(rb'ispe....', data)  # of the image, its tiles and its thumbnails


def _pnm(data: bytes) -> Size | None:
    match = _PNM.match(data)
    return (int(match[2]), int(match[1])) if match else None


_READERS: tuple[tuple[bytes, Callable[[bytes], Size | None]], ...] = (
    (rb'\xff\xd8', _jpeg),
    (rb'\x89PNG\r\n\x1a\n....IHDR', _png),
    (rb'GIF8', _gif),
    (rb'RIFF....WEBP', _webp),
    (rb'II[*+]\x00|MM\x00[*+]', _tiff),
    (rb'\x00\x00\x00\x0cjP|\xff\x4f\xff\x51', _jpeg2000),
    (rb'....ftyp', _avif),
    (rb'P[1-6]\s', _pnm),
    (rb'BM', _bmp),
)
FORMATS = 'JPEG, PNG, BMP, GIF, WebP, TIFF, JPEG 2000, AVIF or PNM'
