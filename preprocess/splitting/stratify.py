"""Groups of images given out to splits so that each split has its share of every class."""

import numpy as np


def give_out(counts: np.ndarray, shares: np.ndarray, fixed: np.ndarray, seed: int) -> np.ndarray:
    """The split (G,) of each group: iterative stratification.

    counts (G, 1 + C): of each group the images, and the images that have an object of each class; shares (S,) sum to 1;
    fixed (G,): the split of groups that have one already, else -1. The class of which fewest images are left is given
    out first, its largest groups before the others, each to the split that lacks most of it: of equal ones to that
    which lacks most images. Equal groups are in an order that the seed shuffles.
    (Sechidis, Tsoumakas, Vlahavas: On the Stratification of Multi-Label Data, ECML PKDD 2011, with groups as items.)
    """
    result = fixed.copy()
    lacking = shares[:, None] * counts.sum(0)  # (S, 1 + C)
    np.subtract.at(lacking, fixed[fixed >= 0], counts[fixed >= 0])
    shuffled = np.random.default_rng(seed).permutation(len(counts))
    while (result < 0).any():
        free = shuffled[result[shuffled] < 0]
        left = counts[free].sum(0)
        rest = np.where(left[1:] > 0, left[1:], np.inf)
        column = 1 + int(rest.argmin()) if np.isfinite(rest).any() else 0  # 0: only images without objects are left
        members = free[counts[free, column] > 0]
        for group in members[np.argsort(-counts[members, column], kind='stable')]:
            split = np.lexsort((-lacking[:, 0], -lacking[:, column]))[0]
            result[group] = split
            lacking[split] -= counts[group]
    return result


def shared_out(counts: np.ndarray, splits: np.ndarray, number: int) -> np.ndarray:
    """How many images, and images of each class, `number` splits have (S, 1 + C); splits (G,): of each group."""
    result = np.zeros((number, counts.shape[1]), counts.dtype)
    np.add.at(result, splits, counts)
    return result
