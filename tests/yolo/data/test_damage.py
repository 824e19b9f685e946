"""Damaged files: what decoders say becomes the reason, harmless words are noted, whole files read as by OpenCV."""

import os
import random
import struct
import zlib
from io import BytesIO

import cv2
import numpy as np
import pytest
from conftest import DATA, REALDATA
from PIL import Image

from preprocess.demo.shapes import draw_image
from yolo.data import image_size, images

AS_STORED = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


def drawing(index: int = 0, height: int = 240, width: int = 320) -> np.ndarray:
    """A textured picture (H, W, 3) uint8 RGB."""
    noise = np.random.default_rng(index).normal(0, 12, (height, width, 3))
    image = cv2.resize(draw_image(7, 0, index)[0], (width, height))
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def jpeg(image: np.ndarray, mode: str = '', **options) -> bytes:
    """A JPEG by Pillow; mode: of its image, RGB if empty."""
    file = BytesIO()
    picture = Image.fromarray(image)
    (picture.convert(mode) if mode else picture).save(file, 'JPEG', quality=90, **options)
    return file.getvalue()


def by_opencv(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), AS_STORED)


def pixels_start(data: bytes) -> int:
    return next(end for marker, _, end in image_size.jpeg_segments(data) if marker == image_size.SCAN)


def cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(pixels_start(data), len(data) - 3)] + b'\xff\xd9'


def zero_half(data: bytes, rng: random.Random) -> bytes:
    middle = (pixels_start(data) + len(data)) // 2
    return data[:middle] + bytes(len(data) - 2 - middle) + b'\xff\xd9'


def hole(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(pixels_start(data), len(data) - 4098)
    return data[:start] + bytes(4096) + data[start + 4096 :]


PHOTOS = [jpeg(drawing(i), subsampling=i % 3, progressive=i == 3) for i in range(6)]


@pytest.mark.parametrize('damage', [cut, zero_half, hole])
def test_no_damaged_jpeg_is_read_without_a_word(damage, capfd):
    rng = random.Random(0)
    num_seen = 0
    for data in PHOTOS * 4:
        bad = damage(data, rng)
        capfd.readouterr()
        decoded = by_opencv(bad)
        if 'Corrupt JPEG data' not in capfd.readouterr().err:  # libjpeg itself sees nothing
            continue
        num_seen += 1
        assert not np.array_equal(decoded, by_opencv(data))
        kept, notes = images.read(bad, damaged='keep')
        np.testing.assert_array_equal(kept, decoded)
        assert notes[-1].startswith('damaged, and kept as far as it could be decoded: ')
        with pytest.raises(images.DamagedError, match='the image is damaged: Corrupt JPEG data: '):
            images.read(bad)
        assert capfd.readouterr().err == ''
    assert num_seen >= 20  # of 24


def test_a_jpeg_without_its_end_is_damaged_and_can_be_kept():
    data = PHOTOS[0]
    for left in (len(data) - 2, len(data) // 2):
        with pytest.raises(images.DamagedError, match='Premature end of JPEG file'):
            images.read(data[:left])
        kept, _ = images.read(data[:left], damaged='keep')
        np.testing.assert_array_equal(kept[:64], by_opencv(data)[:64])


KINDS = {
    '4:4:4': {'subsampling': 0},
    '4:2:2': {'subsampling': 1},
    '4:2:0': {'subsampling': 2},
    'progressive': {'progressive': True},
    'restarts': {'restart_marker_blocks': 3},
    'grey': {'mode': 'L'},
    'grey, progressive': {'mode': 'L', 'progressive': True},
    'CMYK': {'mode': 'CMYK'},
    'stored as RGB': {'keep_rgb': True},
    'own tables': {'optimize': True},
}
SAMPLINGS = [
    getattr(cv2, f'IMWRITE_JPEG_SAMPLING_FACTOR_{name}') for name in ('411', '420', '422', '440', '444')
]  # and by OpenCV


@pytest.mark.parametrize('size', [(1, 1), (1, 50), (50, 1), (7, 9), (16, 16), (101, 67), (240, 320)])
def test_whole_jpegs_of_every_kind_have_the_pixels_that_opencv_reads(size):
    image = drawing(1, *size)
    files = {name: jpeg(image, **options) for name, options in KINDS.items()}
    for factor in SAMPLINGS:
        files[hex(factor)] = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor])[1].tobytes()
    for name, data in files.items():
        read, notes = images.read(data)
        assert notes == [], name
        np.testing.assert_array_equal(read, by_opencv(data), err_msg=name)


