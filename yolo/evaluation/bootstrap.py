"""Is one detector better than another, or was it luck? Differences of AP with a bootstrap interval over images."""

import numpy as np

from yolo.evaluation.voc_ap import precision_envelope
from yolo.evaluation.voc_matching import Detections, GroundTruth, Matches, match

SAMPLES = 1000
NUMBERS_AT_ONCE = 4_000_000  # of a matrix: bounds the memory
LEVEL = 0.95


def difference(
    truth: GroundTruth,
    one: Detections,
    other: Detections,
    num_images: int,
    num_classes: int,
    iou_threshold: float,
    samples: int = SAMPLES,
    seed: int = 0,
) -> list[dict | None]:
    """AP (area) of detections `one` minus that of `other`, for each class and, last, their mean.

    Both are detections of the same objects in the same images. Images are drawn with replacement, the same ones for
    both; the interval holds the middle 95 % of the differences. Each row has difference, low, high and real: whether
    the interval excludes 0; None for a class without objects. (Efron's percentile bootstrap.)
    """
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(num_images, np.full(num_images, 1 / num_images), samples)  # how often an image is drawn
    image_counts = np.concatenate([np.ones((1, num_images), int), drawn])  # (1 + S, I), first the images themselves
    ap, other_ap = (
        _average_precisions(truth, match(truth, each, num_classes, iou_threshold), image_counts, num_classes)
        for each in (one, other)
    )
    differences = ap - other_ap  # (C, 1 + S), NaN where a class has no objects
    has_objects = ~np.isnan(differences[:, 0])
    rows = [_row(own) if known else None for own, known in zip(differences, has_objects, strict=True)]
    return [*rows, _row(_mean_of_known(differences[has_objects])) if has_objects.any() else None]


def _mean_of_known(differences: np.ndarray) -> np.ndarray:
    """Mean (S,) over classes (C, S), of those that a sample has: it may lack a rare class."""
    is_known = ~np.isnan(differences)
    return np.sum(np.where(is_known, differences, 0), 0) / np.where(is_known.any(0), is_known.sum(0), np.nan)


def _row(differences: np.ndarray) -> dict:
    low, high = np.nanquantile(differences[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    is_real = bool(low > 0 or high < 0)
    return {'difference': float(differences[0]), 'low': float(low), 'high': float(high), 'real': is_real}


def _average_precisions(truth: GroundTruth, matches: Matches, image_counts: np.ndarray, num_classes: int) -> np.ndarray:
    """AP (C, S) of every class in every sample, NaN without objects; image_counts (S, I): of each image in it."""
    out = np.full((num_classes, len(image_counts)), np.nan)
    for k in range(num_classes):
        object_images = truth.images[~truth.difficult & (truth.classes == k)]
        own = np.flatnonzero((matches.sorted_detections.classes == k) & ~matches.is_ignored)
        if len(object_images):
            images = matches.sorted_detections.images[own]
            out[k] = _weighted_ap(matches.is_true_positive[own], images, object_images, image_counts)
    return out


def _weighted_ap(
    is_true_positive: np.ndarray, images: np.ndarray, object_images: np.ndarray, image_counts: np.ndarray
) -> np.ndarray:
    """AP (area) of one class in every sample (S,), NaN where a sample has none of its objects.

    is_true_positive, images (D,) of the detections, best score first; object_images (T,); image_counts (S, I). The
    recall only rises at the R true positives, so precision and recall are computed there alone.
    """
    true_positives = np.cumsum(image_counts[:, images[is_true_positive]], 1)  # (S, R) up to each true positive
    detections = _count_detections(is_true_positive, images, image_counts)  # (S, R)
    precision = true_positives / np.maximum(detections, 1)
    area = np.sum(precision_envelope(precision) * np.diff(true_positives, prepend=0), 1)
    num_objects = image_counts[:, object_images].sum(1)
    return np.where(num_objects > 0, area / np.maximum(num_objects, 1), np.nan)


def _count_detections(is_true_positive: np.ndarray, images: np.ndarray, image_counts: np.ndarray) -> np.ndarray:
    """The detections of every sample up to each true positive, itself included, (S, R).

    Each detection belongs to the next true positive of its order. Those of an image that belong to the same one are
    counted once for all samples, (I, R), and a product of matrices repeats the images as often as each sample does.
    """
    num_images, num_true = image_counts.shape[1], int(is_true_positive.sum())
    next_true = np.cumsum(is_true_positive) - is_true_positive  # (D,) number of the true positive that it belongs to
    weights = image_counts.astype(np.float32)  # exact: whole numbers, far below 2 ** 24
    counts = np.zeros((len(image_counts), num_true))
    columns = max(1, NUMBERS_AT_ONCE // num_images)
    for start in range(0, num_true, columns):
        width = min(columns, num_true - start)
        part = (next_true >= start) & (next_true < start + width)
        cells = images[part] * width + next_true[part] - start
        by_image = np.bincount(cells, minlength=num_images * width).reshape(num_images, width)
        counts[:, start : start + width] = weights @ by_image.astype(np.float32)
    return np.cumsum(counts, 1)
