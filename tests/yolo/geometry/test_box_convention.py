"""Where the boxes of Darknet's networks end, against the arithmetic of its print_detector_detections."""

import numpy as np
import pytest

from yolo.evaluation.voc_matching import to_voc_pixels
from yolo.geometry.box_convention import DARKNET, VOC, to_photo
from yolo.geometry.letterbox import from_canvas, inner_pixels

CANVAS = (320, 416)


def printed_by_darknet(box, size, resize: str) -> list[float]:
    """The pixels of a box relative to the canvas: correct_region_boxes, then print_detector_detections."""
    height, width = size
    left, top, inner_width, inner_height = inner_pixels(size, CANVAS, resize).tolist()
    pixels = []
    for i, side in enumerate(box.tolist()):
        start, inner, canvas, length = (
            (top, inner_height, CANVAS[0], height) if i % 2 else (left, inner_width, CANVAS[1], width)
        )
        pixels.append((side * canvas - start) / inner * length + 1)
    return [max(pixels[0], 1), max(pixels[1], 1), min(pixels[2], width), min(pixels[3], height)]


@pytest.mark.parametrize('resize', ['stretch', 'letterbox'])
def test_boxes_are_in_voc_pixels_what_darknet_prints(resize):
    rng = np.random.default_rng(0)
    sizes, centres = rng.integers(20, 900, (200, 2)), rng.uniform(0, 1, (200, 2))
    inner = inner_pixels(sizes, CANVAS, resize) / np.tile(CANVAS[::-1], 2)
    centres = inner[:, :2] + inner[:, 2:] * centres  # in the photo: boxes whose centre is in a bar are empty
    halves = rng.uniform(0.002, 0.5, (200, 2))
    boxes = np.concatenate([centres - halves, centres + halves], 1)
    ours = to_voc_pixels(to_photo(boxes, sizes, CANVAS, resize, DARKNET), sizes)
    theirs = [printed_by_darknet(box, size, resize) for box, size in zip(boxes, sizes, strict=True)]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)
    assert (ours[:, 2:] < sizes[:, ::-1]).sum() > 100
    as_voc = to_voc_pixels(to_photo(boxes, sizes, CANVAS, resize, VOC), sizes)
    np.testing.assert_allclose(as_voc[:, 2:], np.where(ours[:, 2:] < sizes[:, ::-1], ours[:, 2:] - 1, as_voc[:, 2:]))


def test_a_perfect_box_of_darknets_is_the_annotation():
    """Its labels are xmin - 1, ymin - 1, xmax - 1, ymax - 1, by the photo's sides. (scripts/voc_label.py)"""
    annotated, size = np.array([[17, 33, 33, 51]]), (100, 80)
    learnt = ((annotated - 1) / [80, 100, 80, 100]).astype(np.float32)
    found = to_voc_pixels(to_photo(learnt, size, CANVAS, 'stretch', DARKNET), size)
    np.testing.assert_allclose(found, annotated, atol=1e-4)


@pytest.mark.parametrize('resize', ['stretch', 'letterbox'])
def test_boxes_of_records_stay_as_they_are(resize):
    boxes = np.random.default_rng(0).uniform(-0.2, 1.2, (50, 4)).astype(np.float32)
    np.testing.assert_array_equal(
        to_photo(boxes, (90, 120), CANVAS, resize, VOC), from_canvas(boxes, (90, 120), CANVAS, resize)
    )


def test_a_box_in_a_bar_stays_empty():
    """The photo of 40 x 80 lies in rows 56 to 264 of 320."""
    boxes = np.array([[0.2, 0.01, 0.4, 0.1], [0.2, 0.9, 0.4, 0.95], [0.2, 0.5, 0.4, 0.6]], np.float32)
    inside = to_photo(boxes, (40, 80), CANVAS, 'letterbox', DARKNET)
    assert inside.dtype == np.float32
    assert (inside[:, 3] - inside[:, 1] > 0).tolist() == [False, False, True]


def test_other_conventions_are_refused():
    with pytest.raises(ValueError, match="unknown box_convention 'coco'; there are voc, darknet"):
        to_photo(np.zeros((1, 4)), (10, 10), CANVAS, 'stretch', 'coco')
