"""SIGTERM and SIGINT to train.py before its first step, and a second signal after it, in real processes."""

import json
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from conftest import SMALL, end_at, write_records
from training_runs import make_small_config, one_device

from benchmarks import kills
from yolo import lock, signals
from yolo.cli import flags
from yolo.models import model_folder
from yolo.training import loop, preemption, progress

AT_ONCE = 'ended before the first step, so there is nothing to save; the same command begins there again\n'


@pytest.fixture(scope='module')
def command(tmp_path_factory) -> list[str]:
    data_dir = write_records(tmp_path_factory.mktemp('preemption') / 'data')
    return [f'--data_dir={data_dir}', '--train_split=train', f'--model={SMALL}', '--batch_size=4', '--num_steps=3']


def has_loaded(process: subprocess.Popen, library: str) -> bool:
    return library in pathlib.Path(f'/proc/{process.pid}/maps').read_text()


def wait_for(process: subprocess.Popen, condition) -> None:
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='reads /proc')
@pytest.mark.parametrize('sent', signals.SIGNALS)
@pytest.mark.parametrize('moment', ['import', 'network', 'compile'])
def test_before_the_first_step_it_ends_at_once(command, tmp_path, moment, sent):
    """While TensorFlow is imported, while the network is built, and while the step is traced and compiled."""
    process = kills.start([*command, f'--model_dir={tmp_path}/run'])
    lines = []
    if moment == 'import':
        wait_for(process, lambda: has_loaded(process, '_pywrap_tensorflow'))
    elif moment == 'network':
        while not lines or not lines[-1].startswith('output:'):
            lines.append(process.stdout.readline())
    else:
        wait_for(process, (tmp_path / 'run/run.json').exists)
    process.send_signal(sent)
    text = process.communicate(timeout=100)[0]
    assert process.returncode == 75, text
    assert text.endswith(f'train.py: {sent.name}: {AT_ONCE}')
    assert not kills.STEP.search(text)
    assert 'Traceback' not in text
    if moment == 'compile':
        recorded = json.loads((tmp_path / 'run/run.json').read_text())
        assert (recorded['reason'], recorded['step']) == (sent.name, 0)


@pytest.mark.slow
def test_a_continued_run_keeps_its_step_and_metrics(command, tmp_path):
    long = [*command, f'--model_dir={tmp_path}', '--num_steps=2000', '--log_every=1']
    first = kills.start(long)
    kills.lines_until(first, 2)
    first.terminate()
    assert first.communicate(timeout=100)[0]
    assert first.returncode == 75
    before = json.loads((tmp_path / 'run.json').read_text())
    assert before['step'] >= 2
    assert before['losses']
    process = kills.start(long)
    wait_for(process, lambda: 'running' in json.loads((tmp_path / 'run.json').read_text())['reason'])
    process.terminate()
    text = process.communicate(timeout=100)[0]
    assert process.returncode == 75, text
    after = json.loads((tmp_path / 'run.json').read_text())
    assert (after['reason'], after['step'], after['losses']) == ('SIGTERM', before['step'], before['losses'])
    assert model_folder.find_checkpoint(str(tmp_path), 'latest').endswith(f'ckpt-{before["step"]}')


@pytest.mark.slow
def test_after_the_first_step_the_command_saves(records_dir, tmp_path, capfd):
    with pytest.MonkeyPatch.context() as patch:
        end_at(patch, 2)
        words = [
            f'--data_dir={records_dir}',
            '--train_split=train',
            f'--model={SMALL}',
            '--nojit_compile',
            '--strategy=one_device',
        ]
        words += ['--batch_size=4', '--num_steps=4', '--log_every=1']
        import train

        with pytest.raises(SystemExit) as ended:
            flags.run(
                train.COMMAND,
                ['train.py', *words, f'--model_dir={tmp_path}'],
            )
    assert ended.value.code == preemption.EXIT_STATUS
    text = capfd.readouterr().err
    assert text.count('SIGTERM: saving at the end of this step') == 1
    assert 'SIGTERM: 2 of 4 steps' in text
    assert model_folder.find_checkpoint(str(tmp_path), 'latest').endswith('ckpt-2')


def test_a_second_signal_ends_the_library_too(records_dir, tmp_path, monkeypatch):
    """In a program that calls the library, the second one does what it does in that program."""
    add = progress.Progress.add

    def added(self, step, metrics, seconds_waited):
        add(self, step, metrics, seconds_waited)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(progress.Progress, 'add', added)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may start its jobs without it
    try:
        with pytest.raises(KeyboardInterrupt):
            loop.train(make_small_config(records_dir, tmp_path), one_device())
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_folder_in_use_is_refused_before_anything_is_written(records_dir, tmp_path):
    config = make_small_config(records_dir, tmp_path, num_steps=1)
    with lock.hold(str(tmp_path), 'another', '--model_dir'):
        with pytest.raises(lock.InUseError, match='in use by another'):
            loop.train(config, one_device())
        assert [path.name for path in tmp_path.iterdir()] == [lock.NAME]
    assert loop.train(config, one_device()).reason == 'finished'
    assert not (tmp_path / lock.NAME).exists()
