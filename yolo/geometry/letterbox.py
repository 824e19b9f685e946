"""Where an image lies in the network's input: stretched over all of it, or with its aspect kept and grey bars."""

import numpy as np

RESIZES = STRETCH, LETTERBOX = ('stretch', 'letterbox')
CHANNELS = GREY, COLOUR = (1, 3)  # of the images that a network sees
MOST_SIDE = 1 << 14  # pixels of a side of the images that a network sees


def inner_pixels(sizes, canvas: tuple[int, int], resize: str) -> np.ndarray:
    """Left, top, width, height (..., 4) int in pixels of the canvas of images of `sizes` (..., 2) height, width.

    canvas: height, width. ValueError for an unknown `resize`. (Darknet src/image.c, letterbox_image.)
    """
    if resize not in RESIZES:
        raise ValueError(f'unknown resize {resize!r}; there are {", ".join(RESIZES)}')
    sizes = np.asarray(sizes, np.int64)
    height, width = sizes[..., 0], sizes[..., 1]
    rows, columns = canvas
    if resize == 'stretch':
        return np.broadcast_to(np.array([0, 0, columns, rows]), (*sizes.shape[:-1], 4))
    wide = columns * height < rows * width
    inner_width = np.where(wide, columns, np.maximum(width * rows // height, 1))
    inner_height = np.where(wide, np.maximum(height * columns // width, 1), rows)
    return np.stack([(columns - inner_width) // 2, (rows - inner_height) // 2, inner_width, inner_height], -1)


def to_canvas(boxes: np.ndarray, sizes, canvas: tuple[int, int], resize: str) -> np.ndarray:
    """Boxes (..., 4) relative to images -> relative to the canvas; sizes (..., 2) height, width of their images."""
    if resize == 'stretch':
        return boxes
    offset, scale = _placement(sizes, canvas, resize)
    return (boxes * scale + offset).astype(boxes.dtype)


def from_canvas(boxes: np.ndarray, sizes, canvas: tuple[int, int], resize: str, clip: bool = True) -> np.ndarray:
    """Boxes (..., 4) relative to the canvas -> relative to their images; clipped to the image if it has bars."""
    if resize == 'stretch':
        return boxes
    offset, scale = _placement(sizes, canvas, resize)
    moved = (boxes - offset) / scale
    return (np.clip(moved, 0, 1) if clip else moved).astype(boxes.dtype)


def _placement(sizes, canvas: tuple[int, int], resize: str) -> tuple[np.ndarray, np.ndarray]:
    """Offset and scale (..., 4) from corners relative to the image to corners relative to the canvas."""
    inner = inner_pixels(sizes, canvas, resize) / np.array([canvas[1], canvas[0], canvas[1], canvas[0]])
    return np.tile(inner[..., :2], 2), np.tile(inner[..., 2:], 2)
