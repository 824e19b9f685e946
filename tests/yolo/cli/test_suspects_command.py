"""`yolo suspects` and `eval.py --suspects`, `--held_out`: as processes, and what they refuse."""

import csv
import json
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT, write_records
from test_commands import SMALL_RUN, call, process  # noqa: F401

from yolo.evaluation import result

SPLIT_FLAGS = tuple(word for word in SMALL_RUN if not word.startswith('--train_split'))
NUM = 12


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_records(tmp_path_factory.mktemp('suspects') / 'data', num_images=NUM)


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (('--folds=13',), '--folds=13: the split has only 12 images'),
        (('--split=other',), "no split 'other'"),
        (('--folds=1',), 'folds'),
    ],
)
def test_what_cannot_be_divided_is_refused_before_anything_is_trained(call, data, tmp_path, words, message):  # noqa: F811
    status, text = call('suspects', f'--data_dir={data}', '--split=train', f'--out_dir={tmp_path}/out', *words)
    assert status == 1
    assert message in text
    assert not (tmp_path / 'out').exists()


@pytest.mark.slow
def test_the_command_goes_on_after_a_signal_and_looks_at_every_image(data, tmp_path):
    out = tmp_path / 'out'
    command = ('-m', 'yolo', 'suspects', f'--data_dir={data}', '--split=train', f'--out_dir={out}', '--folds=2')
    words = (*command, *SPLIT_FLAGS, '--num_steps=40', '--checkpoint_every=1', '--nomulti_scale')
    running = subprocess.Popen([sys.executable, *words], cwd=ROOT, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not any(out.glob('fold_0/checkpoints/*')) and time.monotonic() < until:
        time.sleep(0.1)
    running.send_signal(signal.SIGTERM)
    assert running.wait(60) == 75
    assert json.loads((out / 'fold_0/run.json').read_text())['reason'] in ('SIGTERM', 'finished')
    _, text = process(*words)
    assert f'{out}/suspects.html' in text
    assert len(result.read(str(out / 'fold_0/report')).image_ids) == NUM // 2
    assert (out / 'detections.npz').exists()
    with (out / 'suspects.csv').open() as file:
        assert {'image', 'kind', 'probability'} <= set(csv.DictReader(file).fieldnames)
    status, text = process(*words, '--learning_rate=0.5', check=False)
    assert status == 1
    assert 'part 1 of 2 ended with status 1' in text
    check_evaluations(data, out)


def check_evaluations(data: str, out: pathlib.Path) -> None:
    """eval.py --held_out sees the images of its part alone, and refuses others than the run's."""
    run = ('eval.py', f'--data_dir={data}', f'--model_dir={out}/fold_1')
    process(*run, '--split=train', '--held_out', '--suspects=5', f'--report_dir={out}/own')
    ids = [set(result.read(str(folder)).image_ids) for folder in (out / 'fold_0/report', out / 'own')]
    assert len(ids[0] | ids[1]) == len(ids[0]) + len(ids[1]) == NUM
    assert (out / 'own/suspects.html').exists()
    status, text = process(*run, '--split=test', '--held_out', f'--report_dir={out}/no', check=False)
    assert status == 1
    assert "left images of 'train' out, not of 'test': use --split=train" in text
