import numpy as np
import pytest

from yolo.data import images
from yolo.geometry.letterbox import from_canvas, inner_pixels, to_canvas


@pytest.mark.parametrize(
    ('size', 'canvas', 'expected'),
    [
        ((480, 640), (416, 416), (0, 52, 416, 312)),
        ((640, 480), (416, 416), (52, 0, 312, 416)),
        ((500, 486), (416, 416), (6, 0, 404, 416)),
        ((100, 100), (64, 96), (16, 0, 64, 64)),
        ((100, 200), (64, 96), (0, 8, 96, 48)),
        ((1, 5000), (64, 64), (0, 31, 64, 1)),
    ],
)
def test_the_letterbox_is_darknets(size, canvas, expected):
    """new_w, new_h = w, (h_image w) / w_image if w / w_image < h / h_image, else (w_image h) / h_image, h."""
    assert tuple(inner_pixels(size, canvas, 'letterbox')) == expected
    assert tuple(inner_pixels(size, canvas, 'stretch')) == (0, 0, canvas[1], canvas[0])
    with pytest.raises(ValueError, match='stretch, letterbox'):
        inner_pixels(size, canvas, 'crop')


def test_the_image_lies_where_its_boxes_are_moved_to():
    picture = np.zeros((100, 50, 3), np.uint8)
    picture[20:60, 10:30] = 255
    canvas = images.resize(picture, (64, 96), 'letterbox')
    assert canvas.shape == (64, 96, 3)
    moved = to_canvas(np.array([0.2, 0.2, 0.6, 0.6]), (100, 50), (64, 96), 'letterbox')
    x0, y0, x1, y1 = moved * [96, 64, 96, 64]
    ys, xs = np.nonzero(canvas[..., 0] > 200)
    np.testing.assert_allclose([x0, y0, x1, y1], [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], atol=1)
    assert (canvas[:, :32] == images.BAR).all()
    assert (canvas[:, 64:] == images.BAR).all()
    assert images.resize(picture, (64, 96)).max(initial=0) == 255


@pytest.mark.parametrize('resize', ['stretch', 'letterbox'])
def test_to_the_canvas_and_back(resize):
    rng = np.random.default_rng(0)
    boxes, sizes = rng.random((50, 4)).astype(np.float32), rng.integers(20, 900, (50, 2))
    moved = to_canvas(boxes, sizes, (320, 416), resize)
    assert moved.dtype == np.float32
    np.testing.assert_allclose(from_canvas(moved, sizes, (320, 416), resize), boxes, atol=1e-5)
    assert np.array_equal(moved, boxes) == (resize == 'stretch')
    outside = from_canvas(np.array([-1.0, -1, 2, 2]), (10, 90), (64, 64), 'letterbox')
    assert outside.tolist() == [0, 0, 1, 1]
