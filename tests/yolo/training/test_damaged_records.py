"""Training and its evaluations on records of which one is damaged: one line with the file, also in run.json."""

import json

import pytest
from conftest import write_records
from training_runs import make_small_config

from yolo.training import distribution, loop


@pytest.mark.parametrize('split', ['train', 'test'])
def test_a_damaged_record_ends_a_run_with_its_name(tmp_path, split):
    folder = write_records(tmp_path / 'data')
    path = tmp_path / f'data/{split}.tfrecord-00000-of-00002'
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    config = make_small_config(folder, tmp_path / 'run', eval_split='test', eval_every=2, steps_per_loop=2)
    message = rf'^{path}, record \d: is damaged after byte [\d,]+; `python -m preprocess verify --data_dir={folder}`'
    with pytest.raises(ValueError, match=message):
        loop.train(config, distribution.make_strategy('one_device', ['CPU:0']))
    assert str(path) in json.loads((tmp_path / 'run/run.json').read_text())['reason']
