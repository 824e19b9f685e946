"""`train.py` on records whose description or manifest cannot be true: one line and status 1, and nothing is begun."""

import json

import pytest
from conftest import SMALL, write_records

import train
from yolo.cli import flags


@pytest.mark.parametrize(
    ('name', 'place', 'value', 'said'),
    [
        ('dataset.json', ('splits', 'train', 'num_images'), -1, 'splits.train.num_images is -1: must be 0 or more'),
        ('dataset.json', ('resize',), 'bogus', "resize is 'bogus': not one of stretch, letterbox"),
        ('dataset.json', ('classes',), ['dark', 'dark'], "classes has 'dark' twice"),
        ('manifest.json', ('shards', 'train.tfrecord-00000-of-00002', 'num_images'), 5, 'counts 9 images in split'),
    ],
)
def test_train_refuses_what_cannot_be_true(tmp_path, capfd, name, place, value, said):
    folder = write_records(tmp_path / 'data')
    path = tmp_path / 'data' / name
    fields = json.loads(path.read_text())
    part = fields
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    path.write_text(json.dumps(fields))
    words = (f'--data_dir={folder}', '--train_split=train', f'--model_dir={tmp_path}/run', f'--model={SMALL}')
    with pytest.raises(SystemExit) as ended:
        flags.run(
            train.COMMAND,
            ['train.py', *words, '--strategy=one_device', '--nojit_compile', '--num_steps=1', '--batch_size=4'],
        )
    assert ended.value.code == 1
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith(f'train.py: {path}')
    assert said in last
    assert '--overwrite' in last
    assert not (tmp_path / 'run').exists()
