"""Killed, stopped by a signal, out of disk: nothing is lost. Real processes where they are marked slow."""

import dataclasses
import json
import os
import pathlib
import resource
import signal

import numpy as np
import pytest
from conftest import SMALL, digests, end_at, write_records
from training_runs import make_small_config, one_device

from benchmarks import kills
from yolo.evaluation import inference
from yolo.models import model_folder
from yolo.training import loop

STEPS = 24


@pytest.fixture(scope='module')
def command(tmp_path_factory) -> list[str]:
    """A run with everything that has a state: averages, evaluations, mosaics, sizes, a plateau."""
    data_dir = write_records(tmp_path_factory.mktemp('survival') / 'data')
    return [
        f'--data_dir={data_dir}',
        '--train_split=train',
        '--eval_split=test',
        f'--model={SMALL}',
        '--recipe=small-data',
        f'--num_steps={STEPS}',
        '--eval_every=5',
        '--checkpoint_every=3',
        '--plateau=2',
        '--mosaic=0.5',
        '--sizes=64,96',
        '--nojit_compile',
        '--deterministic',
    ]


@pytest.fixture(scope='module')
def whole(command, tmp_path_factory) -> pathlib.Path:
    """The folder of a run that nobody disturbed."""
    folder = tmp_path_factory.mktemp('whole') / 'run'
    kills.finished([*command, f'--model_dir={folder}'])
    return folder


def same(folder: pathlib.Path, whole: pathlib.Path) -> None:
    """Whether two runs ended with the same bits, and the same best model."""
    assert model_folder.checksum(f'{folder}/checkpoints/ckpt-{STEPS}') == model_folder.checksum(
        f'{whole}/checkpoints/ckpt-{STEPS}'
    )
    assert (folder / 'best/metrics.json').read_text() == (whole / 'best/metrics.json').read_text()
    assert model_folder.checksum(model_folder.find_checkpoint(str(folder), 'best')) == model_folder.checksum(
        model_folder.find_checkpoint(str(whole), 'best')
    )


def leave_a_mess(folder: pathlib.Path) -> tuple[list[pathlib.Path], list[pathlib.Path]]:
    """What killed saves may leave behind, and what is not proven to be that or is none of the run's business."""
    stray = [
        'checkpoints/ckpt-4_temp/part-00000-of-00001.data-00000-of-00001',
        'checkpoints/ckpt-4.index',
        'checkpoints/ckpt-7.data-00000-of-00001',
        f'checkpoints/checkpoint.tmp{"0a" * 16}',
        'best/ckpt-4.index',
        'best/ckpt-4_temp/part-00000-of-00001.index',
        'best/metrics.json.partial',
    ]
    others = [
        'checkpoints/ckpt-8.index',  # a damaged checkpoint
        'checkpoints/ckpt-8.data-00000-of-00001',
        'checkpoints/mine.txt',
        'checkpoints/mine/ckpt-4.index',
        'checkpoints/mine.tmp',
        'best/ckpt-notes.txt',
        'ckpt-4.index',
    ]
    for name in stray + others:
        path = folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(b'half')
    return [folder / name for name in stray], [folder / name for name in others]


@pytest.mark.slow
def test_killed_at_random_steps_it_ends_with_the_same_bits(command, whole, tmp_path):
    rng = np.random.default_rng()  # a failure prints the steps
    steps = np.sort(rng.choice(np.arange(2, STEPS - 6), 3, replace=False)).tolist()
    for number, step in enumerate(steps):
        at_a_save = number == 1
        wait = 0 if at_a_save else rng.uniform(0, 0.1)
        saving = str(tmp_path) if at_a_save else ''
        _, hit = kills.killed_at([*command, f'--model_dir={tmp_path}'], step, wait, saving)
        print('killed after step', step, 'with', kills.unfinished(str(tmp_path)))
        assert hit or number == 2  # by then it may have been faster
    stray, others = leave_a_mess(tmp_path)
    kills.finished([*command, f'--model_dir={tmp_path}'])
    assert not [path for path in stray if path.exists()]
    assert not kills.unfinished(str(tmp_path))
    assert all(path.exists() for path in others)
    same(tmp_path, whole)


