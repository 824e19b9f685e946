import pytest

from preprocess.leaks import grouping
from preprocess.splitting import groups


def test_names_by_an_expression():
    ids = ['cam1/a_001', 'cam2/a_001', 'cam1/a_002', 'other', 'cam1/b_001']
    first, second = groups.pairs_by_name(ids, r'^(.*)_\d+$')
    assert grouping.connect(5, first, second).tolist() == [0, 1, 0, 3, 4]
    first, second = groups.pairs_by_name(ids, r'^cam\d')
    assert grouping.connect(5, first, second).tolist() == [0, 1, 0, 3, 0]
    first, second = groups.pairs_by_name(ids, r'(cam1/)?._001')  # its first group, or all where that has no part
    assert grouping.connect(5, first, second).tolist() == [0, 1, 2, 3, 0]


def test_expressions_that_make_no_sense():
    with pytest.raises(ValueError, match=r'--group_by=\(: not a regular expression: .*'):
        groups.pairs_by_name(['a'], '(')
    with pytest.raises(ValueError, match="--group_by=x: it is found in no image id, such as 'a'"):
        groups.pairs_by_name(['a', 'b'], 'x')
