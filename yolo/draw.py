"""Boxes drawn on images with OpenCV, for TensorBoard, prediction and contact sheets."""

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np

FONT = cv2.FONT_HERSHEY_SIMPLEX


def class_colour(index: int) -> tuple[int, int, int]:
    """A colour RGB 0..255 for a class: neighbours differ most."""
    r, g, b = colorsys.hsv_to_rgb((index * 0.618034 + 0.58) % 1, 0.75, 0.95)
    return round(255 * r), round(255 * g), round(255 * b)


def draw_detections(image: np.ndarray, boxes: np.ndarray, classes: np.ndarray, scores: np.ndarray | None,
                    class_names: Sequence[str]) -> np.ndarray:  # fmt: skip
    """A copy of an image (H, W, 3) uint8 RGB with boxes and, on tags that stay inside, `label score`.

    boxes (N, 4) xmin, ymin, xmax, ymax relative 0..1; classes (N,) index into class_names; scores (N,) or None for
    labels alone. Drawn from the lowest score up, so that the best is on top.
    """
    image = np.ascontiguousarray(image).copy()
    height, width = image.shape[:2]
    thickness = max(1, round(min(height, width) / 250))
    order = range(len(boxes)) if scores is None else np.argsort(scores, kind='stable')
    for i in order:
        x0, y0, x1, y1 = np.round(np.asarray(boxes[i]) * [width, height, width, height]).astype(int).tolist()
        colour = class_colour(int(classes[i]))
        cv2.rectangle(image, (x0, y0), (x1 - 1, y1 - 1), colour, thickness, cv2.LINE_AA)
        text = class_names[int(classes[i])] + ('' if scores is None else f' {scores[i]:.2f}')
        draw_tag(image, text, (x0, y0), colour)
    return image


def draw_tag(image: np.ndarray, text: str, corner: tuple[int, int], colour: tuple[int, int, int]) -> None:
    """Writes a text on a tag above a corner (x, y), or as near as the image (H, W, 3) uint8 has room; in place."""
    height, width = image.shape[:2]
    scale = max(0.35, min(height, width) / 900)
    (text_width, text_height), base = cv2.getTextSize(text, FONT, scale, 1)
    tag_width, tag_height = text_width + 4, text_height + base + 2
    x = int(np.clip(corner[0], 0, max(width - tag_width, 0)))
    y = int(np.clip(corner[1] - tag_height, 0, max(height - tag_height, 0)))
    cv2.rectangle(image, (x, y), (x + tag_width, y + tag_height), colour, cv2.FILLED)
    ink = (0, 0, 0) if np.dot(colour, (0.299, 0.587, 0.114)) > 140 else (255, 255, 255)
    cv2.putText(image, text, (x + 2, y + text_height + 2), FONT, scale, ink, max(1, round(scale * 1.5)), cv2.LINE_AA)
