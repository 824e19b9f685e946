import cv2
import numpy as np
import pytest
from conftest import encode_jpeg

from yolo.data import images


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
    import tensorflow as tf

    data = encode_jpeg(picture(), 90)
    graph = tf.io.decode_jpeg(data, 3, dct_method='INTEGER_ACCURATE').numpy()
    assert np.abs(graph.astype(int) - images.decode(data)).max() <= 1


@pytest.mark.parametrize(
    ('data', 'reason'), [(b'', 'empty'), (b'hello', 'not an image'), (encode_jpeg(picture(), 90)[:-200], 'cut off')]
)
def test_bad_bytes_are_refused(data, reason):
    with pytest.raises(ValueError, match=reason):
        images.decode(data)


def test_an_end_is_looked_for_behind_the_headers():
    data = encode_jpeg(picture(), 90)
    thumbnail = b'\xff\xe1' + (2 + len(data)).to_bytes(2, 'big') + data  # an EXIF segment with a JPEG in it
    whole = data[:2] + thumbnail + data[2:]
    np.testing.assert_array_equal(images.decode(whole + bytes(5000)), images.decode(data))  # more behind the end
    with pytest.raises(ValueError, match='cut off'):
        images.decode(whole[:-300])


def test_resize_stretches():
    assert images.resize(picture(), (32, 96)).shape == (32, 96, 3)
