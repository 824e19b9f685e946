"""Pairs of images that are nearly the same: the same file, compressed again, resized, mirrored, or slightly cropped.

Perceptual hashes that differ in few bits make a pair worth a look; the fingerprints decide. Hashes alone would also
pair images that have nothing in common but a bright sky.
"""

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np

from preprocess.leaks import fingerprint, hamming

MIN_SIMILARITY = 0.85  # correlation of two fingerprints: benchmarks/leak_search.py shows what it costs
CROP = 0.035  # share of each side: hashes are also those of images without it
CROPS = (0.0, 0.0175, 0.035, 0.0525)  # shares of a side that a crop may lack
AT_ONCE = 512  # pairs whose crops are in memory
MOST_PAIRS = 1_000_000
MOST_COMPARED = 4_000_000_000  # pairs of hashes; of different images 100,000 cost some millions


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Images that are alike, by index: first < second (P,), their similarity (P,), whether one is mirrored (P,) bool.

    The most similar ones are first. is_complete: no pair is missing because there were too many.
    """

    first: np.ndarray
    second: np.ndarray
    similarity: np.ndarray
    mirrored: np.ndarray
    is_complete: bool = True

    def __len__(self) -> int:
        return len(self.first)

    def where(self, chosen: np.ndarray) -> 'Pairs':
        """Those that a mask or an order (P,) chooses."""
        return Pairs(
            self.first[chosen],
            self.second[chosen],
            self.similarity[chosen],
            self.mirrored[chosen],
            self.is_complete,
        )


def find(fingerprints: np.ndarray, bits: int) -> Pairs:
    """The pairs of images that are nearly the same; fingerprints (N, 16, 16).

    bits: in how many of its 64 bits one's hash may differ from the other's, this one mirrored or cropped or neither.
    """
    none = np.zeros(0, np.int64)
    parts = [Pairs(none, none, np.zeros(0, np.float32), np.zeros(0, bool))]
    num_found, num_compared, is_complete = 0, 0, True
    for mirrored, (first, second, compared) in _candidates(fingerprints, bits):
        similarity = similarities(
            fingerprints[first], fingerprint.mirror(fingerprints[second]) if mirrored else fingerprints[second]
        )
        found = similarity >= MIN_SIMILARITY
        number = int(found.sum())
        parts.append(Pairs(first[found], second[found], similarity[found], np.full(number, mirrored)))
        num_found, num_compared = num_found + number, num_compared + compared
        if num_found > MOST_PAIRS or num_compared > MOST_COMPARED:
            is_complete = False
            break
    return _unique(parts, len(fingerprints), is_complete)


def _candidates(fingerprints: np.ndarray, bits: int) -> Iterator[tuple[bool, tuple[np.ndarray, np.ndarray, int]]]:
    """Pairs whose hashes are near: whether the second is mirrored, indices first < second, and how many were compared.

    A pair may come more than once.
    """
    hashes = fingerprint.hashes(fingerprints)
    for cropped, mirrored in itertools.product((False, True), repeat=2):
        changed = fingerprint.crop(fingerprints, CROP) if cropped else fingerprints
        queries = fingerprint.hashes(fingerprint.mirror(changed) if mirrored else changed)
        for query, found, compared in hamming.pairs_within(queries, hashes, bits):
            is_new = query != found if cropped else query < found
            pair = np.stack([query[is_new], found[is_new]])
            yield mirrored, (pair.min(0), pair.max(0), compared)


def _unique(parts: list[Pairs], number: int, is_complete: bool) -> Pairs:
    """All parts as one, each pair once with its greatest similarity, most similar first."""
    joined = Pairs(
        np.concatenate([part.first for part in parts]),
        np.concatenate([part.second for part in parts]),
        np.concatenate([part.similarity for part in parts]),
        np.concatenate([part.mirrored for part in parts]),
        is_complete,
    )
    order = np.lexsort((joined.mirrored, joined.second, joined.first, -joined.similarity))
    key = joined.first[order] * number + joined.second[order]
    _, kept = np.unique(key, return_index=True)  # the first of each key
    return joined.where(order[np.sort(kept)])


def similarities(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The correlation (P,) of fingerprints (P, 16, 16) each; the best crop of one or the other counts."""
    result = np.einsum('pij,pij->p', first, second)
    for pair in np.array_split(np.flatnonzero(result < MIN_SIMILARITY), max(1, len(result) // AT_ONCE)):
        cropped = [best_crop(first[pair], second[pair]), best_crop(second[pair], first[pair])]
        result[pair] = np.maximum(result[pair], np.max(cropped, 0))
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
