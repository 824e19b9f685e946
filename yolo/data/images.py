"""Image files -> pixels of the network's size, by the same functions in preprocessing and in prediction."""

import cv2
import numpy as np

from yolo.data import grey, image_size, jpeg, opencv_decoding, orientation
from yolo.geometry.letterbox import COLOUR, GREY, inner_pixels

FORMATS = ('jpeg', 'png', 'raw')  # of records: small; exact; read without decoding
BAR = 127  # grey of a letterbox's bars; Darknet's is 0.5
DAMAGED = LEAVE_OUT, KEEP = ('leave_out', 'keep')  # what becomes of a damaged image
MAX_PIXELS = 100_000_000  # of an image that is decoded: 300 MB
MOST_NOTES = 3  # of one file
UPPER_BITS = 'of its 16 bits the upper 8 are taken'


class DamagedError(ValueError):
    """A file is damaged; with damaged=KEEP, `read` gives what can be decoded."""


def read(
    data: bytes,
    max_pixels: int = MAX_PIXELS,
    damaged: str = LEAVE_OUT,
    grey_range: tuple[int, ...] = (),
    note_depth: bool = False,
) -> tuple[np.ndarray, list[str]]:
    """The image (H, W, 3) uint8 BGR of a file's bytes, as it is stored, and what is odd about the file.

    max_pixels: of an image that is decoded; damaged: one of DAMAGED; grey_range: as of `grey.to_8_bits`, for files of
    16 bits, of which the upper 8 are taken without it; note_depth: whether that is noted, with their values. ValueError
    with the reason if the file is empty, not an image of image_size.FORMATS or has more pixels; DamagedError if it is
    damaged and not to be kept. That is known from what libjpeg, libpng and the others say. Where a format has no
    checksum (JPEG, WebP, BMP) they may be silent.
    """
    _check_size(data, max_pixels)
    decoded = jpeg.decode(data) if image_size.is_jpeg(data) else _decode_by_opencv(data, grey_range, note_depth)
    notes = list(dict.fromkeys(decoded.notes))[:MOST_NOTES]
    if not decoded.damage:
        return decoded.image, notes
    if damaged != KEEP:
        raise DamagedError(f'the image is damaged: {decoded.damage}')
    return decoded.image, [*notes, f'damaged, and kept as far as it could be decoded: {decoded.damage}']


def _check_size(data: bytes, max_pixels: int) -> None:
    """ValueError if a file is empty, or has too many pixels or no size according to its header."""
    if not data:
        raise ValueError('the file is empty')
    size = image_size.size_in_header(data)
    if size is None:
        raise ValueError(f'not an image, or its header is cut off: it is no {image_size.FORMATS}')
    if size[0] * size[1] > max_pixels:
        pixels = f'{size[1]} x {size[0]} = {size[0] * size[1]} pixels'
        raise ValueError(f'its header says {pixels}, which is more than --max_pixels={max_pixels}')


def _decode_by_opencv(data: bytes, grey_range: tuple[int, ...], note_depth: bool) -> jpeg.Decoded:
    """Decodes anything but a JPEG; ValueError if OpenCV cannot."""
    any_depth = bool(grey_range) or note_depth
    image, said = opencv_decoding.decode(data, any_depth)
    depth_notes: list[str] = []
    if image is not None and image.dtype == np.uint16:
        if grey_range:
            image = grey.to_8_bits(image, grey_range)
        else:
            depth_notes = [f'values {image.min()} to {image.max()}: {UPPER_BITS}']
    if any_depth and (image is None or image.dtype != np.uint8):
        image, said = opencv_decoding.decode(data)
    if image is None:
        raise ValueError(': '.join(['not an image that OpenCV reads', *said[-1:]]))
    notes = [each for each in said if opencv_decoding.is_harmless(each)]
    damage = next((each for each in said if not opencv_decoding.is_harmless(each)), '')
    return jpeg.Decoded(image, (*depth_notes, *notes), damage)


def decode(data: bytes, grey_range: tuple[int, ...] = ()) -> np.ndarray:
    """The image (H, W, 3) uint8 RGB of a file's bytes, as it is stored; see `read`, with its other defaults."""
    return cv2.cvtColor(read(data, grey_range=grey_range)[0], cv2.COLOR_BGR2RGB)


def decode_upright(data: bytes, grey_range: tuple[int, ...] = ()) -> np.ndarray:
    """The image (H, W, 3) uint8 RGB of a file's bytes, turned as its EXIF orientation says; as `decode`."""
    return orientation.apply(decode(data, grey_range), orientation.read(data))


def resize(image: np.ndarray, size: tuple[int, int], how: str = 'stretch') -> np.ndarray:
    """The image (H, W, C), C one of letterbox.CHANNELS, resized to `size` = height, width; bilinear.

    how: 'stretch' to that size, whatever its aspect; or 'letterbox': keep the aspect and fill up with grey bars, as
    Darknet does today. (Darknet src/image.c, letterbox_image.)
    """
    channels = image.shape[2]
    if how == 'stretch':
        return cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_LINEAR).reshape(*size, channels)
    left, top, width, height = inner_pixels(image.shape[:2], size, how).tolist()
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    canvas = np.full((*size, channels), BAR, np.uint8)
    canvas[top : top + height, left : left + width] = resized.reshape(height, width, channels)
    return canvas


def encode_stored(image: np.ndarray, how: str, quality: int) -> bytes:
    """The bytes of an image as a record stores it; how: one of FORMATS; quality: of a JPEG.

    image: (H, W, 3) uint8 BGR, or grey (H, W, 1), of which JPEG and PNG files have one channel too.
    """
    if how == 'raw':
        return (image if image.shape[2] == GREY else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)).tobytes()
    return encode_bgr_jpeg(image, quality) if how == 'jpeg' else _encode(image, '.png', [])


def decode_stored(data: bytes, how: str, size: tuple[int, int], channels: int = COLOUR) -> np.ndarray:
    """The image (H, W, channels) uint8 RGB or grey of a record; ValueError if it is not one of `size` = height, width.

    channels: one of letterbox.CHANNELS.
    """
    if how == 'raw':
        if len(data) != size[0] * size[1] * channels:
            of = 'one channel' if channels == GREY else f'{channels} channels'
            raise ValueError(f'{len(data)} bytes are no raw image of {size[1]} x {size[0]} with {of}')
        return np.frombuffer(data, np.uint8).reshape(*size, channels)
    image = decode(data)
    if image.shape[:2] != tuple(size):
        raise ValueError(f'the image is {image.shape[1]} x {image.shape[0]}, not {size[1]} x {size[0]}')
    return grey.to_channels(image, channels)


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
