"""Anchors by name, by list, or fitted to the boxes of a dataset."""

import re

import numpy as np

from yolo.geometry.assignment import sizes_iou

MOST_ANCHORS = 100
MOST_CELLS = 1000  # of a side of an anchor: the largest image has 512
# Width, height in cells of a 13 x 13 grid.
NAMED = {
    'voc': ((1.3221, 1.73145), (3.19275, 4.00944), (5.05587, 8.09892), (9.47112, 4.84053), (11.2364, 10.0071)),
    'tiny-voc': ((1.08, 1.19), (3.42, 4.41), (6.63, 11.38), (9.42, 5.11), (16.62, 10.52)),
    'notebook': (
        (1.07709888, 1.78171903),
        (2.71054693, 5.12469308),
        (10.47181473, 10.09646365),
        (5.48531347, 8.11011331),
    ),
}


def make_anchors(text: str, sizes: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """The anchors (A, 2) w, h in grid cells that a setting asks for.

    text: 'kmeans:K', a name of NAMED, or 'w,h, w,h, ...' in cells; sizes (N, 2) w, h of boxes relative 0..1;
    grid: rows, columns. Named ones and lists are taken as they are: in cells, whatever the grid, as Darknet does.
    ValueError for anything else.
    """
    if text in NAMED:
        return np.array(NAMED[text])
    kind, _, number = text.partition(':')
    if kind == 'kmeans':
        if not re.fullmatch('[0-9]{1,9}', number) or not 1 <= int(number) <= MOST_ANCHORS:
            raise ValueError(
                f'--anchors={text[:60]}: the number of anchors is missing, as in kmeans:5; at most {MOST_ANCHORS}'
            )
        return kmeans(sizes * [grid[1], grid[0]], int(number))
    try:
        values = np.array([float(value) for value in text.split(',')])
    except ValueError:
        values = np.zeros(1)
    if len(values) % 2 or not ((values > 0) & (values <= MOST_CELLS)).all() or len(values) > 2 * MOST_ANCHORS:
        raise ValueError(
            f'--anchors={text[:60]}: not kmeans:K, {", ".join(NAMED)}, or a list w,h, w,h, ... of at most '
            f'{MOST_ANCHORS} anchors, numbers above 0 and up to {MOST_CELLS}'
        )
    return values.reshape(-1, 2)


def mean_iou(sizes: np.ndarray, anchors: np.ndarray) -> float:
    """The mean over sizes (N, 2) of the IoU with the best anchor; 0 without sizes."""
    return float(np.mean(sizes_iou(sizes, anchors).max(1))) if len(sizes) else 0.0


def kmeans(sizes: np.ndarray, k: int, most_rounds: int = 1000, starts: int = 10) -> np.ndarray:
    """K anchors (K, 2) for sizes (N, 2), smallest area first: k-means with the distance 1 - IoU. Deterministic.

    Starts from k-means++ with a fixed seed, the best of some starts. ValueError with fewer than K different sizes.
    (YOLOv2 paper, section 2, 'Dimension Clusters'.)
    """
    different = len(np.unique(np.round(sizes, 4), axis=0))  # of cells; what rounding made different is not
    if different < k:
        raise ValueError(
            f'--anchors=kmeans:{k} needs {k} boxes of different size, the first split has {different}; '
            'ask for fewer, or take --anchors=voc'
        )
    rng = np.random.default_rng(0)
    candidates = [_kmeans_once(sizes, _spread(sizes, k, rng), most_rounds) for _ in range(starts)]
    best = max(candidates, key=lambda anchors: mean_iou(sizes, anchors))
    return best[np.argsort(best.prod(1), kind='stable')]


def _spread(sizes: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """K of the sizes, far from each other: each drawn in proportion to its squared distance from the ones before."""
    chosen = sizes[rng.integers(len(sizes))][None]
    while len(chosen) < k:
        distance = (1 - sizes_iou(sizes, chosen).max(1)).clip(0) ** 2
        chosen = np.concatenate([chosen, sizes[rng.choice(len(sizes), p=distance / distance.sum())][None]])
    return chosen


def _kmeans_once(sizes: np.ndarray, anchors: np.ndarray, most_rounds: int) -> np.ndarray:
    nearest = np.full(len(sizes), -1)
    for _ in range(most_rounds):
        before, nearest = nearest, sizes_iou(sizes, anchors).argmax(1)
        if (nearest == before).all():
            break
        count = np.bincount(nearest, minlength=len(anchors))[:, None]
        total = np.stack([np.bincount(nearest, sizes[:, i], len(anchors)) for i in (0, 1)], -1)
        anchors = np.where(count > 0, total / np.maximum(count, 1), anchors)
    return anchors
