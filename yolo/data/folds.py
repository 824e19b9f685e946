"""Which images of a split a run leaves out: one of several parts, for cross-validation.

Each image is in one part. The parts are a function of the number of images, the number of parts and a seed alone.
"""

import numpy as np


def held_out(num_images: int, fold: int, folds: int, seed: int) -> np.ndarray:
    """The numbers (n,) int64 of the images of a part, ascending; none with folds = 1, where nothing is left out."""
    check(num_images, fold, folds)
    if folds == 1:
        return np.zeros(0, np.int64)
    return np.sort(np.random.default_rng((seed, folds)).permutation(num_images)[fold::folds])


def trained_on(num_images: int, fold: int, folds: int, seed: int) -> np.ndarray:
    """The numbers (n,) int64 of all other images, ascending."""
    return np.setdiff1d(np.arange(num_images), held_out(num_images, fold, folds, seed))


def num_trained_on(num_images: int, fold: int, folds: int) -> int:
    """How many these are."""
    check(num_images, fold, folds)
    return num_images if folds == 1 else num_images - len(range(fold, num_images, folds))


def check(num_images: int, fold: int, folds: int) -> None:
    """ValueError for a part that is none, and for more parts than images."""
    if not 0 <= fold < folds:
        raise ValueError(f'--fold={fold}: with --folds={folds} the parts are 0 to {folds - 1}')
    if folds > max(1, num_images):
        raise ValueError(f'--folds={folds}: the split has only {num_images} images; use fewer parts')
