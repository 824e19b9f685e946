"""Pairs of boxes and their candidates as arrays, without a loop over boxes and few enough at a time for the memory."""

from collections.abc import Iterator

import numpy as np

PAIRS_AT_ONCE = 500_000  # that are compared at a time


def few_pairs_at_once(count: np.ndarray) -> list[np.ndarray]:
    """The detections that have candidates, in parts (N,) of about PAIRS_AT_ONCE candidates each."""
    detections = np.flatnonzero(count)
    if not len(detections):
        return []
    part = np.cumsum(count[detections]) // PAIRS_AT_ONCE
    return np.split(detections, np.flatnonzero(np.diff(part)) + 1)


def pairs_of(objects: np.ndarray, start: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All P pairs of a detection and a candidate behind one another: the numbers of both, (P,) and (P,).

    The candidates of each detection are objects[start:start + count]; start (D,), count (D,) of one or more.
    """
    first_pair = np.cumsum(count) - count
    detection = np.repeat(np.arange(len(count)), count)
    return detection, objects[np.arange(len(detection)) + (start - first_pair)[detection]]


def pairs_in_parts(
    objects: np.ndarray, start: np.ndarray, count: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The pairs of `pairs_of`, in parts of about PAIRS_AT_ONCE; a detection may have no candidate."""
    for part in few_pairs_at_once(count):
        detection, candidate = pairs_of(objects, start[part], count[part])
        yield part[detection], candidate
