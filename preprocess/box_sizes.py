"""How many boxes there are of each size: counts in fixed bins, whose memory does not grow with the data."""

import dataclasses

import numpy as np

SMALLEST_EXPONENT = -10  # boxes below 2 ** -10 of the image are in the first bin
BINS_PER_DOUBLING = 4  # of widths and heights
EDGES = 2.0 ** np.linspace(SMALLEST_EXPONENT, 0, 1 - SMALLEST_EXPONENT * BINS_PER_DOUBLING)  # of width and height
ROOT_EDGES = 2.0 ** np.arange(SMALLEST_EXPONENT, 1)  # of the square root of width x height


@dataclasses.dataclass(frozen=True)
class SizeCounts:
    """Boxes by width and height (B, B), in bins of EDGES, and by the root of their area, in bins of ROOT_EDGES."""

    by_size: np.ndarray
    by_root: np.ndarray

    def __add__(self, other: 'SizeCounts') -> 'SizeCounts':
        return SizeCounts(self.by_size + other.by_size, self.by_root + other.by_root)

    @property
    def num_boxes(self) -> int:
        """All of them."""
        return int(self.by_root.sum())


def count_sizes(sizes: np.ndarray) -> SizeCounts:
    """Counts boxes of sizes (N, 2) w, h relative to the image."""
    clipped = np.clip(np.asarray(sizes, np.float64), EDGES[0], EDGES[-1])
    by_size = np.histogram2d(clipped[:, 0], clipped[:, 1], [EDGES, EDGES])[0]
    by_root = np.histogram(np.sqrt(clipped.prod(1)), ROOT_EDGES)[0]
    return SizeCounts(by_size.astype(np.int64), by_root.astype(np.int64))
