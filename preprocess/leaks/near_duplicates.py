"""Pairs of images that are nearly the same: the same file, compressed again, resized, mirrored, or slightly cropped.

Perceptual hashes that differ in few bits make a pair worth a look; the fingerprints decide. Hashes alone would also
pair images that have nothing in common but a bright sky.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator

import numpy as np

from preprocess.leaks import fingerprint, hamming

MIN_SIMILARITY = 0.85  # correlation of two fingerprints: benchmarks/leak_search.py shows what it costs
CROP = 0.035  # share of each side: hashes are also those of images without it
CROPS = (0.0, 0.0175, 0.035, 0.0525)  # shares of a side that a crop may lack
WORTH_CROPS = 0.75  # correlation with the other's middle, below which no crop is tried: copies have 0.78 and more
AT_ONCE = 8192  # pairs whose fingerprints are in memory
CROPS_AT_ONCE = 512  # pairs whose crops are in memory
MOST_PAIRS = 1_000_000  # within splits, and as many between them
MOST_CROPPED = 2000, 2  # pairs whose crops are tried, and more for each image: 0.2 ms a pair, so 0.4 ms an image
MOST_COMPARED = 4_000_000_000  # pairs of hashes; of different images 100,000 cost some millions


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Images that are alike, by index: first < second (P,), their similarity (P,), whether one is mirrored (P,) bool.

    The most similar ones are first. is_complete: no pair is missing because there were too many; has_all_crops: of each
    pair whose hashes are near and fingerprints are not, crops were tried, if that was any use.
    """

    first: np.ndarray
    second: np.ndarray
    similarity: np.ndarray
    mirrored: np.ndarray
    is_complete: bool = True
    has_all_crops: bool = True

    def __len__(self) -> int:
        return len(self.first)

    def where(self, chosen: np.ndarray) -> 'Pairs':
        """Those that a mask or an order (P,) chooses."""
        columns = {name: getattr(self, name)[chosen] for name in ('first', 'second', 'similarity', 'mirrored')}
        return dataclasses.replace(self, **columns)


class Effort:
    """What a search may still cost: pairs of hashes to compare, and pairs whose crops are tried."""

    def __init__(self, num_images: int) -> None:
        self.to_compare = MOST_COMPARED
        self.to_crop = MOST_CROPPED[0] + MOST_CROPPED[1] * num_images
        self.has_all_crops = True

    @property
    def is_spent(self) -> bool:
        """Whether the search ended before all hashes were compared."""
        return self.to_compare < 0

    def take_crops(self, pairs: np.ndarray) -> np.ndarray:
        """As many of these pairs as crops may be tried of."""
        taken = pairs[: self.to_crop]
        self.to_crop -= len(taken)
        self.has_all_crops &= len(taken) == len(pairs)
        return taken


