"""Hostile files and flags, some hundreds of each kind; `python benchmarks/hostile.py` runs them by the thousand."""

import collections

import pytest

from benchmarks import hostile

# Cases of a kind: as many as take about twenty seconds of a processor.
CASES = {
    'xml': 300,
    'source': 300,
    'image': 300,
    'npz': 300,
    'list': 200,
    'shard': 200,
    'json': 300,
    'video': 100,
    'flag': 300,
    'cfg': 300,
    'weights': 300,
    'checkpoint': 200,
    'keras': 200,
}
SECONDS = 120  # a busy machine is no hang


@pytest.fixture(scope='module')
def project(tmp_path_factory):
    """The project to damage."""
    folder = tmp_path_factory.mktemp('hostile')
    hostile.make_fixture(folder)
    return folder


def test_every_kind_has_its_cases():
    assert tuple(CASES) == hostile.KINDS


@pytest.mark.slow
@pytest.mark.parametrize('kind', CASES)
def test_what_is_damaged_is_named_and_nothing_breaks(project, kind):
    results = list(hostile.run(project, [kind], CASES[kind], seconds=SECONDS))
    assert [result.seed for result in results] == list(range(CASES[kind]))
    failures = [result for result in results if result.outcome in hostile.FAILURES]
    assert not failures, hostile.format_failures(failures, 1)
    outcomes = collections.Counter(result.outcome for result in results)
    assert outcomes.keys() <= {'good', 'refused'}
    assert outcomes['good'] < len(results)


@pytest.mark.slow
def test_each_way_to_break_is_seen(tmp_path):
    (tmp_path / 'made').touch()
    results = list(hostile.run(tmp_path, ['broken'], 24, seed=30, seconds=8))
    assert [result.seed for result in results] == list(range(30, 54))
    said = {outcome: [r.said for r in results if r.outcome == outcome] for outcome in {r.outcome for r in results}}
    assert set(said) == {'traceback', 'hang', 'memory', 'silent', 'refused'}
    assert any('KeyError' in each for each in said['traceback'])
    assert any('SIGABRT' in each for each in said['traceback'])
    assert set(said['silent']) == {'a checksum fails'}
    assert all(each.startswith('RefusedError: preprocess verify: ') for each in said['refused'])
    assert '2.5 GiB' in said['memory'][0]
    table = hostile.format_table(results)
    assert table.splitlines()[-1].split()[:2] == ['all', '24']
    assert 'python benchmarks/hostile.py --kinds=broken --seed=' in hostile.format_failures(results, 1)


@pytest.mark.slow
def test_a_case_is_a_function_of_its_seed(project):
    first, second = (list(hostile.run(project, ['xml', 'json'], 10, seed=40)) for _ in range(2))
    assert [(r.kind, r.seed, r.outcome) for r in first] == [(r.kind, r.seed, r.outcome) for r in second]
    assert [(r.kind, r.seed) for r in first[9:11]] == [('xml', 49), ('json', 40)]
