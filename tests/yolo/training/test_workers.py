"""Several processes that train together on this machine, as real processes."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT, SMALL, write_records
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_runs import make_small_config

from benchmarks import kills
from yolo.models import model_folder
from yolo.training.batches import distribute_batches

pytestmark = pytest.mark.slow
STEPS = 20


@pytest.fixture(scope='module')
def command(tmp_path_factory) -> list[str]:
    data_dir = write_records(tmp_path_factory.mktemp('workers') / 'data', num_images=16)
    return [
        f'--data_dir={data_dir}',
        '--train_split=train',
        f'--model={SMALL}',
        '--batch_size=8',
        f'--num_steps={STEPS}',
        '--learning_rate=1e-4',
        '--checkpoint_every=5',
        '--mosaic=0.5',
        '--sizes=64,96',
        '--ema=0.9',
        '--eval_split=test',
        '--eval_every=10',
        '--nojit_compile',
    ]


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(('127.0.0.1', 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start(command, count: int = 2, indices=None, program=('train.py',)) -> list[subprocess.Popen]:
    """All workers of a cluster on this machine, or those of some indices."""
    workers = [f'127.0.0.1:{port}' for port in free_ports(count)]
    processes = []
    for index in range(count) if indices is None else indices:
        config = json.dumps({'cluster': {'worker': workers}, 'task': {'type': 'worker', 'index': index}})
        processes.append(kills.start(command, program, env={**os.environ, 'TF_CONFIG': config}))
    return processes


def losses(folder: pathlib.Path) -> list[float]:
    """The loss of every step, as TensorBoard has it."""
    events = EventAccumulator(str(folder / 'tensorboard'), size_guidance={'tensors': 0})
    events.Reload()
    return [float(tf.make_ndarray(event.tensor_proto)) for event in events.Tensors('loss')]


@pytest.mark.parametrize(('devices', 'more'), [(1, ()), (2, ('--subdivisions=2', '--steps_per_loop=5'))])
def test_two_processes_take_the_steps_of_one(command, tmp_path, devices, more):
    """With one device each; and with two, in parts and five steps at once."""
    one, two = tmp_path / 'one', tmp_path / 'two'
    kills.finished([*command, *more, f'--model_dir={one}'])
    program = ['train.py'] if devices == 1 else ['tests/two_devices_a_worker.py', 'train.py']
    processes = start([*command, *more, f'--model_dir={two}', f'--cpu_devices={devices}'], program=program)
    for process in processes:
        text = process.communicate(timeout=300)[0]
        assert process.returncode == 0, text
        assert f' on {2 * devices} CPUs in 2 processes' in text
    assert len(losses(one)) == STEPS
    np.testing.assert_allclose(losses(two), losses(one), rtol=1e-4)
    weights, expected = (model_folder.load_trained(str(folder))[0].get_weights() for folder in (two, one))
    for a, b in zip(weights, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_auto_chooses_the_same_in_all_processes(command, tmp_path):
    """Each times ten steps with the others; all say what the first one found."""
    words = f'--model={SMALL}', '--recipe=auto', '--print_config', f'--model_dir={tmp_path / "run"}'
    processes = start([*command[:2], *words])
    texts = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], texts
    lines = [[line for line in text.splitlines() if 'auto: ' in line] for text in texts]
    assert len(lines[0]) == 5
    assert lines[0] == lines[1]


def test_batches_are_known_to_be_endless(records_dir, tmp_path):
    """Where TensorFlow does not know it, processes ask one another at every batch whether there is one."""

    class Strategy:
        def distribute_datasets_from_function(self, make):
            return make(tf.distribute.InputContext(2, 1, 4))

    batches = distribute_batches(make_small_config(records_dir, tmp_path, batch_size=8), Strategy(), 0)
    assert batches.cardinality() == tf.data.INFINITE_CARDINALITY
    assert next(iter(batches))['image'].shape[0] == 2


def test_more_devices_than_tensorflow_takes_are_refused(command, tmp_path):
    for process in start([*command, f'--model_dir={tmp_path}', '--cpu_devices=2']):
        text = process.communicate(timeout=300)[0]
        assert process.returncode == 1, text
        assert text.splitlines()[-1].startswith('train.py: --cpu_devices=2: with several workers TensorFlow computes')


def test_a_lost_worker_ends_the_other_and_both_go_on(command, tmp_path):
    command = [*command, '--num_steps=400', f'--model_dir={tmp_path}']  # more than in the seconds until they agree
    first, second = start(command)
    kills.lines_until(first, 7)
    second.kill()
    text = first.communicate(timeout=300)[0]
    second.communicate()
    assert first.returncode == 1, text
    assert 'lost the others' in text
    assert 'Start all again with the same commands' in text
    assert 'Traceback' not in text
    first, second = start(command)
    lines = kills.lines_until(first, 11)
    assert kills.resumed(lines) == '5'
    second.send_signal(signal.SIGTERM)  # to one of them
    for process in (first, second):
        text = process.communicate(timeout=300)[0]
        assert process.returncode == 75, text
    recorded = json.loads((tmp_path / 'run.json').read_text())
    assert recorded['reason'] == 'another process was told to end'
    assert model_folder.find_checkpoint(str(tmp_path), 'latest').endswith(f'ckpt-{recorded["step"]}')


@pytest.mark.parametrize('index', [0, 1])
def test_a_worker_that_does_not_come_is_named(command, tmp_path, index):
    (process,) = start([*command, f'--model_dir={tmp_path}', '--join_timeout=0.05'], indices=[index])
    text = process.communicate(timeout=120)[0]
    assert process.returncode == 1, text
    workers = re.search('waiting for all of (.*), (.*); this is', text).groups()
    last = text.splitlines()[-1]
    assert last.startswith(f'train.py: {workers[1 - index]} ')
    assert 'did not come within 0.05 minutes (--join_timeout)' in last
    assert 'Traceback' not in text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('sent', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_worker_that_waits(command, tmp_path, sent):
    (process,) = start([*command, f'--model_dir={tmp_path}'], indices=[1])
    assert 'waiting for all of' in next(line for line in process.stdout if 'waiting' in line)
    time.sleep(2)
    since = time.monotonic()
    process.send_signal(sent)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert time.monotonic() - since < 10


@pytest.mark.parametrize(
    ('flag', 'config', 'message'),
    [('multi_worker_mirrored', '', 'TF_CONFIG has to name the workers'), ('tpu', '', '--strategy=tpu: no TPU')],
)
def test_what_is_not_there_is_one_line(command, tmp_path, flag, config, message):
    done = subprocess.run(
        [sys.executable, 'train.py', *command, f'--model_dir={tmp_path}', f'--strategy={flag}'],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        env={**os.environ, 'TF_CONFIG': config},
    )
    assert done.returncode == 1
    assert message in done.stdout
    assert 'Traceback' not in done.stdout
