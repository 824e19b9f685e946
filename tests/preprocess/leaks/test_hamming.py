import numpy as np
import pytest

from preprocess.leaks import hamming


def slow_pairs(queries, hashes, bits):
    """The same pairs from the definition: one after the other, bit by bit."""
    return {
        (i, j)
        for i, query in enumerate(queries.tolist())
        for j, other in enumerate(hashes.tolist())
        if bin(query ^ other).count('1') <= bits
    }


def found_pairs(queries, hashes, bits):
    """All pairs, each of which comes once, and how many were compared for them."""
    results = list(hamming.pairs_within(queries, hashes, bits))
    pairs = [pair for query, found, _ in results for pair in zip(query.tolist(), found.tolist(), strict=True)]
    assert len(set(pairs)) == len(pairs)
    return set(pairs), sum(compared for _, _, compared in results)


def near(rng, hashes, most):
    """The hashes with 0 to `most` bits flipped, anywhere."""
    flips = [sum(1 << int(bit) for bit in rng.permutation(64)[: rng.integers(0, most + 1)]) for _ in hashes]
    return hashes ^ np.array(flips, np.uint64)


@pytest.mark.parametrize('bits', range(hamming.MOST_BITS + 1))
def test_every_pair_within_the_distance_is_found_once(bits):
    rng = np.random.default_rng(bits)
    hashes = rng.integers(0, 1 << 64, 60, dtype=np.uint64)
    queries = np.concatenate([near(rng, hashes, bits + 2), hashes[:5], rng.integers(0, 1 << 64, 9, dtype=np.uint64)])
    pairs, compared = found_pairs(queries, hashes, bits)
    assert pairs == slow_pairs(queries, hashes, bits)
    assert len(pairs) > 30
    assert compared >= len(pairs)


def test_bits_may_differ_all_in_one_part_or_spread_over_all():
    base = np.array([0x0123456789ABCDEF], np.uint64)
    for flip in (0x7FF, 0x7FF << 53, 0x0007000700070003, 0x0003000700070007):
        assert found_pairs(base ^ np.uint64(flip), base, 11)[0] == {(0, 0)}
        assert found_pairs(base ^ np.uint64(flip), base, 10)[0] == set()


def test_few_of_many_hashes_are_compared_and_few_at_a_time(monkeypatch):
    monkeypatch.setattr(hamming, 'AT_ONCE', 50)
    hashes = np.random.default_rng(0).integers(0, 1 << 64, 3000, dtype=np.uint64)
    results = list(hamming.pairs_within(hashes, hashes, 3))
    assert sum(len(query) for query, _, _ in results) == 3000
    assert sum(compared for _, _, compared in results) < 3000 * 3000 / 100
    assert max(compared for _, _, compared in results) <= 50


def test_the_same_hash_many_times_is_every_pair():
    hashes = np.full(40, 7, np.uint64)
    assert len(found_pairs(hashes, hashes, 0)[0]) == 1600
    assert found_pairs(hashes[:0], hashes, 4)[0] == set()
    assert found_pairs(hashes, hashes[:0], 4)[0] == set()


@pytest.mark.parametrize('bits', [-1, 12])
def test_other_distances_are_refused(bits):
    hashes = np.zeros(1, np.uint64)
    with pytest.raises(ValueError, match=f'bits={bits}: 0 to 11'):
        next(hamming.pairs_within(hashes, hashes, bits))
