"""Files that describe something, damaged at random and on purpose: one line that names them, never anything else."""

import copy
import json
import pathlib
import random
import shutil
from collections.abc import Callable

import numpy as np
import pytest
from conftest import DATA

from preprocess import resume, statistics
from yolo.data import records
from yolo.data.problems import LEFT_OUT_BOX, NOTED, Problem
from yolo.models import model_folder
from yolo.training import config_file, run_folder

OLD = DATA / 'version_0_1'
CASES = 60  # of each kind of damage and each file
VALUES = (None, True, 0, -1, 2**31, -(2**63), 10**30, 0.5, float('nan'), float('inf'), '', 'bogus', '\n', [], {}, [[]])


def read_note(folder: str):
    """The note of a finished shard; damaged notes are said on stderr, so the reader below them is called."""
    path = f'{folder}/a.tfrecord-00000-of-00001'
    return resume.read_note(path)


READERS: dict[str, tuple[str, Callable]] = {
    'records/dataset.json': ('dataset.json', records.read_description),
    'records/manifest.json': ('manifest.json', records.read_manifest),
    'run/config.json': ('config.json', config_file.read_config),
    'run/model.json': ('model.json', model_folder.read_info),
    'run/run.json': ('run.json', lambda folder: run_folder.read_run(f'{folder}/run.json')),
    'note': ('progress/a.tfrecord-00000-of-00001.json', read_note),
}


@pytest.fixture(params=list(READERS))
def damaged(request, tmp_path) -> tuple[pathlib.Path, Callable]:
    """A copy of a file of version 0.1, or a note of today, and what reads its folder."""
    name, read = READERS[request.param]
    if request.param == 'note':
        shard, summary = records.ShardFile(3, 1000, 7), resume.Summary(3, 1, 1, 2, lengths=[300, 300, 352])
        summary.objects.update({'cat': 2, 'é': 1})
        summary.objects_per_image.update({0: 1, 1: 1, 2: 1})
        summary.statistics = statistics.gather(three_images(), ('cat', 'é'), np.ones((2, 2)), (64, 64))
        summary.problems += [Problem('a', 'x', NOTED, 'why'), Problem('a', 'y', LEFT_OUT_BOX, 'so')]
        resume.note(str(tmp_path / 'a.tfrecord-00000-of-00001'), shard, summary)
        assert resume.read_note(str(tmp_path / 'a.tfrecord-00000-of-00001')) == resume.Note(shard, summary)
    else:
        shutil.copy(OLD / request.param, tmp_path / name)
    read(str(tmp_path))
    return tmp_path / name, lambda: read(str(tmp_path))


def three_images() -> list[records.Record]:
    """Without an object, with a cat, and with both classes."""
    boxes, places = np.array([[0.1, 0.1, 0.4, 0.3], [0.5, 0.5, 0.9, 0.8]], np.float32), np.array([[0, 0, 0], [1, 1, 1]])
    return [
        records.Record(f'{n}', b'', (64, 64), boxes[:n], np.arange(n), np.zeros(n, bool), places[:n]) for n in range(3)
    ]


def check_refused(path: pathlib.Path, read: Callable, must_fail: bool) -> bool:
    """Whether it is refused, which must be in one short line that begins with the file."""
    try:
        read()
    except ValueError as error:
        text = str(error)
        assert text.startswith(f'{path}: not a')
        assert '\n' not in text
        assert len(text) < 500
        return True
    assert not must_fail, path.read_bytes()[:300]
    return False


def places(value, here=()) -> list[tuple]:
    """The paths of all values in a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(*here, key) for key, _ in inside] + [place for key, item in inside for place in places(item, (*here, key))]


def test_fields_of_other_types_and_values(damaged):
    path, read = damaged
    rng, whole = random.Random(0), json.loads(path.read_text())
    refused = 0
    for _ in range(4 * CASES):
        value = copy.deepcopy(whole)
        *above, last = rng.choice(places(value))
        part = value
        for key in above:
            part = part[key]
        if rng.random() < 0.2:
            del part[last]
        else:
            part[last] = rng.choice(VALUES)
        path.write_text(json.dumps(value))
        refused += check_refused(path, read, must_fail=False)
    assert refused >= CASES / 2  # values of another type can only be right in parts whose fields are not declared


def test_cut_off_and_flipped_and_noise(damaged):
    path, read = damaged
    rng, whole = random.Random(1), path.read_bytes()
    for _ in range(CASES):
        path.write_bytes(whole[: rng.randrange(len(whole.rstrip()))])
        check_refused(path, read, must_fail=True)
        path.write_bytes(rng.randbytes(rng.randrange(1, 400)))
        check_refused(path, read, must_fail=True)
        data = bytearray(whole)
        for _ in range(rng.randrange(1, 5)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        check_refused(path, read, must_fail=False)


def test_names_twice_and_unknown_names_and_depth(damaged):
    path, read = damaged
    whole = path.read_text()
    first = next(iter(json.loads(whole)))
    for text in (
        f'{{"{first}": 0, {whole.lstrip()[1:]}',
        f'{{"nothing": 0, {whole.lstrip()[1:]}',
        f'{{"nothing": {100_000 * "["}, {whole.lstrip()[1:]}',
        100_000 * '{"a":',
        '[' + 5000 * '9' + ']',
        '{}',
        'null',
        '"text"',
    ):
        path.write_text(text)
        check_refused(path, read, must_fail=True)
    path.unlink()
    path.mkdir()
    check_refused(path, read, must_fail=True)


def test_a_shard_with_a_damaged_note_is_not_finished(tmp_path, capsys):
    shard = tmp_path / 'a.tfrecord-00000-of-00001'
    shard.write_bytes(b'')
    written = records.ShardFile(0, *records.checksum(str(shard)))
    resume.note(str(shard), written, resume.Summary())
    assert resume.finished(str(shard)) == (written, resume.Summary())
    path = tmp_path / 'progress/a.tfrecord-00000-of-00001.json'
    path.write_text(path.read_text().replace('"num_images": 0', '"num_images": 7'))
    assert resume.finished(str(shard)) is None
    said = capsys.readouterr().err
    assert said.startswith(f'{path}: not a note that this version reads (summary.num_images counts 7, the rest of ')
    assert said.endswith(f'; {shard} is written again\n')
