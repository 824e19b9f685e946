"""Groups of images that are nearly the same, without a list of their pairs: those of a video do not fit into memory."""

import numpy as np

from preprocess.leaks import fingerprint, near_duplicates

SAME = 0.98  # correlation with the first image of the same hash, from which on this one stands for both


def group(fingerprints: np.ndarray, bits: int) -> tuple[np.ndarray, bool]:
    """The group (N,) of each image, the smallest index of those that pairs lead to, and whether the search ended.

    fingerprints (N, 16, 16), bits: as in `near_duplicates.find`. Pairs that are together already are not looked at.
    """
    leaders, index = np.unique(_leaders(fingerprints), return_inverse=True)
    groups = np.arange(len(leaders))

    def is_wanted(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return groups[first] != groups[second]

    effort = near_duplicates.Effort(len(fingerprints))
    for pairs in near_duplicates.scored(fingerprints[leaders], bits, is_wanted, effort):
        groups = connect(len(groups), groups[pairs.first], groups[pairs.second])[groups]
    return leaders[groups][index], not effort.is_spent


def _leaders(fingerprints: np.ndarray) -> np.ndarray:
    """The image (N,) that stands for each: the first one of the same hash if they are the same, or itself."""
    _, first, index = np.unique(fingerprint.hashes(fingerprints), return_index=True, return_inverse=True)
    leaders = first[index]
    is_same = np.einsum('nij,nij->n', fingerprints, fingerprints[leaders]) >= SAME
    return np.where(is_same, leaders, np.arange(len(fingerprints)))


def connect(number: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The group (N,) of each of `number` items, if the pairs first, second (P,) are together: its smallest item.

    Each item takes the smallest group of its pairs, then that of its group, until nothing changes.
    """
    group = np.arange(number)
    while True:
        before = group.copy()
        lower = np.minimum(group[first], group[second])
        for side in (first, second):
            np.minimum.at(group, group[side], lower)
            np.minimum.at(group, side, lower)
        group = group[group]
        if np.array_equal(group, before):
            return group
