"""Image files -> pixels of the network's size, by the same functions in preprocessing and in prediction."""

from typing import Literal

import cv2
import numpy as np

from yolo.geometry.letterbox import inner_pixels

FORMATS = ('jpeg', 'png', 'raw')  # of records: small; exact; read without decoding
BAR = 127  # grey of a letterbox's bars; Darknet's is 0.5

# Pixels as they are stored: VOC boxes refer to those, not to a photo rotated as its EXIF orientation says.
_AS_STORED = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


def decode(data: bytes) -> np.ndarray:
    """The image (H, W, 3) uint8 RGB of a file's bytes, in any format that OpenCV reads; errors: see `decode_bgr`."""
    return cv2.cvtColor(decode_bgr(data), cv2.COLOR_BGR2RGB)


def decode_bgr(data: bytes, apply_exif: bool = False) -> np.ndarray:
    """The image (H, W, 3) uint8 of a file's bytes in OpenCV's order BGR, for use with `encode_bgr_jpeg`.

    apply_exif: rotate or mirror it as a photo's EXIF orientation says; without, pixels come as they are stored.
    ValueError if it is empty, not an image, or a JPEG that ends early (which OpenCV would fill up with grey).
    """
    if not data:
        raise ValueError('the file is empty')
    if data[:2] == b'\xff\xd8' and not _has_end(data):
        raise ValueError('the JPEG is cut off: it has no end marker')
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR if apply_exif else _AS_STORED)
    except cv2.error as error:  # more pixels than OpenCV takes
        raise ValueError(f'OpenCV refuses the image: {error}') from error
    if image is None:
        raise ValueError('not an image that OpenCV reads')
    return image


def has_exif_rotation(data: bytes) -> bool:
    """Whether a JPEG has an EXIF orientation by which it is rotated or mirrored for viewing."""
    at = data.find(b'Exif\0\0', 0, 1 << 12)
    if data[:2] != b'\xff\xd8' or at < 0:
        return False
    tiff = data[at + 6 : at + 6 + (1 << 16)]
    order: Literal['little', 'big'] = 'little' if tiff[:2] == b'II' else 'big'

    def number(start: int, size: int) -> int:
        return int.from_bytes(tiff[start : start + size], order)

    table = number(4, 4)  # entries of tag, type, count, value: 2 + 2 + 4 + 4 bytes
    entries = [table + 2 + 12 * i for i in range(min(number(table, 2), 1000))]
    return any(number(entry, 2) == 0x0112 and 1 < number(entry + 8, 2) <= 8 for entry in entries)


def _has_end(data: bytes) -> bool:
    """Whether a JPEG has its end marker after the headers, which may hold a thumbnail with its own end marker."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:  # header after header, up to the scan
        at += 1 if data[at + 1] == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], 'big')
    return data.rfind(b'\xff\xd9', at) >= 0


def resize(image: np.ndarray, size: tuple[int, int], how: str = 'stretch') -> np.ndarray:
    """The image (H, W, 3) resized to `size` = height, width; bilinear.

    how: 'stretch' to that size, whatever its aspect; or 'letterbox': keep the aspect and fill up with grey bars, as
    Darknet does today. (Darknet src/image.c, letterbox_image.)
    """
    if how == 'stretch':
        return cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    left, top, width, height = inner_pixels(image.shape[:2], size, how).tolist()
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    canvas = np.full((*size, 3), BAR, np.uint8)
    canvas[top : top + height, left : left + width] = resized
    return canvas


def encode_stored(image: np.ndarray, how: str, quality: int) -> bytes:
    """The bytes of an image (H, W, 3) uint8 BGR as a record stores it; how: one of FORMATS; quality: of a JPEG."""
    if how == 'raw':
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).tobytes()
    return encode_bgr_jpeg(image, quality) if how == 'jpeg' else _encode(image, '.png', [])


def decode_stored(data: bytes, how: str, size: tuple[int, int]) -> np.ndarray:
    """The image (H, W, 3) uint8 RGB of a record; ValueError if it is not one of `size` = height, width."""
    if how == 'raw':
        if len(data) != size[0] * size[1] * 3:
            raise ValueError(f'{len(data)} bytes are no raw image of {size[1]} x {size[0]}')
        return np.frombuffer(data, np.uint8).reshape(*size, 3)
    image = decode(data)
    if image.shape[:2] != tuple(size):
        raise ValueError(f'the image is {image.shape[1]} x {image.shape[0]}, not {size[1]} x {size[0]}')
    return image


def encode_bgr_jpeg(image: np.ndarray, quality: int) -> bytes:
    """The bytes of a JPEG of an image (H, W, 3) uint8 in OpenCV's order BGR; quality 1..100."""
    return _encode(image, '.jpg', [cv2.IMWRITE_JPEG_QUALITY, quality])


def encode_png(image: np.ndarray) -> bytes:
    """The bytes of a PNG of an image (H, W, 3) uint8 RGB."""
    return _encode(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), '.png', [])


def _encode(image: np.ndarray, suffix: str, options: list[int]) -> bytes:
    done, data = cv2.imencode(suffix, image, options)
    if not done:
        raise ValueError(f'OpenCV could not write an image of shape {image.shape} as {suffix}')
    return data.tobytes()


def shrink(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """An image (H, W, 3) uint8 shrunk, its sides in proportion, to fit into so many pixels; a smaller one as it is."""
    scale = min(width / image.shape[1], height / image.shape[0], 1)
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
