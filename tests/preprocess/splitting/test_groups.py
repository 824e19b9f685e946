import numpy as np
import pytest

from preprocess.splitting import groups


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
        assert groups.connect(40, first, second).tolist() == slow_groups(40, zip(first, second, strict=True))


def test_a_long_chain_in_any_order_is_one_group():
    order = np.random.default_rng(0).permutation(20_000)
    assert not groups.connect(20_000, order[:-1], order[1:]).any()


def test_names_by_an_expression():
    ids = ['cam1/a_001', 'cam2/a_001', 'cam1/a_002', 'other', 'cam1/b_001']
    first, second = groups.pairs_by_name(ids, r'^(.*)_\d+$')
    assert groups.connect(5, first, second).tolist() == [0, 1, 0, 3, 4]
    first, second = groups.pairs_by_name(ids, r'^cam\d')
    assert groups.connect(5, first, second).tolist() == [0, 1, 0, 3, 0]
    first, second = groups.pairs_by_name(ids, r'(cam1/)?._001')  # its first group, or all where that has no part
    assert groups.connect(5, first, second).tolist() == [0, 1, 2, 3, 0]


def test_expressions_that_make_no_sense():
    with pytest.raises(ValueError, match=r'--group_by=\(: not a regular expression: .*'):
        groups.pairs_by_name(['a'], '(')
    with pytest.raises(ValueError, match="--group_by=x: it is found in no image id, such as 'a'"):
        groups.pairs_by_name(['a', 'b'], 'x')
