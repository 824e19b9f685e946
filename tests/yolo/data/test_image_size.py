"""Sizes are read from headers, and what is too large is never decoded."""

import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
from conftest import ROOT

from yolo.data import images
from yolo.data.image_size import size_in_header


def png_of(width: int, height: int) -> bytes:
    """A PNG of white pixels, one bit each."""
    rows = zlib.compressobj(9)
    row = b'\0' + b'\xff' * (-(-width // 8))
    packed = b''.join(rows.compress(row * 64) for _ in range(height // 64)) + rows.compress(row * (height % 64))

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))

    head = struct.pack('>IIBBBBB', width, height, 1, 0, 0, 0, 0)
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head) + chunk(b'IDAT', packed + rows.flush()) + chunk(b'IEND', b'')


def patched(suffix: str, *changes: tuple[int, bytes]) -> bytes:
    """A file of 30 x 20 pixels with bytes of its header changed."""
    data = bytearray(encoded(suffix))
    for at, new in changes:
        data[at : at + len(new)] = new
    return bytes(data)


def encoded(suffix: str, *options: int) -> bytes:
    image = cv2.resize(np.random.default_rng(0).integers(0, 256, (5, 5, 3), dtype=np.uint8), (30, 20))
    return cv2.imencode(suffix, image, options)[1].tobytes()


FILES = {
    'jpeg': encoded('.jpg'),
    'progressive': encoded('.jpg', cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    'png': encoded('.png'),
    'gif': encoded('.gif'),
    'bmp': encoded('.bmp'),
    'bmp from the top': patched('.bmp', (22, struct.pack('<i', -20))),
    'webp, lossy': encoded('.webp', cv2.IMWRITE_WEBP_QUALITY, 80),
    'webp, lossless': encoded('.webp', cv2.IMWRITE_WEBP_QUALITY, 101),
    'tiff': encoded('.tiff'),
    'avif': encoded('.avif'),
    'ppm': encoded('.ppm'),
    'pgm with a comment': b'P5 # a comment 9 9\n30\n20 255\n' + bytes(600),
}


@pytest.mark.parametrize('name', FILES)
def test_the_header_says_what_is_decoded(name):
    assert size_in_header(FILES[name]) == (20, 30) == images.read(FILES[name])[0].shape[:2]
    with pytest.raises(ValueError, match=r'30 x 20 = 600 pixels, which is more than --max_pixels=599'):
        images.read(FILES[name], max_pixels=599)
    assert images.read(FILES[name], max_pixels=600)[0].shape == (20, 30, 3)


def test_a_bitmap_of_os2_has_short_numbers():
    rows = bytes(30 * 3 + 2) * 20
    data = b'BM' + struct.pack('<IHHI', 26 + len(rows), 0, 0, 26) + struct.pack('<IHHHH', 12, 30, 20, 1, 24) + rows
    assert size_in_header(data) == (20, 30) == images.read(data)[0].shape[:2]


def test_jpeg_2000():
    data = cv2.imencode('.jp2', np.zeros((64, 96, 3), np.uint8))[1].tobytes()
    assert size_in_header(data) == (64, 96) == images.read(data)[0].shape[:2]
    assert size_in_header(data[data.index(b'\xff\x4f\xff\x51') :]) == (64, 96)  # its codestream alone


def test_webp_with_a_canvas():
    lossless = FILES['webp, lossless']
    canvas = b'VP8X' + struct.pack('<I', 10) + bytes(4) + (29).to_bytes(3, 'little') + (19).to_bytes(3, 'little')
    body = b'WEBP' + canvas + lossless[12:]
    data = b'RIFF' + struct.pack('<I', len(body)) + body
    assert size_in_header(data) == (20, 30) == images.read(data)[0].shape[:2]


@pytest.mark.parametrize('order', ['<', '>'])
@pytest.mark.parametrize('big', [False, True])
def test_tiff_of_both_orders_and_widths(order, big):
    word = 'Q' if big else 'I'
    mark = b'II' if order == '<' else b'MM'
    head = mark + (struct.pack(order + 'HHHQ', 43, 8, 0, 16) if big else struct.pack(order + 'HI', 42, 8))
    entries = [(256, 3, 30), (257, 4, 20)]
    table = struct.pack(order + ('Q' if big else 'H'), len(entries))
    for tag, kind, value in entries:
        field = struct.pack(order + ('H' if kind == 3 else 'I'), value).ljust(8 if big else 4, b'\0')
        table += struct.pack(order + 'HH' + word, tag, kind, 1) + field
    assert size_in_header(head + table) == (20, 30)
    assert size_in_header(head + table[:-10]) is None


@pytest.mark.parametrize('name', FILES)
def test_a_header_that_is_cut_off_has_no_size(name):
    for length in range(1, 6):
        assert size_in_header(FILES[name][:length]) is None
    with pytest.raises(ValueError, match='not an image, or its header is cut off'):
        images.read(FILES[name][:5])


@pytest.mark.parametrize('data', [b'#?RADIANCE\n-Y 20 +X 30\n', b'P7\nWIDTH 30\n', b'hello', b'\xff\xd8\xff\xd9'])
def test_formats_whose_size_is_not_known_are_not_decoded(data):
    with pytest.raises(ValueError, match='not an image, or its header is cut off: it is no JPEG, PNG'):
        images.read(data)


def test_fake_frames_in_a_jpeg_are_not_believed():
    data = FILES['jpeg']
    fake = b'\xff\xc0\x00\x0b\x08\x00\x01\x00\x01\x01\x01\x11\x00'
    inside = data[:2] + b'\xff\xe5' + struct.pack('>H', 2 + len(fake)) + fake + data[2:]
    assert size_in_header(inside) == (20, 30)
    hidden = data[:2] + b'\xff\x00\x00\x04' + data[2:]  # bytes that libjpeg passes over, no segment
    assert size_in_header(hidden) == (20, 30)


HUGE = {
    'png': png_of(32_000, 32_000),
    'jpeg': (lambda at: FILES['jpeg'][: at + 5] + b'\xff\xff\xff\xff' + FILES['jpeg'][at + 9 :])(
        FILES['jpeg'].index(b'\xff\xc0')
    ),
    'gif': patched('.gif', (6, b'\xff\xff\xff\xff')),
    'bmp': patched('.bmp', (18, struct.pack('<ii', 40_000, -40_000))),
}


@pytest.mark.parametrize('name', HUGE)
def test_huge_images_are_refused_by_their_header(name, capfd):
    height, width = size_in_header(HUGE[name])
    assert height * width > 10**9
    with pytest.raises(ValueError, match=rf'{width} x {height} = {width * height} pixels.*--max_pixels=100000000'):
        images.read(HUGE[name])
    assert capfd.readouterr().err == ''


PROGRAM = """
import sys
from benchmarks import peak_memory
from yolo.data import images
data = open(sys.argv[1], 'rb').read()
before = peak_memory.reset()
try:
    images.decode(data)
except ValueError as error:
    print(error, file=sys.stderr)
print((peak_memory.peak() - before) >> 20)
"""


@pytest.mark.slow
@pytest.mark.parametrize('name', HUGE)
def test_huge_images_take_no_memory(name, tmp_path):
    (tmp_path / 'bomb').write_bytes(HUGE[name])
    assert (tmp_path / 'bomb').stat().st_size < 200_000
    command = [sys.executable, '-c', PROGRAM, str(tmp_path / 'bomb')]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert '--max_pixels' in done.stderr
    assert int(done.stdout) < 100  # MB
