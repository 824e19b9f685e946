"""Where a model's boxes end: at the far edge of their last pixel, or one pixel of the photo before it, as in Darknet.

Darknet turns VOC's xmin..xmax, which count from 1 and include both pixels, into labels from xmin - 1 to xmax - 1: boxes
of its networks of VOC end one pixel of the original photo early, on the right and below. Records have the whole extent,
from xmin - 1 to xmax. (Darknet scripts/voc_label.py, convert; examples/detector.c, print_detector_detections, adds 1
back; print_cocos does not, as labels made of COCO's boxes have the whole extent.)
"""

import numpy as np
from absl import logging

from yolo.geometry.letterbox import from_canvas

BOX_CONVENTIONS = VOC, DARKNET = ('voc', 'darknet')


def to_photo(boxes: np.ndarray, sizes, canvas: tuple[int, int], resize: str, box_convention: str) -> np.ndarray:
    """Boxes (..., 4) of a model, relative to its canvas -> relative to their photos, to where they end.

    They are clipped to the photos; of VOC and stretched ones nothing changes. sizes (..., 2) height, width of the
    photos in pixels; canvas: height, width; box_convention: of the model. ValueError for an unknown one.
    """
    check(box_convention)
    if box_convention == VOC:
        return from_canvas(boxes, sizes, canvas, resize)
    relative = from_canvas(boxes, sizes, canvas, resize, clip=False)
    pixel = 1 / np.asarray(sizes, np.float64)
    ends = relative[..., 2:] + pixel[..., ::-1]  # width and height are those of xmax and ymax
    return np.clip(np.concatenate([relative[..., :2], ends], -1), 0, 1).astype(boxes.dtype)


def choose(asked: str | None, of_model: str, doubt: str, path: str) -> str:
    """The convention that is asked for, else the model's own, of which a doubt is a warning; Darknet's is logged.

    doubt: why it may be the other one, '' if the model says it; path: of the model.
    """
    chosen = asked or of_model
    check(chosen)
    if doubt and not asked:
        logging.warning('%s: taken as box_convention=%s: %s', path, chosen, doubt)
    elif chosen == DARKNET:
        logging.info(
            '%s: box_convention=darknet: boxes of networks that Darknet trained on VOC end one pixel of the photo '
            'early, on the right and below; it is added where they are put into photos%s',
            path,
            '' if asked else ' (box_convention=voc adds none: for networks of COCO, as yolov2.weights)',
        )
    return chosen


def check(box_convention: str) -> None:
    """ValueError for an unknown convention."""
    if box_convention not in BOX_CONVENTIONS:
        raise ValueError(f'unknown box_convention {box_convention!r}; there are {", ".join(BOX_CONVENTIONS)}')