# Kinds that neither Pillow nor OpenCV writes, written by a few lines of C with libjpeg-turbo 2.1.5, 96 x 64 pixels.
GOLDENS = sorted((DATA / 'jpeg').glob('*.jpg'))


@pytest.mark.parametrize('path', GOLDENS, ids=[path.stem for path in GOLDENS])
def test_rare_kinds_of_jpeg_are_read_as_by_opencv_and_checked(path, capfd):
    data = path.read_bytes()
    read, notes = images.read(data)
    assert notes == []
    np.testing.assert_array_equal(read, by_opencv(data))
    assert np.ptp(read) > 100
    if 'arithmetic' in path.stem:  # libjpeg takes such data as if zeros followed
        return
    with pytest.raises(images.DamagedError, match=r'Corrupt JPEG data|Premature end|Inconsistent progression'):
        images.read(data[: pixels_start(data) + 200] + b'\xff\xd9')
    assert capfd.readouterr().err == ''


def test_what_no_decoder_gives_has_a_reason():
    data = PHOTOS[0]
    start = next(start for marker, start, _ in image_size.jpeg_segments(data) if marker == 0xC0)
    for changed in (edited(data, start, b'\x0c'), edited(data, start + 5, b'\x02')):  # 12 bits; two components
        with pytest.raises(ValueError, match=r'not an image that OpenCV reads: .{9}'):
            images.read(changed)


def header(data: bytes, marker: int) -> tuple[int, int]:
    return next((start, end) for found, start, end in image_size.jpeg_segments(data) if found == marker)


def edited(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def odd_headers() -> dict[str, tuple[bytes, str]]:
    """Files with whole pixels about which libjpeg has a word, and that word."""
    plain, end = PHOTOS[0], pixels_start(PHOTOS[0])
    jfif = header(plain, 0xE0)
    adobe = plain[:2] + plain[jfif[1] :]  # with JFIF's header libjpeg passes over Adobe's
    adobe = adobe[:2] + b'\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x09' + adobe[2:]
    scan = header(plain, image_size.SCAN)[1]
    garbage = bytes(range(1, 200))
    before_scan = header(plain, image_size.SCAN)[0] - 4
    restarts = jpeg(drawing(), restart_marker_blocks=8)
    restart = restarts.index(b'\xff\xd3', pixels_start(restarts))
    assert end == scan
    return {
        'JFIF': (edited(plain, jfif[0] + 5, b'\x07'), 'unknown JFIF revision'),
        'Adobe': (adobe, 'Unknown Adobe color transform code 9'),
        'scan': (edited(plain, scan - 3, b'\x00\x3e\x00'), 'Invalid SOS parameters'),
        'before the end': (plain[:-2] + garbage + plain[-2:], 'extraneous bytes before marker 0xd9'),
        'zeros before the end': (plain[:-2] + bytes(2048) + plain[-2:], 'extraneous bytes before marker 0xd9'),
        'before the scan': (plain[:before_scan] + garbage + plain[before_scan:], 'extraneous bytes before marker'),
        'before a restart': (restarts[:restart] + garbage + restarts[restart:], 'extraneous bytes before marker'),
    }


@pytest.mark.parametrize('name', list(odd_headers()))
def test_harmless_words_are_noted_and_hide_no_damage(name):
    data, word = odd_headers()[name]
    read, notes = images.read(data)
    np.testing.assert_array_equal(read, by_opencv(data))
    assert any(word in note for note in notes), notes
    if 'before the end' not in name:  # what follows the superfluous bytes is the end
        with pytest.raises(images.DamagedError, match=r'Corrupt JPEG data|Premature end'):
            images.read(cut(data, random.Random(1)))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))


def png_with(image: np.ndarray, change=lambda rows: rows, extra: bytes = b'', crc: int = 0) -> bytes:
    """A PNG whose compressed rows are changed, with more chunks in front of them; crc: is added to that of the rows."""
    rows = np.concatenate([np.zeros((len(image), 1), np.uint8), image.reshape(len(image), -1)], 1).tobytes()
    size = struct.pack('>IIBBBBB', image.shape[1], image.shape[0], 8, 2, 0, 0, 0)
    body = chunk(b'IDAT', change(zlib.compress(rows)))
    wrong = struct.pack('>I', (int.from_bytes(body[-4:], 'big') + crc) % 2**32)
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', size) + extra + body[:-4] + wrong + chunk(b'IEND', b'')


