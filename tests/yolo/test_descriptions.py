"""The strict reader: types, bounds, older files, and files that would cost memory or time."""

import dataclasses
import json
import os
import time

import pytest

from yolo import descriptions, storage
from yolo.data import records
from yolo.settings import recorded, setting


@dataclasses.dataclass(frozen=True)
class Part:
    number: int = recorded(low=0)
    share: float | None = recorded(None, low=0, high=1)


@dataclasses.dataclass(frozen=True)
class Example:
    name: str
    count: int = setting(3, 'How many.', low=1, high=9)
    rate: float = setting(0.5, 'How fast.')
    kind: str = setting('a', 'Which.', choices=('a', 'b'))
    steps: tuple[int, ...] = setting(None, 'When.', low=0, unset='never')
    span: tuple[float, int] = setting((1.0, 2), 'From, to.')
    sizes: tuple[tuple[int, int], ...] = recorded(((32, 32),))
    is_on: bool = setting(False, 'On.')
    parts: dict[str, Part] = dataclasses.field(default_factory=dict)
    free: dict = dataclasses.field(default_factory=dict)


def read(tmp_path, text: str | bytes) -> Example:
    path = tmp_path / 'example.json'
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return descriptions.read(str(path), Example, 'an example', 'write it again')


FULL = Example('é', 4, 2.0, 'b', (1, 2), (1.5, 2), ((64, 32),), True, {'x y': Part(1, 0.5), 'z': Part(0)}, {'a': [1]})


def test_what_is_written_is_read_back(tmp_path):
    assert read(tmp_path, json.dumps(dataclasses.asdict(FULL))) == FULL
    assert read(tmp_path, '\ufeff' + json.dumps(dataclasses.asdict(FULL), ensure_ascii=False, indent=1)) == FULL


def test_fields_that_an_old_file_lacks_take_their_defaults(tmp_path):
    assert read(tmp_path, '{"name": "n"}') == Example('n')
    assert read(tmp_path, '{"name": "n", "steps": null, "rate": 2}') == Example('n', rate=2.0)


@pytest.mark.parametrize(
    ('fields', 'reason'),
    [
        ('[]', r'all of it is \[\], not an object'),
        ('{}', 'name is missing'),
        ('{"name": 1}', 'name is 1, not a text'),
        ('{"name": null}', 'name is None, not a text'),
        ('"speed": 5', 'speed: no such field'),
        ('"count": true', 'count is True, not a whole number'),
        ('"count": 3.0', r'count is 3\.0, not a whole number'),
        ('"count": 10', 'count is 10: must be 9 or less'),
        ('"count": 1' + 50 * '0', r'count is 10+\.\.\.0+, a number of more than 64 bits'),
        ('"count": 1' + 200 * '0', 'a number has 201 digits'),
        ('"rate": "1"', "rate is '1', not a finite number"),
        ('"rate": NaN', 'rate is nan, not a finite number'),
        ('"rate": -Infinity', 'rate is -inf, not a finite number'),
        ('"rate": 1e999', 'rate is inf, not a finite number'),
        ('"kind": "c"', "kind is 'c': not one of a, b"),
        ('"steps": 1', 'steps is 1, not a list'),
        ('"steps": [1, -1]', r'steps is \[1, -1\]: must be 0 or more'),
        ('"span": [1.0]', 'span has 1 values, not 2'),
        ('"sizes": [[1, 2], [3, "4"]]', r"sizes\[1\]\[1\] is '4', not a whole number"),
        ('"is_on": 1', 'is_on is 1, not true or false'),
        ('"parts": {"x": {"number": -1}}', r'parts\.x\.number is -1: must be 0 or more'),
        ('"parts": {"x": {"number": 1, "share": 2}}', r'parts\.x\.share is 2: must be 1 or less'),
        ('"parts": {"x": {}}', r'parts\.x\.number is missing'),
        ('"parts": {"\\n": 0}', r"parts\.'\\n' is 0, not an object"),
        ('"free": []', r'free is \[\], not an object'),
        ('"free": {"x": [NaN]}', 'free is nan, not a finite number'),
        ('"free": {"x": ' + 40 * '[' + 40 * ']' + '}', 'the lists and objects in free are nested too deeply'),
        ('"count": 3, "count": 4', "the name 'count' stands twice in one object"),
    ],
)
def test_a_wrong_field_is_named_with_its_value(tmp_path, fields, reason):
    text = fields if fields[0] in '{[' else f'{{"name": "n", {fields}}}'
    with pytest.raises(ValueError, match=rf'example\.json: not an example .*\({reason}.*\); write it again$') as caught:
        read(tmp_path, text)
    assert '\n' not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize('data', [b'', b'\xff\xfe', b'{', b'{"a": }', b'\0' * 100, 'ä'.encode('latin-1')])
def test_what_is_not_json_is_refused(tmp_path, data):
    with pytest.raises(ValueError, match=r'example\.json: not an example that this version reads \(.+\); write it'):
        read(tmp_path, data)


def test_a_field_that_a_command_cannot_run_without_cannot_be_missing():
    @dataclasses.dataclass(frozen=True)
    class Needy:
        path: str = setting(None, 'A path.', required=True)

    for value in ({}, {'path': None}):
        with pytest.raises(ValueError, match='path is '):
            descriptions.build(Needy, value)


@pytest.mark.parametrize('opening', ['[', '{"a":'])
def test_depth_costs_neither_time_nor_memory(tmp_path, opening):
    since = time.monotonic()
    with pytest.raises(ValueError, match='nested too deeply'):
        read(tmp_path, opening * 1_000_000)
    assert time.monotonic() - since < 10


def test_a_file_that_is_too_long_is_not_even_read(tmp_path):
    path = tmp_path / 'example.json'
    with open(path, 'wb') as file:
        file.truncate(1 << 40)  # a tebibyte of zeros that takes no space
    with pytest.raises(ValueError, match=r'it has 1,099,511,627,776 bytes, more than 33,554,432'):
        descriptions.read(str(path), Example, 'an example', 'write it again')


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / 'endless').symlink_to('/dev/zero')
    for name in ('pipe', 'endless', '.'):
        with pytest.raises(ValueError, match='it is not a regular file'):
            descriptions.read(str(tmp_path / name), Example, 'an example', 'write it again')


def test_files_of_other_file_systems_are_read(tmp_path):
    storage.write(f'ram://{tmp_path}.json', json.dumps(dataclasses.asdict(FULL)))
    assert descriptions.read(f'ram://{tmp_path}.json', Example, 'an example', 'write it again') == FULL


@pytest.mark.slow
def test_the_longest_manifest_is_read(tmp_path):
    """One split of as many shards as names can number."""
    shards = {
        os.path.basename(records.shard_path('', 'trainval', number, 99_999)): records.ShardFile(
            10**6, 10**12, 2**32 - 1
        )
        for number in range(99_999)
    }
    records.write_manifest(str(tmp_path), records.Manifest({}, shards))
    assert os.path.getsize(tmp_path / 'manifest.json') < descriptions.MOST_BYTES / 2
    assert records.read_manifest(str(tmp_path)).shards == shards
