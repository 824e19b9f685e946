"""Which cell and anchor is responsible for an object: one formula, for NumPy arrays (offline) and for tensors."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def sizes_iou(sizes, anchors, xp: Any = np):
    """IoU (..., A) of sizes (..., 2) w, h >= 0 with anchors (A, 2) w, h > 0, all at the origin and in one unit.

    xp: numpy, or tf.experimental.numpy for tensors.
    """
    width, height = sizes[..., 0, None], sizes[..., 1, None]
    shared = xp.minimum(width, anchors[:, 0]) * xp.minimum(height, anchors[:, 1])
    return shared / (width * height + anchors[:, 0] * anchors[:, 1] - shared)


def responsible_places(boxes, labels, anchors, grid: Sequence[int], xp: Any = np):
    """The cell and anchor responsible for every object, as defined in `yolo.encode_targets`.

    boxes (..., N, 4) float32 xmin, ymin, xmax, ymax relative 0..1; labels (..., N) int, -1 for padding; anchors (A, 2)
    float32 w, h in grid cells; grid: rows, columns; xp: numpy, or tf.experimental.numpy for tensors.
    Returns (..., N, 3) int32 row, column, anchor; -1, -1, -1 for padding and for boxes without area.
    """
    cells = np.array([grid[1], grid[0]], np.float32)  # columns, rows
    low, high = boxes[..., :2], boxes[..., 2:]
    centres, sizes = (low + high) / 2 * cells, (high - low) * cells  # (..., N, 2) in cells
    cell = xp.minimum(xp.maximum(xp.floor(centres), 0 * cells), cells - 1)  # column, row
    overlap = sizes_iou(xp.maximum(sizes, 0 * cells), anchors, xp)  # (..., N, A)
    anchor = xp.argmax(overlap, -1)
    places = xp.stack([xp.asarray(part, np.int32) for part in (cell[..., 1], cell[..., 0], anchor)], -1)
    valid = (labels >= 0) & (sizes[..., 0] > 0) & (sizes[..., 1] > 0)
    return xp.where(valid[..., None], places, np.int32(-1))