def find(fingerprints: np.ndarray, bits: int, split_of: np.ndarray | None = None) -> Pairs:
    """The pairs of images that are nearly the same; fingerprints (N, 16, 16).

    bits: in how many of its 64 bits one's hash may differ from the other's, this one mirrored or cropped or neither.
    split_of (N,): pairs of two splits are counted by themselves, so that a video in one of them does not hide them.
    """
    split_of = np.zeros(len(fingerprints), np.int64) if split_of is None else split_of
    has_two = len(np.unique(split_of)) > 1
    none = np.zeros(0, np.int64)
    parts = [Pairs(none, none, np.zeros(0, np.float32), np.zeros(0, bool))]
    num_within = num_between = 0

    def is_wanted(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return (split_of[first] != split_of[second]) | (num_within <= MOST_PAIRS)

    effort = Effort(len(fingerprints))
    for pairs in scored(fingerprints, bits, is_wanted, effort):
        parts.append(pairs)
        between = int(np.count_nonzero(split_of[pairs.first] != split_of[pairs.second]))
        num_between, num_within = num_between + between, num_within + len(pairs) - between
        if num_between > MOST_PAIRS or (num_within > MOST_PAIRS and not has_two):
            break
    is_complete = max(num_between, num_within) <= MOST_PAIRS and not effort.is_spent
    return dataclasses.replace(
        _unique(parts, len(fingerprints)), is_complete=is_complete, has_all_crops=effort.has_all_crops
    )


def scored(
    fingerprints: np.ndarray, bits: int, is_wanted: Callable[[np.ndarray, np.ndarray], np.ndarray], effort: Effort
) -> Iterator[Pairs]:
    """The pairs that are alike, at most AT_ONCE at a time, until the effort is spent; a pair may come more than once.

    is_wanted: which pairs of two arrays of indices (P,) are looked at; it is asked again after each yield.
    """
    cropped = fingerprint.crop(fingerprints, CROP)
    for mirrored, (first, second, compared) in _candidates(fingerprints, cropped, bits):
        effort.to_compare -= compared
        for start in range(0, len(first), AT_ONCE):
            i, j = first[start : start + AT_ONCE], second[start : start + AT_ONCE]
            wanted = is_wanted(i, j)
            i, j = i[wanted], j[wanted]
            similarity = _similarities(fingerprints, cropped, (i, j), mirrored, effort)
            found = similarity >= MIN_SIMILARITY
            if found.any():
                yield Pairs(i[found], j[found], similarity[found], np.full(np.count_nonzero(found), mirrored))
        if effort.is_spent:
            return


def _candidates(
    fingerprints: np.ndarray, cropped: np.ndarray, bits: int
) -> Iterator[tuple[bool, tuple[np.ndarray, np.ndarray, int]]]:
    """Pairs whose hashes are near: whether the second is mirrored, indices first < second, and how many were compared.

    cropped: the fingerprints (N, 16, 16) without CROP. A pair may come more than once.
    """
    hashes = fingerprint.hashes(fingerprints)
    for changed, mirrored in itertools.product((fingerprints, cropped), (False, True)):
        queries = fingerprint.hashes(fingerprint.mirror(changed) if mirrored else changed)
        for query, found, compared in hamming.pairs_within(queries, hashes, bits):
            is_new = query != found if changed is cropped else query < found
            pair = np.stack([query[is_new], found[is_new]])
            yield mirrored, (pair.min(0), pair.max(0), compared)


def _unique(parts: list[Pairs], number: int) -> Pairs:
    """All parts as one, each pair once with its greatest similarity, most similar first."""
    joined = Pairs(
        np.concatenate([part.first for part in parts]),
        np.concatenate([part.second for part in parts]),
        np.concatenate([part.similarity for part in parts]),
        np.concatenate([part.mirrored for part in parts]),
    )
    order = np.lexsort((joined.mirrored, joined.second, joined.first, -joined.similarity))
    key = joined.first[order] * number + joined.second[order]
    _, kept = np.unique(key, return_index=True)  # the first of each key
    return joined.where(order[np.sort(kept)])


def _similarities(
    fingerprints: np.ndarray, cropped: np.ndarray, pairs: tuple[np.ndarray, np.ndarray], mirrored: bool, effort: Effort
) -> np.ndarray:
    """The correlation (P,) of the fingerprints of pairs, the second mirrored or not; the best crop of one counts.

    The crop in the middle, which costs little, says whether others are worth a try.
    """
    first, second = fingerprints[pairs[0]], fingerprints[pairs[1]]
    second = fingerprint.mirror(second) if mirrored else second
    result = np.einsum('pij,pij->p', first, second)
    unlike = np.flatnonzero(result < MIN_SIMILARITY)
    first, second = first[unlike], second[unlike]
    inner, other = cropped[pairs[0][unlike]], cropped[pairs[1][unlike]]
    other = fingerprint.mirror(other) if mirrored else other
    middle = np.maximum(np.einsum('pij,pij->p', inner, second), np.einsum('pij,pij->p', first, other))
    result[unlike] = np.maximum(result[unlike], middle)
    tried = effort.take_crops(np.flatnonzero(middle >= WORTH_CROPS))
    for start in range(0, len(tried), CROPS_AT_ONCE):
        pair = tried[start : start + CROPS_AT_ONCE]
        best = np.maximum(best_crop(first[pair], second[pair]), best_crop(second[pair], first[pair]))
        result[unlike[pair]] = np.maximum(result[unlike[pair]], best)
    return result


_SHARES = tuple(itertools.product(CROPS, repeat=2))
_MATRICES = np.stack([fingerprint.crop_matrix(*shares) for shares in _SHARES])  # (C, 16, 16)
_MIDDLE = fingerprint.crop_matrix(CROP, CROP)


def best_crop(whole: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The best correlation (P,) of crops of fingerprints `whole` with `other`, both (P, 16, 16).

    Tries the crops at top and bottom, and with the best of these those at left and right.
    """
    frequencies = whole / np.maximum(fingerprint.FREQUENCY, 1)
    pair = np.arange(len(whole))
    rows = np.tensordot(_MATRICES, frequencies, axes=(2, 1)).transpose(2, 0, 1, 3)  # (P, C, 16, 16)
    best = _correlations(rows @ _MIDDLE.T, other).argmax(1)  # (P,)
    both = np.tensordot(rows[pair, best], _MATRICES, axes=(2, 2)).transpose(0, 2, 1, 3)  # (P, C, 16, 16)
    return _correlations(both, other).max(1, initial=-1)


def _correlations(crops: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The correlation (P, C) of frequencies of crops (P, C, 16, 16) with fingerprints (P, 16, 16)."""
    weighted = crops * fingerprint.FREQUENCY
    length = np.sqrt(np.einsum('pcij,pcij->pc', weighted, weighted))
    return np.einsum('pcij,pij->pc', weighted, other) / np.maximum(length, 1e-9)
