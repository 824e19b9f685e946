"""One evaluation on one device, on two, and in two processes: the same metrics, to the digit."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from conftest import DATA, ROOT, SMALL, write_records
from test_commands import call  # noqa: F401
from test_workers import free_ports

pytestmark = pytest.mark.slow
OLD = DATA / 'version_0_1'
RECORDS, RUN = f'{OLD}/records', f'{OLD}/run'


def finished(*commands, env=None) -> list[str]:
    """What commands print that run at the same time."""
    processes = [
        subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env[number] if env else {})},
        )
        for number, command in enumerate(commands)
    ]
    texts = []
    for process in processes:
        texts.append(process.communicate(timeout=400)[0])
        assert process.returncode == 0, texts[-1]
    return texts


def two_workers() -> list[dict[str, str]]:
    cluster = {'worker': [f'127.0.0.1:{port}' for port in free_ports(2)]}
    return [{'TF_CONFIG': json.dumps({'cluster': cluster, 'task': {'type': 'worker', 'index': i}})} for i in (0, 1)]


def metrics_of(folder) -> dict:
    metrics = json.loads((folder / 'metrics.json').read_text())
    assert metrics.pop('ms_per_image') > 0
    return metrics


def test_eval_by_two_devices_and_by_two_processes(tmp_path):
    command = ['eval.py', f'--data_dir={RECORDS}', f'--model_dir={RUN}', '--batch_size=3', '--coco']
    finished([*command, f'--report_dir={tmp_path}/one'])
    expected = metrics_of(tmp_path / 'one')
    assert expected['map_area'] > 0
    finished([*command, f'--report_dir={tmp_path}/devices', '--cpu_devices=2'])
    assert metrics_of(tmp_path / 'devices') == expected
    workers = [[*command, f'--report_dir={tmp_path}/worker{i}'] for i in (0, 1)]
    first, second = finished(*workers, env=two_workers())
    assert metrics_of(tmp_path / 'worker0') == expected
    assert 'mAP' in first
    assert 'mAP' not in second
    assert not (tmp_path / 'worker1').exists()
    for name in ('one', 'devices'):
        assert (tmp_path / name / 'report.html').exists()


def test_a_run_is_evaluated_by_two_devices_and_by_two_processes(tmp_path):
    data_dir = write_records(tmp_path / 'data', num_images=13)
    command = [
        'train.py',
        f'--data_dir={data_dir}',
        '--train_split=train',
        f'--model={SMALL}',
        '--batch_size=4',
        '--num_steps=2',
        '--nojit_compile',
    ]
    finished([*command, f'--model_dir={tmp_path}/one'])
    for name in ('devices', 'workers'):
        shutil.copytree(tmp_path / 'one', tmp_path / name)
    evaluated = [*command, '--eval_split=test']
    finished([*evaluated, f'--model_dir={tmp_path}/one'])
    finished([*evaluated, f'--model_dir={tmp_path}/devices', '--cpu_devices=2'])
    finished(*[[*evaluated, f'--model_dir={tmp_path}/workers']] * 2, env=two_workers())
    one, devices, workers = (
        json.loads((tmp_path / name / 'best' / 'metrics.json').read_text()) for name in ('one', 'devices', 'workers')
    )
    assert one['num_images'] == 13
    assert sum(row['num_detections'] for row in one['per_class'].values()) > 100
    assert one['map_area'] > 0
    assert devices == workers == one


def test_several_devices_are_for_tensorflow(call, tmp_path):  # noqa: F811
    pytest.importorskip('onnxruntime')
    pytest.importorskip('onnx')
    common = (
        'eval',
        f'--data_dir={RECORDS}',
        f'--model_dir={RUN}',
        f'--report_dir={tmp_path}',
        '--backend=onnxruntime',
    )
    status, text = call(*common, '--strategy=mirrored')
    assert status == 1
    assert 'is computed on one device of each machine: --strategy=mirrored and --cpu_devices=1' in text


def test_bytes_of_all_processes_come_to_all(tmp_path):
    """More than are sent at a time, and another number from each."""
    code = """
from yolo.training import distribution
collective = distribution.HostCollective(distribution.make_strategy())
every = [bytes(range(256)) * 9000 + b'end', b'', b'x' * 1_048_568, b'x' * 1_048_569]
for first, second in ((0, 1), (1, 0), (1, 1), (2, 3), (3, 0)):
    expected = [every[first], every[second]]
    assert collective.gather(expected[collective.index]) == expected, (first, second)
print('all', collective.index, collective.count)
"""
    texts = finished(['-c', code], ['-c', code], env=two_workers())
    assert [text.splitlines()[-1] for text in texts] == ['all 0 2', 'all 1 2']
