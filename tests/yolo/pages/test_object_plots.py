import base64
import re

import cv2
import numpy as np

from yolo.pages import object_plots


def texts(svg: str) -> list[str]:
    return re.findall(r'<text[^>]*>([^<]*)</text>', svg)


def picture(svg: str) -> np.ndarray:
    """The first raster (H, W, 3) BGR in a chart, as it is on the page."""
    data = base64.b64decode(re.search(r'base64,([^"]+)"', svg)[1])
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    is_mirrored = re.search(r'<image [^>]*transform="scale\(1 -1\)', svg) is not None
    return image[::-1] if is_mirrored else image


def test_the_plane_is_dark_where_no_objects_are_and_its_top_is_above():
    counts = np.zeros((4, 8), int)
    counts[0, 6:] = 5  # at the top, on the right
    svg = object_plots.plane(counts, (200, 400), 'centres')
    assert {'x in pixels', 'y in pixels', 'centres', '400', '0'} <= set(texts(svg))
    image = picture(svg).astype(int).sum(2)
    height, width = image.shape
    assert width / height > 1.7
    bright = image > image.min() + 150
    rows, columns = np.nonzero(bright)
    assert rows.max() < height * 0.3
    assert columns.min() > width * 0.7


def test_sizes_are_a_row_a_class_of_its_own_shade():
    counts = np.array([[1000, 0, 0, 0], [0, 0, 0, 2]])
    svg = object_plots.sizes_by_class(
        counts, 2.0 ** np.array([2, 3, 4, 5, 6]), ['often', 'rare'], {'cell': 32}, 'pixels'
    )
    assert {'often', 'rare', '4', '8', '16', '32', '64', 'cell', 'pixels'} <= set(texts(svg))
    image = picture(svg).astype(int).sum(2)
    dark = image < 400
    half = image.shape[0] // 2
    assert dark[5 : half - 5, 5 : image.shape[1] // 4 - 5].all()
    assert dark[half + 5 : -5, -image.shape[1] // 4 + 5 : -5].all()  # as dark, with a thousandth of the objects
    assert dark.mean() < 0.3


def test_many_classes_have_lower_rows():
    heights = [
        float(
            re.search(r'height="([\d.]+)pt"', object_plots.sizes_by_class(np.ones((n, 2)), edges, ['x'] * n, {}, ''))[1]
        )
        for edges in ([4, 8, 16],)
        for n in (30, 80)
    ]
    assert heights[0] < heights[1] < heights[0] * 80 / 30
