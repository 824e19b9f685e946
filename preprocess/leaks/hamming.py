"""All pairs of 64-bit hashes that differ in few bits, without comparing each with each: multi-index hashing.

Two hashes that differ in at most 4 r + 3 of 64 bits differ in at most r bits of one of their four parts of 16 bits. So
the hashes are sorted by each part, and looked up there under all values that differ in up to r bits. (Norouzi, Punjani,
Fleet: Fast Search in Hamming Space with Multi-Index Hashing, CVPR 2012.)
"""

from collections.abc import Iterator

import numpy as np

from preprocess.settings import MOST_LEAK_DISTANCE

PARTS = 4
MOST_BITS = MOST_LEAK_DISTANCE  # with r = 2: 137 values are looked up in each part
AT_ONCE = 1 << 21  # candidates in memory
_VALUES = np.arange(1 << 16, dtype=np.uint16)
_NUM_BITS = np.unpackbits(_VALUES.view(np.uint8).reshape(-1, 2), axis=1).sum(1, dtype=np.uint8)  # of each value


def distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """In how many bits hashes (N,) uint64 differ from others (N,), by part: (N, 4) uint8."""
    return _NUM_BITS[(first ^ second).view(np.uint16).reshape(-1, PARTS)]


def pairs_within(queries: np.ndarray, hashes: np.ndarray, bits: int) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """The pairs of queries (Q,) uint64 and hashes (N,) uint64 that differ in at most `bits` <= 11 bits, each once.

    Yields, now and then, indices (P,) of queries, indices (P,) of hashes, and how many pairs were compared for them.
    """
    if not 0 <= bits <= MOST_BITS:
        raise ValueError(f'bits={bits}: 0 to {MOST_BITS}')
    most = bits // PARTS  # in one of the parts
    flips = _VALUES[np.argsort(_NUM_BITS, kind='stable')][: int(np.count_nonzero(most >= _NUM_BITS))]
    for part in range(PARTS):
        there = hashes.view(np.uint16).reshape(-1, PARTS)[:, part]
        order = np.argsort(there, kind='stable')
        starts = np.searchsorted(there[order], np.arange((1 << 16) + 1))  # of each value
        asked = queries.view(np.uint16).reshape(-1, PARTS)[:, part]
        for flip in flips:
            wanted = (asked ^ flip).astype(np.int64)
            for query, place in _expand(starts[wanted], starts[wanted + 1]):
                found = order[place]
                differing = distances(queries[query], hashes[found])
                is_near = differing.sum(1) <= bits
                is_near &= (differing[:, :part] > most).all(1)  # or an earlier part found the pair already
                yield query[is_near], found[is_near], len(query)


def _expand(starts: np.ndarray, ends: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All places of ranges [starts, ends) (Q,): the index of the range and the place, about AT_ONCE at a time."""
    counts = ends - starts
    total = np.concatenate([[0], np.cumsum(counts)])  # before each range
    low = 0
    while low < len(starts):
        high = max(low + 1, int(np.searchsorted(total, total[low] + AT_ONCE, 'right')) - 1)
        index = np.repeat(np.arange(low, high), counts[low:high])
        yield index, np.arange(total[low], total[high]) - total[index] + starts[index]
        low = high
