"""Memory: what a run will need is said at its start, and refused in one line if the machine cannot have it."""

import dataclasses
import os
import resource
import subprocess
import sys

import pytest
import tensorflow as tf
from conftest import CLASSES, ROOT, SMALL
from test_commands import SMALL_RUN, call  # noqa: F401
from training_runs import make_config

from preprocess.limits import check_workers
from yolo import memory
from yolo.backends.loading import load_detector
from yolo.memory import GIB
from yolo.models import architectures, cfg
from yolo.models import memory as network_memory
from yolo.models.build import DarknetModel
from yolo.models.model_folder import ModelInfo
from yolo.training import memory as training_memory
from yolo.training.config import TrainConfig

ANCHORS = ((1.3, 1.7), (3.2, 4.0), (5.1, 8.1), (9.5, 4.8), (11.2, 10.0))
VOC = tuple(map(str, range(20)))
DEEP = '[net]\nheight=32\nwidth=32\n' + '[convolutional]\nfilters=2\n' * 20_000
ONE_CPU = tf.distribute.OneDeviceStrategy('CPU:0')
# Peak resident bytes of a process that took two steps on a CPU: model, batch, pixels, compiled, subdivisions.
MEASURED = {
    ('yolov2-tiny', 8, 416, True, 1): 2_350_000_000,
    ('yolov2-tiny', 16, 416, True, 1): 2_870_000_000,
    ('yolov2', 4, 416, True, 1): 3_660_000_000,
    ('yolov2', 8, 416, True, 1): 4_150_000_000,
    ('yolov2', 64, 608, True, 8): 6_980_000_000,
    ('yolov2-tiny', 8, 416, False, 1): 1_711_000_000,
    ('yolov2-tiny', 16, 416, False, 1): 2_329_000_000,
}


def voc_config(model: str, batch_size: int, pixels: int = 416, compiled: bool = True, **more) -> TrainConfig:
    size = (pixels, pixels)
    return TrainConfig(
        classes=VOC, anchors=ANCHORS, image_size=size, sizes=(size,), model=model, batch_size=batch_size,
        jit_compile=compiled, **more,
    )  # fmt: skip


@pytest.fixture
def machine(monkeypatch):
    """Sets how much memory the machine seems to have, in GiB."""

    def has(gib: float) -> None:
        monkeypatch.setattr(memory, 'host_memory', lambda: int(gib * GIB))

    return has


@pytest.mark.parametrize('case', MEASURED)
def test_the_estimate_is_near_what_was_measured(case):
    model, batch_size, pixels, compiled, subdivisions = case
    config = voc_config(model, batch_size, pixels, compiled, subdivisions=subdivisions)
    estimate = training_memory.estimate(config, batch_size)
    assert estimate.least < MEASURED[case]
    assert MEASURED[case] / 1.2 < estimate.likely < MEASURED[case] * 1.2


def test_what_makes_a_step_larger_makes_the_estimate_larger():
    def least(**changes) -> int:
        config = dataclasses.replace(voc_config('yolov2-tiny', 8), **changes)
        return training_memory.estimate(config, config.batch_size).least

    assert least(batch_size=9) > least()
    assert least(subdivisions=4) < least() < least(subdivisions=4, batch_size=33)
    assert least(sizes=((320, 320), (608, 608))) > least()
    assert least(width=2.0) > least()
    assert least(ema=0.9) - least() == network_memory.weights_bytes(
        architectures.build_spec('yolov2-tiny', 20, ANCHORS)
    )
    assert least(optimizer='adam') - least() == least(ema=0.9) - least()
    assert least(momentum=0.0) < least()
    assert least(precision='mixed_float16') < least()


def test_the_most_that_fits_fits(machine):
    machine(8)
    config = voc_config('yolov2', 60_000)
    with pytest.raises(ValueError, match='--batch_size=60000: a step at 416 x 416 pixels needs at least') as raised:
        training_memory.check_memory(config, ONE_CPU)
    fits = int(str(raised.value).split('use --batch_size=')[1].split(',')[0])
    assert training_memory.estimate(config, fits).likely <= 8 * GIB < training_memory.estimate(config, fits + 1).likely
    training_memory.check_memory(dataclasses.replace(config, batch_size=fits), ONE_CPU)
    with pytest.raises(ValueError, match=r'there are 8\.0 GiB; use a smaller network'):
        training_memory.check_memory(dataclasses.replace(config, width=50.0), ONE_CPU)


def test_devices_of_one_machine_share_its_memory(machine):
    machine(8)
    both = tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1'], tf.distribute.ReductionToOneDevice())
    config = voc_config('yolov2-tiny', 8)
    assert ' of 4.0 GiB on each device' in training_memory.describe(config, both)
    assert training_memory.describe(config, ONE_CPU).endswith(' of 8.0 GiB')
    assert training_memory.on_each_device(config, both) == training_memory.estimate(config, 4)


def test_the_memory_of_this_machine_is_no_more_than_it_has():
    assert GIB / 4 < memory.host_memory() <= os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    code = 'from yolo import memory; print(memory.host_memory())'

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (GIB, GIB))

    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, preexec_fn=limit, capture_output=True, check=True)
    assert int(done.stdout) <= GIB


def test_control_groups_limit_it(tmp_path):
    """Of version 1 and 2, around this process too; what stands for no limit is none."""
    files = {
        '/proc/self/cgroup': '4:memory:/a/b\n1:cpu:/\n0::/c/d\n',
        '/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes': '9223372036854771712\n',
        '/sys/fs/cgroup/memory/a/memory.limit_in_bytes': '3000\n',
        '/sys/fs/cgroup/c/d/memory.max': 'max\n',
        '/sys/fs/cgroup/c/memory.max': '2000\n',
    }
    for name, text in files.items():
        path = tmp_path / name.strip('/')
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert memory._group_limits(str(tmp_path)) == [3000, 2000]
    assert memory._group_limits(f'{tmp_path}/nowhere') == []