@pytest.mark.slow
def test_stopped_and_with_a_full_disk_it_loses_nothing(command, whole, tmp_path):
    """It saves and says so; then no file may become as long as a checkpoint is, and the last good one stays."""
    process = kills.start([*command, f'--model_dir={tmp_path}'])
    kills.lines_until(process, 9)  # the signal comes before or at an evaluation
    process.send_signal(signal.SIGTERM)
    text = process.communicate()[0]
    assert process.returncode == 75, text
    assert 'Traceback' not in text
    recorded = json.loads((tmp_path / 'run.json').read_text())
    assert recorded['reason'] == 'SIGTERM'
    assert recorded['step'] >= 9
    assert f'SIGTERM: {recorded["step"]} of {STEPS} steps' in text
    good = model_folder.find_checkpoint(str(tmp_path), 'latest')
    assert good == f'{tmp_path}/checkpoints/ckpt-{recorded["step"]}'

    before = digests(tmp_path / 'checkpoints')
    limit = 200_000  # bytes a file
    assert pathlib.Path(good + '.data-00000-of-00001').stat().st_size > limit
    process = kills.start(
        [*command, f'--model_dir={tmp_path}'],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    text = process.communicate()[0]
    assert process.returncode == 1, text
    assert 'Traceback' not in text
    assert f'cannot be written to {tmp_path}/checkpoints' in text
    assert f'The last good one is {good}' in text
    assert digests(tmp_path / 'checkpoints') == before
    lines = kills.finished([*command, f'--model_dir={tmp_path}'])
    assert kills.resumed(lines) == str(recorded['step'])
    same(tmp_path, whole)


@pytest.mark.slow
def test_a_full_disk_under_the_events_is_one_line(command, tmp_path):
    limit = 6000  # bytes a file: the first steps' events, but not all of them
    process = kills.start(
        [*command, f'--model_dir={tmp_path}', '--checkpoint_every=100', '--eval_every=100'],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    text = process.communicate()[0]
    assert process.returncode == 1, text
    assert 'Traceback' not in text
    assert f"TensorBoard's file cannot be written to {tmp_path}/tensorboard" in text.splitlines()[-1]


@pytest.mark.slow
def test_stopped_where_an_evaluation_is_due(records_dir, tmp_path):
    config = make_small_config(
        records_dir,
        tmp_path / 'whole',
        num_steps=6,
        eval_split='test',
        eval_every=2,
        plateau=1,
        checkpoint_every=3,
        ema=0.9,
        mosaic=0.5,
    )
    loop.train(config, one_device())
    evaluate = inference.evaluate_with_curves
    for last, sent, while_it_evaluates in (
        (4, signal.SIGTERM, False),
        (6, signal.SIGINT, False),
        (2, signal.SIGTERM, True),
    ):
        folder = tmp_path / f'stopped_at_{last}'
        stopped = dataclasses.replace(config, model_dir=str(folder))

        def interrupted(*args, folder=folder, sent=sent):
            assert list(folder.glob('checkpoints/ckpt-2.index'))  # all is saved by then
            os.kill(os.getpid(), sent)
            return evaluate(*args)

        with pytest.MonkeyPatch.context() as patch:
            if while_it_evaluates:
                patch.setattr(inference, 'evaluate_with_curves', interrupted)
            else:
                end_at(patch, last, sent)
            result = loop.train(stopped, one_device())
        assert (result.reason, result.step) == (sent.name, last)
        assert loop.train(stopped, one_device()).reason == 'finished'
        for which in ('latest', 'best'):
            assert model_folder.checksum(
                model_folder.find_checkpoint(stopped.model_dir, which)
            ) == model_folder.checksum(model_folder.find_checkpoint(config.model_dir, which))
        assert (folder / 'best/metrics.json').read_text() == (tmp_path / 'whole/best/metrics.json').read_text()


@pytest.mark.slow
@pytest.mark.parametrize('part', ['index', 'data-00000-of-00001'])
def test_a_damaged_checkpoint_costs_only_the_steps_since_the_one_before(records_dir, tmp_path, caplog, part):
    config = make_small_config(records_dir, tmp_path, num_steps=4, checkpoint_every=2)
    loop.train(config, one_device())
    last = f'{tmp_path}/checkpoints/ckpt-4'
    before = model_folder.checksum(last)
    path = pathlib.Path(f'{last}.{part}')
    path.write_bytes(path.read_bytes()[:-9] if part != 'index' else b'')
    loop.train(config, one_device())
    assert f'damaged: {last} (' in caplog.text
    assert f'the newest whole one is {last[:-1]}2' in caplog.text
    assert model_folder.checksum(last) == before
    for path in (tmp_path / 'checkpoints').glob('*.index'):
        path.write_bytes(b'')
    with pytest.raises(ValueError, match=r'no newest checkpoint that reads whole: .*ckpt-2 is .*ckpt-4 is damaged'):
        loop.train(config, one_device())


@pytest.mark.slow
def test_killed_in_its_first_save_it_begins_again(records_dir, tmp_path):
    config = make_small_config(records_dir, tmp_path, num_steps=2)
    (tmp_path / 'checkpoints').mkdir()
    for part in ('index', 'data-00000-of-00001'):
        (tmp_path / f'checkpoints/ckpt-1.{part}').write_bytes(b'')
    assert loop.train(config, one_device()).step == 2
    assert model_folder.find_checkpoint(str(tmp_path), 'latest').endswith('ckpt-2')
    assert (tmp_path / 'checkpoints/ckpt-1.index').exists()  # what is damaged is not removed
