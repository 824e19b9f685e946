import numpy as np
import pytest

from preprocess.leaks import fingerprint, grouping, near_duplicates

BITS = 7


def slow_groups(number, pairs):
    """The same by the definition: what can be reached from each item, its smallest."""
    near = {i: {i} for i in range(number)}
    for i, j in pairs:
        near[i].add(j)
        near[j].add(i)
    result = []
    for start in range(number):
        seen, rest = {start}, [start]
        while rest:
            new = near[rest.pop()] - seen
            seen |= new
            rest += new
        result.append(min(seen))
    return result


@pytest.mark.parametrize('num_pairs', [0, 5, 20, 40, 80])
def test_groups_are_what_pairs_reach(num_pairs):
    rng = np.random.default_rng(num_pairs)
    for _ in range(20):
        first, second = rng.integers(0, 40, (2, num_pairs))
        assert grouping.connect(40, first, second).tolist() == slow_groups(40, zip(first, second, strict=True))


def test_a_long_chain_in_any_order_is_one_group():
    order = np.random.default_rng(0).permutation(20_000)
    assert not grouping.connect(20_000, order[:-1], order[1:]).any()


def scenes(rng, number, each, noise=0.5):
    """Fingerprints of `number` scenes with `each` frames, one after the other; noise: what frames differ by."""
    middle = np.repeat(fingerprint.normalize(rng.normal(size=(number, 16, 16))), each, axis=0)
    frames = middle + noise / 16 * rng.normal(size=middle.shape)
    return fingerprint.normalize(frames.astype(np.float32))


@pytest.mark.parametrize('noise', [0.05, 0.2, 0.38])
def test_groups_are_what_all_pairs_reach(noise):
    fingerprints = scenes(np.random.default_rng(0), 12, 15, noise)
    pairs = near_duplicates.find(fingerprints, BITS)
    assert len(pairs) > 100
    group, is_complete = grouping.group(fingerprints, BITS)
    assert group.tolist() == slow_groups(len(group), zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    assert is_complete


def test_more_pairs_than_a_list_may_have_are_no_hindrance(monkeypatch):
    """Frames of a fixed camera; each pair is compared by its hash, and few by their fingerprints."""
    monkeypatch.setattr(near_duplicates, 'MOST_PAIRS', 1000)
    monkeypatch.setattr(near_duplicates, 'AT_ONCE', 500)
    fingerprints = scenes(np.random.default_rng(0), 2, 300, 0.2)
    assert not near_duplicates.find(fingerprints, BITS).is_complete
    group, is_complete = grouping.group(fingerprints, BITS)
    assert group.tolist() == [0] * 300 + [300] * 300
    assert is_complete
    monkeypatch.setattr(near_duplicates, 'MOST_COMPARED', 1000)
    assert not grouping.group(fingerprints, BITS)[1]


def test_no_images_are_no_groups():
    assert grouping.group(np.zeros((0, 16, 16), np.float32), BITS)[0].tolist() == []
