"""What an image looks like, in 256 bytes: so little that all images of a dataset fit into memory and can be compared.

A fingerprint has the 16 x 16 lowest frequencies (DCT) of the grey image at 32 x 32 pixels, each times its frequency: of
natural images that gives slow and fast changes of brightness the same weight, so that two photos with a bright sky are
not alike. It does not depend on brightness and contrast. What mirroring and cropping do to an image can be done to its
fingerprint.
"""

import base64
import hashlib
from collections.abc import Sequence

import cv2
import numpy as np

from yolo.data import grey
from yolo.geometry.letterbox import GREY, inner_pixels

SIDE = 32  # pixels of the grey image
NUMBER = 16  # frequencies of each direction
CHECKSUM = 8  # bytes, in place of a fingerprint
MIN_CONTRAST = 2.0  # standard deviation of grey values 0..255: below it the frequencies are those of noise
HASH_BITS = 64


def _cosines(places: np.ndarray) -> np.ndarray:
    """The orthonormal basis of the DCT (NUMBER, P) at P evenly spaced places, relative 0..1."""
    basis = np.cos(np.pi * np.arange(NUMBER)[:, None] * places) * np.sqrt(2 / len(places))
    basis[0] /= np.sqrt(2)
    return basis.astype(np.float32)


def _centers(number: int) -> np.ndarray:
    return (np.arange(number) + 0.5) / number


_DCT = _cosines(_centers(SIDE))  # (16, 32)
_COLUMNS = np.arange(NUMBER, dtype=np.float32)
FREQUENCY = np.hypot(_COLUMNS[:, None], _COLUMNS)  # (16, 16); 0 for the mean, which does not count
_MIRROR = 1 - 2 * (_COLUMNS % 2)  # odd columns change their sign


def _hashed_places() -> np.ndarray:
    """The 64 lowest frequencies, as indices into a flat fingerprint, dealt out to the 16-bit parts of the hash."""
    total = (_COLUMNS[:, None] + _COLUMNS).ravel()
    lowest = np.argsort(total, kind='stable')[1 : HASH_BITS + 1]  # without the mean
    return lowest.reshape(HASH_BITS // 4, 4).T.ravel()


_HASHED = _hashed_places()


def of_image(image: np.ndarray) -> str:
    """The fingerprint of an image (H, W, 3) uint8 BGR, or grey (H, W, 1), as text.

    Of an image of almost one colour, such as a night, the frequencies say nothing: a checksum of its pixels; of one
    colour alone: empty, since such images have nothing to compare.
    """
    pixels = cv2.resize(grey.to_channels(image, GREY, is_bgr=True), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    if pixels.std() < MIN_CONTRAST:
        return _checksum(image)
    frequencies = _DCT @ pixels.astype(np.float32) @ _DCT.T * FREQUENCY  # (16, 16)
    scaled = np.rint(frequencies * (127 / np.abs(frequencies).max())).astype(np.int8)
    return base64.b64encode(scaled.tobytes()).decode()


def _checksum(image: np.ndarray) -> str:
    """A text that only images with the same pixels share; empty if all pixels are the same."""
    if (image == image[:1, :1]).all():
        return ''
    shape = str(image.shape).encode()
    return base64.b64encode(hashlib.blake2b(shape + image.tobytes(), digest_size=CHECKSUM).digest()).decode()


def is_flat(text: str) -> bool:
    """Whether a text is that of an image of almost one colour, which has no frequencies to compare."""
    return len(text) < NUMBER * NUMBER


def of_stored(image: np.ndarray, size: tuple[int, int], resize: str) -> str:
    """The same of an image (H, W, C) as records store it, without its bars; size: height, width before `resize`."""
    left, top, width, height = inner_pixels(size, image.shape[:2], resize).tolist()
    return of_image(image[top : top + height, left : left + width])


def unpack(texts: Sequence[str]) -> np.ndarray:
    """The fingerprints (N, 16, 16) float32 of texts that are not flat, each of length 1."""
    data = np.frombuffer(b''.join(map(base64.b64decode, texts)), np.int8)
    return normalize(data.reshape(-1, NUMBER, NUMBER).astype(np.float32))


def is_fingerprint(text: str) -> bool:
    """Whether a text is a fingerprint, that of a flat image or not."""
    try:
        return len(base64.b64decode(text, validate=True)) in (0, CHECKSUM, NUMBER * NUMBER)
    except ValueError:
        return False


def normalize(fingerprints: np.ndarray) -> np.ndarray:
    """The same (..., 16, 16) of length 1."""
    length = np.sqrt(np.square(fingerprints).sum((-2, -1), keepdims=True))
    return fingerprints / np.maximum(length, 1e-9)


def mirror(fingerprints: np.ndarray) -> np.ndarray:
    """The fingerprints (N, 16, 16) of the images mirrored left to right."""
    return fingerprints * _MIRROR


def crop_matrix(low: float, high: float) -> np.ndarray:
    """What cropping does to the frequencies of one direction (16, 16); low, high: shares cut off at both ends."""
    centers = _centers(4 * NUMBER)
    return _cosines(centers) @ _cosines(low + (1 - low - high) * centers).T


def crop(fingerprints: np.ndarray, share: float) -> np.ndarray:
    """The fingerprints (N, 16, 16) of the images without this share of each side."""
    matrix = crop_matrix(share, share)
    frequencies = fingerprints / np.maximum(FREQUENCY, 1)
    return normalize(matrix @ frequencies @ matrix.T * FREQUENCY)


def hashes(fingerprints: np.ndarray) -> np.ndarray:
    """The perceptual hash (N,) uint64 of fingerprints (N, 16, 16): the sign of each of the lowest frequencies.

    Similar images differ in few bits. (The DCT hash pHash, with a triangle of frequencies in place of a square.)
    """
    flat = fingerprints.reshape(len(fingerprints), NUMBER * NUMBER)
    return np.ascontiguousarray(np.packbits(flat[:, _HASHED] > 0, axis=1)).view(np.uint64).ravel()
