"""Boxes with labels drawn on images, for TensorBoard, prediction and contact sheets."""

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np

from yolo import storage

FONT = cv2.FONT_HERSHEY_SIMPLEX
CAPTION = 26  # pixels of the strip under a tile of a sheet
Colour = tuple[int, int, int]  # RGB 0..255
ANY_COLOUR = (255, 255, 255)  # of ignore regions of any class


def class_colour(index: int) -> Colour:
    """The colour of a class; hues of consecutive classes are a golden section apart, so that they differ clearly."""
    lightness, saturation = ((0.55, 0.9), (0.42, 0.85), (0.7, 0.95))[index // 7 % 3]
    red, green, blue = colorsys.hls_to_rgb((index * 0.618034 + 0.36) % 1, lightness, saturation)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_detections(
    image: np.ndarray, boxes: np.ndarray, classes: np.ndarray, scores: np.ndarray | None, class_names: Sequence[str]
) -> np.ndarray:
    """A copy of an image with each box in the colour of its class and `label score` on a tag at its corner.

    image (H, W, 3) uint8 RGB; boxes (N, 4) xmin, ymin, xmax, ymax relative 0..1 (clipped to the image); classes (N,)
    index into class_names; scores (N,), or None for annotations. Boxes are drawn in order of their scores, the best one
    on top, and all tags after all boxes, so that labels can be read. Lines and letters grow with the image. ValueError
    for another kind of image, arrays of different lengths, and boxes that are not finite.
    """
    boxes, classes = np.asarray(boxes, np.float64).reshape(-1, 4), np.asarray(classes, np.int64).reshape(-1)
    _check(image, boxes, classes, scores)
    drawn = np.array(image, order='C')
    height, width = image.shape[:2]
    line = max(1, round(min(height, width) / 220))
    order = np.arange(len(boxes)) if scores is None else np.argsort(scores, kind='stable')
    extent = np.array([width, height, width, height])
    corners = np.rint(np.clip(boxes, 0, 1) * extent).astype(int) - [0, 0, 1, 1]  # first and last pixel
    for i in order:
        x0, y0, x1, y1 = corners[i].tolist()
        cv2.rectangle(drawn, (x0, y0), (max(x0, x1), max(y0, y1)), class_colour(int(classes[i])), line)
    for i in order:
        name = class_names[classes[i]] if 0 <= classes[i] < len(class_names) else f'class {classes[i]}'
        text = name if scores is None else f'{name} {scores[i]:.2f}'
        x0, y0, _, y1 = corners[i].tolist()
        draw_tag(drawn, text, (x0, y0), class_colour(int(classes[i])), below=y1)
    return drawn


def draw_regions(image: np.ndarray, regions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """A copy of an image with ignore regions hatched, in the colour of their class, white where it is any (-1).

    image (H, W, 3) uint8 RGB; regions (R, 4) xmin, ymin, xmax, ymax relative 0..1; labels (R,).
    """
    drawn = np.array(image, order='C')
    height, width = image.shape[:2]
    step = max(6, round(min(height, width) / 40))  # pixels from stripe to stripe
    corners = np.rint(np.clip(regions, 0, 1) * [width, height, width, height]).astype(int)
    for (x0, y0, x1, y1), label in zip(corners.tolist(), labels.tolist(), strict=True):
        colour = class_colour(label) if label >= 0 else ANY_COLOUR
        rows, columns = np.ogrid[y0:y1, x0:x1]
        stripe = (rows + columns) % step < max(1, step // 4)
        edge = (rows == y0) | (rows == y1 - 1) | (columns == x0) | (columns == x1 - 1)
        drawn[y0:y1, x0:x1][stripe | edge] = colour
    return drawn


def _check(image: np.ndarray, boxes: np.ndarray, classes: np.ndarray, scores: np.ndarray | None) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f'the image is {image.dtype} of shape {image.shape}; it should be uint8 (H, W, 3) RGB')
    if len(classes) != len(boxes) or (scores is not None and len(scores) != len(boxes)):
        num = 'no' if scores is None else len(scores)
        raise ValueError(f'{len(boxes)} boxes, {len(classes)} classes and {num} scores: should be as many of each')
    for i in np.flatnonzero(~np.isfinite(boxes).all(1))[:1]:
        raise ValueError(f'boxes[{i}] is {boxes[i]}: not finite')


def draw_tag(image: np.ndarray, text: str, corner: tuple[int, int], colour: Colour, below: int | None = None) -> None:
    """Writes a text on a filled tag, in place: above a box's corner, or inside the box where there is no room above.

    image (H, W, 3) uint8 RGB; corner x, y: in pixels; below: the box's last row in pixels, so that a box too low for a
    tag inside gets it underneath. The tag stays inside the image; text wider than the image is made smaller.
    """
    text = storage.printable(text)  # OpenCV crashes on anything else
    height, width = image.shape[:2]
    scale = min(1.6, max(0.36, min(height, width) / 1000))
    natural_width = cv2.getTextSize(text, FONT, scale, 1)[0][0] + 8
    scale *= min(1.0, max(1.0, width - 8) / natural_width)
    stroke = max(1, round(1.6 * scale))
    (text_width, text_height), base = cv2.getTextSize(text, FONT, scale, stroke)
    pad = 2 + stroke
    tag_width, tag_height = text_width + 2 * pad, text_height + base + pad + 1
    x, y = corner[0], corner[1] - tag_height
    if y < 0:
        y = corner[1] if below is None or below - corner[1] > 2 * tag_height else below + 1
    x, y = max(0, min(x, width - tag_width)), max(0, min(y, height - tag_height))
    cv2.rectangle(image, (x, y), (x + tag_width - 1, y + tag_height - 1), colour, cv2.FILLED)
    ink = (0, 0, 0) if np.dot(colour, (0.299, 0.587, 0.114)) > 130 else (255, 255, 255)
    cv2.putText(image, text, (x + pad, y + text_height + pad - 1), FONT, scale, ink, stroke, cv2.LINE_AA)


def contact_sheet(tiles: Sequence[np.ndarray], captions: Sequence[str], per_row: int = 4) -> np.ndarray:
    """Images (H, W, 3) uint8 RGB of any sizes side by side, each with its caption underneath; at least one."""
    height, width = (max(tile.shape[axis] for tile in tiles) for axis in (0, 1))
    border = 3
    cells = []
    for tile, text in zip(tiles, captions, strict=True):
        cell = np.full((height + CAPTION + 2 * border, width + 2 * border, 3), 255, np.uint8)
        cell[border : border + tile.shape[0], border : border + tile.shape[1]] = tile
        cv2.putText(cell, storage.printable(text), (9, tile.shape[0] + 21), FONT, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        cells.append(cell)
    per_row = min(len(cells), per_row)
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % per_row)
    rows = [np.concatenate(cells[i : i + per_row], axis=1) for i in range(0, len(cells), per_row)]
    return np.concatenate(rows, axis=0)
