"""Where a model's boxes end: at the far edge of their last pixel, or one pixel of the photo before it, as in Darknet.

Darknet turns VOC's xmin..xmax, which count from 1 and include both pixels, into labels from xmin - 1 to xmax - 1: boxes
of its networks end one pixel of the original photo early, on the right and below. Records have the whole extent, from
xmin - 1 to xmax. (Darknet scripts/voc_label.py, convert; examples/detector.c, print_detector_detections, adds 1 back.)
"""

import numpy as np
from absl import logging

from yolo.geometry.letterbox import from_canvas

BOX_CONVENTIONS = VOC, DARKNET = ('voc', 'darknet')


def to_photo(boxes: np.ndarray, sizes, canvas: tuple[int, int], resize: str, box_convention: str) -> np.ndarray:
    """Boxes (..., 4) of a model, relative to its canvas -> relative to their photos, to where they end; clipped.

    sizes (..., 2) height, width of the photos in pixels; canvas: height, width; box_convention: of the model.
    ValueError for an unknown one.
    """
    check(box_convention)
    if box_convention == VOC:
        return from_canvas(boxes, sizes, canvas, resize)
    relative = from_canvas(boxes, sizes, canvas, resize, clip=False)
    pixel = 1 / np.asarray(sizes, np.float64)
    ends = relative[..., 2:] + pixel[..., ::-1]  # width and height are those of xmax and ymax
    return np.clip(np.concatenate([relative[..., :2], ends], -1), 0, 1).astype(boxes.dtype)


def choose(asked: str | None, of_model: str, path: str) -> str:
    """The convention that is asked for, else the model's own; Darknet's is logged. path: of the model."""
    chosen = asked or of_model
    check(chosen)
    if chosen == DARKNET:
        logging.info(
            "%s: box_convention=darknet: the network's boxes end one pixel of the photo early, on the right and below; "
            'it is added where they are put into photos',
            path,
        )
    return chosen


def check(box_convention: str) -> None:
    """ValueError for an unknown convention."""
    if box_convention not in BOX_CONVENTIONS:
        raise ValueError(f'unknown box_convention {box_convention!r}; there are {", ".join(BOX_CONVENTIONS)}')
