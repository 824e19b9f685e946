"""Whether boxes lie on their objects in batches of the small records, whose class 0 is bright and class 1 dark."""

import numpy as np


def check_objects(batch: dict[str, np.ndarray], images: np.ndarray) -> int:
    """How many boxes of a training batch it looked at: those that no other box of their image meets, big enough.

    images (B, S, S, C) 0..1: what the network sees of the batch. AssertionError where inside is another class.
    """
    side = images.shape[1]
    looked_at = 0
    for i, n in np.argwhere(batch['labels'] >= 0):
        x0, y0, x1, y1 = np.round(batch['boxes'][i, n] * side).astype(int)
        inside = images[i, y0 + 2 : y1 - 2, x0 + 2 : x1 - 2]
        low, high = batch['boxes'][i][:, :2], batch['boxes'][i][:, 2:]
        meets = ((low < high[n]) & (high > low[n])).all(1) & (batch['labels'][i] >= 0)
        if inside.size and meets.sum() == 1:
            assert (inside.mean() > 0.5) == (batch['labels'][i, n] == 0)
            looked_at += 1
    return looked_at