BAD_TEXT = chunk(b'tEXt', b'a\0b')[:-4] + b'oops'


def test_png_whose_checksums_fail_or_that_is_cut_off_is_not_read(capfd):
    image = drawing()
    whole = png_with(image)
    np.testing.assert_array_equal(images.decode(whole), image)
    bad = {
        'chunk': (png_with(image, crc=1), 'IDAT: CRC error'),
        'rows': (png_with(image, lambda rows: rows[:-4] + b'oops'), 'incorrect data check'),
        'half': (png_with(image, lambda rows: rows[: len(rows) // 2]), 'Not enough image data'),
        'no end': (whole[:-12], 'incomplete'),
        'cut': (whole[: len(whole) // 2], 'incomplete'),
    }
    for name, (data, reason) in bad.items():
        for damaged in images.DAMAGED:  # libpng gives no part of an image
            with pytest.raises(ValueError, match=f'not an image that OpenCV reads: .*{reason}'):
                images.read(data, damaged=damaged)
        assert capfd.readouterr().err == '', name


def test_what_libpng_says_beside_the_pixels_is_noted(capfd):
    image = drawing()
    odd = {
        'IEND: CRC error': png_with(image)[:-1] + b'x',
        'tEXt: CRC error': png_with(image, extra=BAD_TEXT),
        'iCCP': png_with(image, extra=chunk(b'iCCP', b'icc\0\0' + zlib.compress(b'junk' * 50))),
    }
    for word, data in odd.items():
        read, notes = images.read(data)
        np.testing.assert_array_equal(read[..., ::-1], image)
        assert [word in note for note in notes] == [True], notes
    assert capfd.readouterr().err == ''


@pytest.mark.parametrize('suffix', ['.bmp', '.webp', '.tiff', '.gif', '.jp2', '.ppm', '.avif'])
def test_other_formats_that_are_cut_off_are_not_read(suffix, capfd):
    data = cv2.imencode(suffix, drawing())[1].tobytes()
    np.testing.assert_array_equal(images.read(data)[0], by_opencv(data))
    for left in (len(data) - 1, len(data) // 2, 12):
        with pytest.raises(ValueError, match='not an image'):
            images.read(data[:left])
    assert capfd.readouterr().err == ''


def test_a_tiff_of_which_the_decoder_complains_is_damaged_and_unknown_tags_are_not(capfd):
    file = BytesIO()
    Image.fromarray(drawing()).save(file, 'TIFF', compression='jpeg', tiffinfo={65000: 'own'})
    data = file.getvalue()
    read, notes = images.read(data)
    assert ['Unknown field with tag 65000' in note for note in notes] == [True], notes
    with pytest.raises(images.DamagedError):
        images.read(edited(data, len(data) // 2, bytes(4096)))
    assert read.shape == (240, 320, 3)
    assert capfd.readouterr().err == ''


def test_what_other_threads_print_meanwhile_is_passed_on(capfd, monkeypatch):
    imdecode = cv2.imdecode

    def decode_and_print(*arguments):
        os.write(2, b'another thread\n')
        return imdecode(*arguments)

    monkeypatch.setattr(cv2, 'imdecode', decode_and_print)
    assert images.read(png_with(drawing(), extra=BAD_TEXT))[1] == ['libpng warning: tEXt: CRC error']
    assert capfd.readouterr().err == 'another thread\n'
    os.write(2, b'still there\n')
    assert capfd.readouterr().err == 'still there\n'


def test_a_process_without_standard_error_decodes_too(capfd):
    terminal = os.dup(2)
    os.close(2)
    try:
        assert images.read(png_with(drawing()))[1] == []
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


@pytest.mark.realdata
def test_all_real_images_are_read_without_a_word_and_with_the_same_pixels():
    paths = sorted(path for path in REALDATA.glob('*/*/*') if path.suffix.lower() in ('.jpg', '.jpeg', '.png'))
    assert len(paths) > 500
    for path in paths:
        data = path.read_bytes()
        read, notes = images.read(data)
        assert notes == [], path
        assert np.array_equal(read, by_opencv(data)), path
        assert image_size.size_in_header(data) == read.shape[:2], path
