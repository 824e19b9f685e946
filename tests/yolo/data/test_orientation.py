"""EXIF orientations: found as Pillow and OpenCV find them, in every format; boxes go back to the stored pixels."""

import io

import cv2
import numpy as np
import pytest
from conftest import encode_jpeg
from PIL import Image, ImageOps

from yolo.data import images, orientation


def picture() -> np.ndarray:
    """Each quarter of another colour: 40 x 60 pixels."""
    image = np.full((40, 60, 3), 40, np.uint8)
    image[:20, :30, 0], image[:20, 30:, 1], image[20:, :30, 2] = 230, 220, 210
    return image


def file_of(kind: str, turn: int, **options) -> bytes:
    exif = Image.Exif()
    exif[orientation.TAG] = turn
    buffer = io.BytesIO()
    Image.fromarray(picture()).save(buffer, kind, exif=exif, **options)
    return buffer.getvalue()


KINDS = {'JPEG': {'quality': 100, 'subsampling': 0}, 'PNG': {}, 'WEBP': {'lossless': True}}


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('turn', range(1, 9))
def test_files_are_turned_as_pillow_turns_them(kind, turn):
    data = file_of(kind, turn, **KINDS[kind])
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert('RGB'))
    assert orientation.read(data) == turn
    np.testing.assert_allclose(images.decode_upright(data).astype(int), expected, atol=2)
    np.testing.assert_allclose(images.decode(data).astype(int), picture(), atol=2)  # which stays as it is stored
    assert orientation.apply(images.decode(data), turn).shape == ((60, 40, 3) if turn >= 5 else (40, 60, 3))


@pytest.mark.parametrize('turn', range(9))
@pytest.mark.parametrize('order', ['little', 'big'])
def test_both_orders_of_bytes_are_read_as_opencv_reads_them(turn, order):
    data = encode_jpeg(picture(), 95)
    number = lambda value, size: value.to_bytes(size, order)  # noqa: E731
    entry = number(0x0112, 2) + number(3, 2) + number(1, 4) + number(turn, 2) + bytes(2)
    tiff = (b'II' if order == 'little' else b'MM') + number(42, 2) + number(8, 4) + number(1, 2) + entry + bytes(4)
    segment = b'Exif\0\0' + tiff
    other = b'\xff\xe2' + (60_002).to_bytes(2, 'big') + bytes(60_000)  # a profile of colours, which may come first
    photo = data[:2] + other + b'\xff\xe1' + (2 + len(segment)).to_bytes(2, 'big') + segment + data[2:]
    assert orientation.read(photo) == (turn or 1)
    assert orientation.read(data) == 1
    stored = images.read(photo)[0]
    np.testing.assert_array_equal(stored, images.read(data)[0])
    applied = orientation.apply(stored, orientation.read(photo))
    np.testing.assert_array_equal(applied, cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_COLOR))


@pytest.mark.parametrize('kind', KINDS)
def test_cut_and_damaged_files_have_an_orientation_all_the_same(kind):
    data = file_of(kind, 6, **KINDS[kind])
    rng = np.random.default_rng(0)
    found = [orientation.read(data[:length]) for length in range(0, len(data), 7)]
    for _ in range(300):
        damaged = bytearray(data)
        for at in rng.integers(8, len(data), 4):
            damaged[at] = rng.integers(256)
        found.append(orientation.read(bytes(damaged)))
    assert set(found) <= set(range(1, 9))


@pytest.mark.parametrize('turn', range(1, 9))
def test_boxes_of_the_upright_image_are_those_parts_of_the_stored_one(turn):
    upright = orientation.apply(np.arange(40 * 60 * 3).reshape(40, 60, 3).astype(np.float32), turn)
    height, width = upright.shape[:2]
    box = np.array([0.1, 0.25, 0.5, 0.8])
    x0, y0, x1, y1 = np.rint(box * [width, height, width, height]).astype(int)
    inside = set(upright[y0:y1, x0:x1, 0].ravel().tolist())
    [back] = orientation.boxes_as_stored(box[None], turn)
    x0, y0, x1, y1 = np.rint(back * [60, 40, 60, 40]).astype(int)
    stored = np.arange(40 * 60 * 3).reshape(40, 60, 3)[y0:y1, x0:x1, 0]
    assert set(stored.ravel().tolist()) == inside
    assert orientation.boxes_as_stored(np.zeros((0, 4)), turn).shape == (0, 4)


def test_other_files_are_as_they_are_stored():
    assert orientation.read(b'') == orientation.read(b'BM no photo') == orientation.read(file_of('BMP', 6)) == 1
