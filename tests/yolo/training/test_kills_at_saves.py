"""Killed again and again while it saves, while it evaluates, while it saves the best: it ends with the same bits."""

import functools

import numpy as np
import pytest
from conftest import write_records
from training_runs import TWO_CONVOLUTIONS

from benchmarks import kills
from yolo.models import checkpoint_files, model_folder

KILLS, STEPS, EVAL_EVERY = 6, 16, 2  # benchmarks/kills.py kills more often


def bits(folder: str) -> tuple[str, ...]:
    """Of the newest and the best checkpoint, and the best one's metrics."""
    best = model_folder.best_folder(folder)
    with open(f'{best}/metrics.json', encoding='utf-8') as metrics:
        return (
            model_folder.checksum(checkpoint_files.path_of(model_folder.latest_folder(folder), STEPS)),
            model_folder.checksum(model_folder.find_checkpoint(folder, 'best')),
            metrics.read(),
        )


@pytest.mark.slow
def test_kills_while_it_saves_and_evaluates(tmp_path):
    command = [
        f'--data_dir={write_records(tmp_path / "data")}',
        '--train_split=train',
        '--eval_split=test',
        '--monitor=loss',  # falls, so that most evaluations save a best one
        '--noaugment',
        f'--model={TWO_CONVOLUTIONS}',
        '--recipe=small-data',
        '--ema=0',
        f'--num_steps={STEPS}',
        f'--eval_every={EVAL_EVERY}',
        '--checkpoint_every=1',
        '--keep=2',
        '--nomulti_scale',
        '--nojit_compile',
        '--deterministic',
    ]
    kills.finished([*command, f'--model_dir={tmp_path}/whole'])
    rng, run = np.random.default_rng(), str(tmp_path / 'run')  # a failure prints the moments
    moments = {
        'saving': functools.partial(kills.saving, run),
        'saving the best': functools.partial(kills.saving_best, run),
        'evaluating': functools.partial(kills.evaluating, run, EVAL_EVERY),
    }
    hits, left = 0, []
    for number in range(KILLS):
        name = list(moments)[number % 3]
        wait = rng.uniform(0, 0.3) if name == 'evaluating' else rng.uniform(0, 0.01) * (number % 2)
        hit = kills.killed_when([*command, f'--model_dir={run}'], moments[name], 0, wait)
        hits += hit
        left.append(kills.left_behind(run))
        print(f'{name}, {1000 * wait:.1f} ms: {"killed" if hit else "ended by itself"}, left {left[-1]}')
        assert checkpoint_files.read(model_folder.latest_folder(run)).whole or number < 3
    lines = kills.finished([*command, f'--model_dir={run}'])
    print('the last one went on from', kills.resumed(lines))
    assert hits == KILLS
    assert any(left)  # a save that was cut off
    assert not [name for name in kills.left_behind(run) if '_temp' in name]
    assert bits(run) == bits(str(tmp_path / 'whole'))
