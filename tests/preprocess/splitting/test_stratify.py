import numpy as np
import pytest

from preprocess.splitting import stratify

SHARES = np.array([0.7, 0.2, 0.1])


def made(rng, number, num_classes=5, most=1):
    """Groups of 1 to `most` images, with classes of which the last is rare."""
    sizes = rng.integers(1, most + 1, number)
    has = rng.random((number, num_classes)) < np.linspace(0.6, 0.05, num_classes)
    return np.concatenate([sizes[:, None], has * rng.integers(1, sizes + 1)[:, None]], 1)


def slow_give_out(counts, shares, fixed, seed):
    """The algorithm as the paper has it, number by number."""
    order = np.random.default_rng(seed).permutation(len(counts)).tolist()
    lacking = [[share * int(total) for total in counts.sum(0)] for share in shares]
    result = fixed.tolist()
    rest = [i for i in order if result[i] < 0]
    for i, split in enumerate(result):
        if split >= 0:
            lacking[split] = [a - b for a, b in zip(lacking[split], counts[i].tolist(), strict=True)]
    while rest:
        left = [sum(int(counts[i, c]) for i in rest) for c in range(counts.shape[1])]
        classes = [c for c in range(1, counts.shape[1]) if left[c]]
        column = min(classes, key=lambda c: left[c]) if classes else 0
        for i in sorted((i for i in rest if counts[i, column]), key=lambda i: -counts[i, column]):
            split = max(range(len(shares)), key=lambda s: (lacking[s][column], lacking[s][0]))
            result[i] = split
            lacking[split] = [a - b for a, b in zip(lacking[split], counts[i].tolist(), strict=True)]
        rest = [i for i in rest if result[i] < 0]
    return result


@pytest.mark.parametrize('seed', range(5))
def test_it_is_the_algorithm_of_the_paper(seed):
    rng = np.random.default_rng(seed)
    counts = made(rng, 60, most=1 + seed)
    fixed = np.where(rng.random(60) < 0.2, rng.integers(0, 3, 60), -1)
    assert stratify.give_out(counts, SHARES, fixed, seed).tolist() == slow_give_out(counts, SHARES, fixed, seed)


@pytest.mark.parametrize('most', [1, 5])
def test_each_split_has_its_share_of_images_and_of_every_class(most):
    counts = made(np.random.default_rng(0), 2000, most=most)
    splits = stratify.give_out(counts, SHARES, np.full(2000, -1), 0)
    shares = stratify.shared_out(counts, splits, 3) / counts.sum(0)
    assert np.abs(shares - SHARES[:, None])[:, 1:].max() < 0.01
    assert np.abs(shares[:, 0] - SHARES).max() < (0.01 if most == 1 else 0.05)  # classes come first
    drawn = stratify.shared_out(counts, np.random.default_rng(0).choice(3, 2000, p=SHARES), 3) / counts.sum(0)
    assert np.abs(drawn - SHARES[:, None])[:, 1:].max() > 0.03


def test_groups_with_a_split_keep_it_and_the_others_make_up_for_them():
    counts = made(np.random.default_rng(1), 1000)
    fixed = np.where(np.arange(1000) < 400, 0, -1)
    splits = stratify.give_out(counts, SHARES, fixed, 0)
    assert not splits[:400].any()
    assert np.abs(stratify.shared_out(counts, splits, 3)[:, 0] - 1000 * SHARES).max() < 10


def test_the_seed_decides_between_equal_groups():
    counts = np.ones((50, 2), int)
    fixed = np.full(50, -1)
    first, again, other = (stratify.give_out(counts, SHARES, fixed, seed).tolist() for seed in (0, 0, 1))
    assert first == again != other
    assert np.bincount(other).tolist() == [35, 10, 5]


def test_images_without_objects_have_their_shares_too():
    counts = np.ones((100, 1), int)
    assert np.bincount(stratify.give_out(counts, SHARES, np.full(100, -1), 0)).tolist() == [70, 20, 10]
    none = np.zeros((0, 3), int)
    assert stratify.give_out(none, SHARES, np.zeros(0, int), 0).tolist() == []
