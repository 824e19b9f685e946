"""How often an epoch shows each image: repeat factors, so that images of rare classes come more often.

(Gupta, Dollar, Girshick: LVIS, 2019, appendix B.2.)
"""

import numpy as np

ONE = 1 << 24  # the repeat factor 1 in units: integers, which every process adds up to the same


def class_shares(owners: np.ndarray, labels: np.ndarray, num_images: int, num_classes: int) -> np.ndarray:
    """The share of N images that have each of C classes: (C,).

    owners (K,): the number of the image of each object; labels (K,): its class.
    """
    once = np.unique(owners * num_classes + labels)  # each class of an image
    return np.bincount(once % num_classes, minlength=num_classes) / num_images


def class_factors(shares: np.ndarray, threshold: float | None = None) -> np.ndarray:
    """The repeat factor of each class: max(1, sqrt(t / f)) for a class that a share f of the images has: (C,).

    threshold: t; None: the mean share of the classes that occur. 1 for those that do not.
    """
    there = shares > 0
    if threshold is None:
        threshold = float(shares[there].mean()) if there.any() else 0.0
    return np.sqrt(np.maximum(1, threshold / np.where(there, shares, 1)))


def repeat_factors(owners: np.ndarray, labels: np.ndarray, num_images: int, factors: np.ndarray) -> np.ndarray:
    """How often each of N images comes in an epoch, on average: the largest factor (C,) of its classes, or 1: (N,)."""
    of_images = np.ones(num_images)
    np.maximum.at(of_images, owners, factors[labels])
    return of_images


def in_units(factors: np.ndarray) -> np.ndarray:
    """Repeat factors (N,) in units of 1 / ONE: (N,) int64."""
    return np.rint(factors * ONE).astype(np.int64)