@pytest.mark.slow
def test_a_run_says_what_it_needs_and_refuses_what_cannot_be(call, machine, records_dir, tmp_path):  # noqa: F811
    words = (f'--data_dir={records_dir}', f'--model_dir={tmp_path}/run', *SMALL_RUN)
    machine(4)
    status, text = call('train', *words, '--num_steps=1')
    assert status == 0
    assert 'memory: about ' in text
    assert ' GiB of 4.0 GiB' in text
    for more, message in (
        ('--batch_size=65536', '--batch_size=65536: a step at '),
        ('--sizes=32,16384', '--batch_size=4: a step at 16384 x 16384 pixels needs at least'),
    ):
        status, text = call('train', *words, more, f'--model_dir={tmp_path}/other')
        assert status == 1
        assert message in text
        assert text.count('\n') == 1
        assert not (tmp_path / 'other').exists()


def test_too_wide_networks_are_refused_before_they_are_built(call, records_dir, tmp_path):  # noqa: F811
    words = (
        f'--data_dir={records_dir}',
        f'--model_dir={tmp_path}',
        '--train_split=train',
        '--width=100',
        '--strategy=one_device',
    )
    status, text = call('train', *words)
    assert status == 1
    assert 'use a smaller network (--model, --width)' in text
    assert text.count('\n') == 1


@pytest.mark.parametrize('name', ['train', 'eval', 'convert'])
def test_a_network_of_20000_layers_is_refused_at_once(call, records_dir, tmp_path, name):  # noqa: F811
    (tmp_path / 'deep.cfg').write_text(DEEP)
    (tmp_path / 'deep.weights').write_bytes(b'x')
    data, weights = f'--data_dir={records_dir}', f'--weights={tmp_path}/deep.weights'
    words = {
        'train': (data, f'--model_dir={tmp_path}/run', *SMALL_RUN, f'--model={tmp_path}/deep.cfg'),
        'eval': (data, f'--cfg={tmp_path}/deep.cfg', weights, f'--report_dir={tmp_path}/report'),
        'convert': (f'--cfg={tmp_path}/deep.cfg', weights, f'--keras_out={tmp_path}/x.keras'),
    }
    status, text = call(name, *words[name])
    assert status == 1
    assert 'deep.cfg:604: 20,000 sections; a network has at most 300' in text
    assert text.count('\n') == 1


def test_weights_that_do_not_fit_are_not_made(machine):
    machine(0.01)
    with pytest.raises(ValueError, match=r'the network has .* weights, which need 0.1 GiB of memory; this machine has'):
        DarknetModel(architectures.build_spec('yolov2-tiny', 20, ANCHORS))


@pytest.mark.parametrize('name', ['eval', 'predict'])
def test_detectors_refuse_batches_that_do_not_fit(call, machine, records_dir, tmp_path, name):  # noqa: F811
    from yolo.models import conversion

    model = DarknetModel(cfg.read(SMALL))
    conversion.write_folder(model, ModelInfo(CLASSES, 'stretch'), f'{tmp_path}/model')
    (tmp_path / 'a.png').write_bytes(b'')
    words = {
        'eval': (f'--data_dir={records_dir}',),
        'predict': (f'--images={tmp_path}/a.png', f'--out_dir={tmp_path}/out'),
    }
    machine(1)
    status, text = call(name, *words[name], f'--model_dir={tmp_path}/model', '--batch_size=65536')
    assert status == 1
    assert '--batch_size=65536: 65,536 images of ' in text
    assert 'this machine has 1.0 GiB; use --batch_size=' in text
    assert text.count('\n') == 1
    with pytest.raises(ValueError, match='batch_size=0: must be 1 or more'):
        load_detector(f'{tmp_path}/model', batch_size=0)


def test_workers_of_preprocessing_have_to_fit(machine):
    machine(4)
    check_workers(16, (416, 416), 3)
    with pytest.raises(ValueError, match=r'--workers=1024: .* has 4.0 GiB; use --workers=\d+$') as raised:
        check_workers(1024, (416, 416), 3)
    check_workers(int(str(raised.value).split('=')[-1]), (416, 416), 3)


def test_a_config_of_the_library_is_checked_too(machine, records_dir, tmp_path):
    from yolo.training import loop

    machine(0.5)
    config = make_config(records_dir, tmp_path / 'run', batch_size=16384)
    with pytest.raises(ValueError, match='--batch_size=16384: a step at'):
        loop.train(config, ONE_CPU)


# Prints the peak memory of a command in kB. A small process, since a command takes over the peak of its parent.
PEAK_OF = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    'flag', ['--batch_size=65536', '--width=100', '--sizes=32,16384', '--cpu_devices=1000000', '--epochs=inf']
)
def test_a_refusal_costs_no_memory(records_dir, tmp_path, flag):
    """Whole processes: one line, status 1, and no more memory than TensorFlow itself takes."""
    words = ('train.py', f'--data_dir={records_dir}', f'--model_dir={tmp_path}/run', '--train_split=train', flag)
    command = [sys.executable, '-c', PEAK_OF, sys.executable, *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert flag.partition('=')[0] in done.stderr
    assert done.stderr.count('\n') == 1
    assert int(done.stdout) < 1_200_000
