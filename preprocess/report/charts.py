"""What statistics of objects give for charts: bins with their names."""

from collections.abc import Mapping

import numpy as np

from preprocess.report.object_warnings import CELL, SMALL
from preprocess.resume import Summary
from preprocess.statistics import MOST_ASPECT, PLANE, SIZE_BINS, Statistics
from yolo.data.records import Description
from yolo.pages import object_plots, plots


def draw(description: Description, summaries: Mapping[str, Summary]) -> dict[str, str]:
    """Charts of the objects of the first split by place, size and aspect, by name; '' for all if there are none."""
    statistics = summaries[next(iter(description.splits))].statistics
    if not statistics.classes:
        return dict.fromkeys(('plane', 'class_sizes', 'aspects'), '')
    return {
        'plane': object_plots.plane(centres(statistics), description.image_size, 'centres of objects'),
        'class_sizes': object_plots.sizes_by_class(
            *class_sizes(statistics), {f'{SMALL[0]} pixels': SMALL[0], 'a cell': CELL}, "pixels of the network's image"
        ),
        'aspects': plots.columns(*aspects(statistics), 'width : height', 'objects'),
    }


def centres(statistics: Statistics) -> np.ndarray:
    """Objects by the place of their centre (PLANE, PLANE), row by row from the top left."""
    return np.array(statistics.centres).reshape(PLANE, PLANE)


def class_sizes(statistics: Statistics) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Objects by class and size (C, B), most objects first, the edges (B + 1,) in pixels, and names.

    The bins reach from the smallest objects, or those under SMALL pixels, to the largest.
    """
    names = sorted(statistics.classes, key=lambda name: (-statistics.classes[name].num_objects, name))
    counts = np.array([statistics.classes[name].sizes for name in names])
    used = np.flatnonzero(counts.any(0))
    low, high = min(used[0], SMALL[1] - 2), max(used[-1] + 1, SMALL[1] + 6)
    return counts[:, low:high], 2.0 ** (np.arange(SIZE_BINS + 1) / 2)[low : high + 1], names


def aspects(statistics: Statistics) -> tuple[list[str], list[int]]:
    """Objects by width : height, from the narrowest to the widest: the middles of the bins and counts."""
    counts = np.array(statistics.aspects)
    used = np.flatnonzero(counts)
    shown = range(used[0], used[-1] + 1)
    return [_ratio(i - MOST_ASPECT) for i in shown], [int(counts[i]) for i in shown]


def _ratio(number: int) -> str:
    """The middle of a bin as a ratio: 1:4, 1:1, 1.4:1."""
    value = f'{2 ** (abs(number) / 2):.2g}'
    return f'1:{value}' if number < 0 else f'{value}:1'
