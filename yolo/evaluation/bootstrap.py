"""Is one detector better than another, or was it luck? Differences of AP with a bootstrap interval over images."""

from collections.abc import Sequence

import numpy as np

from yolo.evaluation.voc_ap import Matches, Truth, match

SAMPLES = 1000
AT_ONCE = 4_000_000  # numbers of a matrix
LEVEL = 0.95


def difference(
    truth: Truth,
    one,
    other,
    num_images: int,
    num_classes: int,
    iou_threshold: float,
    samples: int = SAMPLES,
    seed: int = 0,
) -> list[dict | None]:
    """AP (area) of detections `one` minus that of `other`, for each class and, last, their mean.

    Both are of the same objects and images. Images are drawn anew with replacement, the same ones for both; the
    interval holds the middle 95 % of the differences. Each row has difference, low, high and real: whether the interval
    is without 0; None for a class without objects. (Efron's percentile bootstrap.)
    """
    rng = np.random.default_rng(seed)
    times = rng.multinomial(num_images, np.full(num_images, 1 / num_images), samples)  # (S, I) how often an image
    times = np.concatenate([np.ones((1, num_images), int), times])  # the first is the images themselves
    found = [_aps(truth, match(truth, each, num_classes, iou_threshold), times, num_classes) for each in (one, other)]
    gaps = found[0] - found[1]  # (C, 1 + S), NaN where a class has no objects
    known = ~np.isnan(gaps[:, 0])
    rows = [_row(gap) if ok else None for gap, ok in zip(gaps, known, strict=True)]
    if not known.any():
        return [*rows, None]
    there = ~np.isnan(gaps[known])  # a sample may lack a rare class
    mean = np.sum(np.where(there, gaps[known], 0), 0) / np.where(there.any(0), there.sum(0), np.nan)
    return [*rows, _row(mean)]


def _row(gaps: np.ndarray) -> dict:
    low, high = np.nanquantile(gaps[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {'difference': float(gaps[0]), 'low': float(low), 'high': float(high), 'real': bool(low > 0 or high < 0)}


def _aps(truth: Truth, matches: Matches, times: np.ndarray, num_classes: int) -> np.ndarray:
    """AP (C, S) of every class if each image occurs so often, (S, I); NaN without objects."""
    out = np.full((num_classes, len(times)), np.nan)
    for k in range(num_classes):
        images = truth.images[~truth.difficult & (truth.classes == k)]
        own = np.flatnonzero((matches.ranked.classes == k) & ~matches.ignored)
        if len(images):
            out[k] = _weighted_ap(matches.right[own], matches.ranked.images[own], times, images)
    return out


def _weighted_ap(right: np.ndarray, images: np.ndarray, times: np.ndarray, of_objects: np.ndarray) -> np.ndarray:
    """AP (S,) of detections (D,), best first, of images that occur so often (S, I); of_objects (T,) images of objects.

    NaN where none of the objects occurs. Precision only matters at the R right ones, so detections are counted by image
    and by the right one that they come before, or are: a product of matrices gives what lies between two of them.
    """
    weights = times.astype(np.float32)  # whole numbers, far below 2 ** 24
    hits = np.cumsum(times[:, images[right]], 1)  # (S, R)
    before = np.cumsum(right) - right
    num_right, num_images = hits.shape[1], times.shape[1]
    step = max(1, AT_ONCE // num_images)
    between = np.zeros(hits.shape)
    for start in range(0, num_right, step):
        width = min(step, num_right - start)
        part = (before >= start) & (before < start + width)
        counts = np.bincount(images[part] * width + before[part] - start, minlength=num_images * width)
        between[:, start : start + width] = weights @ counts.reshape(num_images, width).astype(np.float32)
    precision = hits / np.maximum(np.cumsum(between, 1), 1)
    best = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
    num_objects = times[:, of_objects].sum(1)
    area = np.sum(best * np.diff(hits, prepend=0), 1)
    return np.where(num_objects > 0, area / np.maximum(num_objects, 1), np.nan)


def format_table(classes: Sequence[str], rows: Sequence[dict | None]) -> str:
    """The differences as a table to read."""
    width = max([12, *(len(name) for name in classes)])
    lines = [f'{"class":<{width}}  difference  95 % of samples       real']
    for name, row in zip([*classes, 'mAP'], rows, strict=True):
        if row is None:
            lines.append(f'{name:<{width}}           -')
        else:
            lines.append(
                f'{name:<{width}}  {row["difference"]:>+10.4f}  {row["low"]:>+.4f} to {row["high"]:>+.4f}    '
                f'{"yes" if row["real"] else "no"}'
            )
    return '\n'.join(lines)
