import cv2
import numpy as np
import pytest
import tensorflow as tf
from conftest import encode_jpeg

from yolo.data import images, parsing, records


def picture():
    return cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8), (0, 0), 3)


def test_png_comes_back_and_jpeg_nearly():
    image = picture()
    np.testing.assert_array_equal(images.decode(images.encode_png(image)), image)
    assert np.abs(images.decode(encode_jpeg(image, 95)).astype(int) - image).mean() < 3


def test_colours_are_rgb():
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 255
    assert cv2.imdecode(np.frombuffer(images.encode_png(red), np.uint8), cv2.IMREAD_COLOR)[0, 0].tolist() == [0, 0, 255]


def test_the_graph_decodes_what_opencv_decodes():
    data = encode_jpeg(picture(), 90)
    graph = tf.io.decode_jpeg(data, 3, dct_method='INTEGER_ACCURATE').numpy()
    assert np.abs(graph.astype(int) - images.decode(data)).max() <= 1


@pytest.mark.parametrize(
    ('data', 'reason'),
    [(b'', 'empty'), (b'hello', 'not an image'), (encode_jpeg(picture(), 90)[:-200], 'Premature end of JPEG')],
)
def test_bad_bytes_are_refused(data, reason):
    with pytest.raises(ValueError, match=reason):
        images.decode(data)


def test_an_end_is_looked_for_behind_the_headers():
    data = encode_jpeg(picture(), 90)
    thumbnail = b'\xff\xe1' + (2 + len(data)).to_bytes(2, 'big') + data  # an EXIF segment with a JPEG in it
    whole = data[:2] + thumbnail + data[2:]
    np.testing.assert_array_equal(images.decode(whole + bytes(5000)), images.decode(data))  # more behind the end
    with pytest.raises(ValueError, match='Premature end'):
        images.decode(whole[:-300])


def resize_slowly(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear, pixel by pixel: centres of pixels are at (i + 0.5) / number of them, edges are repeated."""
    out = np.zeros((height, width, 3))
    for y, x in np.ndindex(height, width):
        source = [
            (i + 0.5) * size / new - 0.5 for i, size, new in ((y, image.shape[0], height), (x, image.shape[1], width))
        ]
        low = np.floor(source).astype(int)
        for dy, dx in np.ndindex(2, 2):
            weight = np.prod(1 - np.abs(source - np.add(low, [dy, dx])))
            row, column = np.clip(np.add(low, [dy, dx]), 0, np.array(image.shape[:2]) - 1)
            out[y, x] += weight * image[row, column]
    return out


@pytest.mark.parametrize('size', [(32, 96), (80, 30), (40, 60)])
def test_resize_stretches_bilinearly_whatever_the_aspect(size):
    got = images.resize(picture(), size)
    assert got.dtype == np.uint8
    np.testing.assert_allclose(got.astype(float), resize_slowly(picture(), *size), atol=1)
    assert np.abs(np.diff(got.astype(int), axis=1)).max() > 2  # not one colour


@pytest.mark.parametrize(('how', 'tolerance'), [('jpeg', 12), ('png', 0), ('raw', 0)])
def test_stored_images_come_back_and_the_graph_reads_the_same(how, tolerance):
    image = picture()
    data = images.encode_stored(np.ascontiguousarray(image[..., ::-1]), how, 95)
    decoded = images.decode_stored(data, how, (40, 60))
    np.testing.assert_allclose(decoded.astype(int), image, atol=tolerance)
    description = records.Description(('a',), (40, 60), ((1, 1),), '', 0, 95, {}, '', image_format=how)
    in_graph = parsing.decode_image(tf.constant(data), description, (40, 60)).numpy()
    np.testing.assert_allclose(in_graph.astype(int), decoded, atol=1 if how == 'jpeg' else 0)
    with pytest.raises(ValueError, match='60 x 41'):
        images.decode_stored(data, how, (41, 60))


def test_shrinking_keeps_the_aspect_and_the_mean_and_enlarges_nothing():
    image = picture()
    small = images.shrink(image, 30, 30)
    assert small.shape == (20, 30, 3)
    np.testing.assert_allclose(small, image.reshape(20, 2, 30, 2, 3).mean((1, 3)), atol=1)
    np.testing.assert_array_equal(images.shrink(image, 100, 100), image)
    assert images.shrink(image, 600, 4).shape == (4, 6, 3)
