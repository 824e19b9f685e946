import json
import types

import pytest
import tensorflow as tf

from yolo.training import distribution

WORKER = {'type': 'worker', 'index': 0}
REMOTE = (
    'Additional GRPC error information from remote target /job:worker/replica:0/task:1 while calling '
    '/tensorflow.WorkerService/RecvBuf:\n:UNKNOWN:Error received from peer'
)


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        ('', 'has to name the workers'),
        ('{"cluster', 'not what TensorFlow asks for'),
        ([1], 'not what TensorFlow asks for'),
        ({'cluster': ['a']}, 'not what TensorFlow asks for'),
        ({'cluster': {'worker': 'a:1'}}, 'not what TensorFlow asks for'),
        ({'task': WORKER}, 'has to name the workers'),
        ({'cluster': {'worker': ['a:1', 'b:1']}}, 'TF_CONFIG has to be'),
        ({'cluster': {'worker': ['a:1', 'b:1']}, 'task': {'type': 'worker', 'index': 2}}, 'TF_CONFIG has to be'),
        ({'cluster': {'worker': ['a:1', 'b:1']}, 'task': {'type': 'worker', 'index': 'x'}}, 'TF_CONFIG has to be'),
        ({'cluster': {'worker': ['a:1', 'b:1']}, 'task': {'type': 'chief', 'index': 0}}, 'TF_CONFIG has to be'),
        ({'cluster': {'worker': ['a', 'b']}, 'task': WORKER}, "'a' is not an address host:port"),
        ({'cluster': {'worker': ['a:1', ':2']}, 'task': WORKER}, "':2' is not an address host:port"),
        ({'cluster': {'worker': ['a:1', 'b:²']}, 'task': WORKER}, "'b:²' is not an address host:port"),
        ({'cluster': {'worker': ['a:1', 'b:0']}, 'task': WORKER}, 'b:0: a port is a number from 1 to 65535'),
        ({'cluster': {'worker': ['a:65536', 'b:1']}, 'task': WORKER}, 'a:65536: a port is a number from 1 to 65535'),
        ({'cluster': {'worker': ['a:1', f'b:{"9" * 5000}']}, 'task': WORKER}, 'a port is a number from 1 to 65535'),
        ({'cluster': {'worker': ['a:47', 'b:1', 'A:047']}, 'task': WORKER}, 'names A:047 twice'),
        ({'cluster': {'worker': [1, 2]}, 'task': WORKER}, 'TF_CONFIG has to be'),
        ({'cluster': {'chief': ['a:1'], 'worker': ['b:1']}, 'task': WORKER}, 'has to be a worker'),
    ],
)
def test_what_tf_config_lacks_is_said(monkeypatch, config, message):
    monkeypatch.setenv('TF_CONFIG', config if isinstance(config, str) else json.dumps(config))
    with pytest.raises(ValueError, match=message):
        distribution.make_strategy('multi_worker_mirrored')


def test_auto_takes_this_machine_alone_unless_there_are_others(monkeypatch):
    monkeypatch.setenv('TF_CONFIG', json.dumps({'cluster': {'chief': ['a:1']}, 'task': {'type': 'chief', 'index': 0}}))
    assert distribution.num_workers(distribution.make_strategy('auto', ['CPU:0'])) == 1
    monkeypatch.setenv('TF_CONFIG', json.dumps({'cluster': {'chief': ['a:1'], 'worker': ['b:1']}, 'task': WORKER}))
    with pytest.raises(ValueError, match='there are chief, worker'):
        distribution.make_strategy('auto')


def test_errors_of_this_process_are_not_taken_for_others():
    for kind, message, of_others in (
        (tf.errors.UnavailableError, 'Connection reset by peer', True),
        (tf.errors.DataLossError, 'Collective ops is aborted by: corrupted record at 12', True),
        (tf.errors.DataLossError, 'corrupted record at 12', False),
        (tf.errors.ResourceExhaustedError, 'OOM when allocating', False),
        (tf.errors.InternalError, 'Failed to launch gpu_kernel: CUDA_ERROR_ILLEGAL_ADDRESS', False),
        (tf.errors.InternalError, 'libdevice not found at ./libdevice.10.bc [Op:__inference_steps_3898]', False),
        (tf.errors.InternalError, 'Collective ops is aborted by: Failed to launch gpu_kernel', True),
        (tf.errors.InternalError, f'RST_STREAM with error code 2\n{REMOTE}', True),
        (tf.errors.UnavailableError, f'recvmsg:Connection reset by peer\n{REMOTE}', True),
        (tf.errors.UnavailableError, 'Failed to send RPC to coordination service. Either the leader task was', True),
    ):
        assert distribution.is_of_others(kind(None, None, message)) == of_others


def fake_strategy(*devices):
    strategy = type('MirroredStrategy', (), {})()
    strategy.num_replicas_in_sync, strategy.cluster_resolver = len(devices), None
    strategy.extended = types.SimpleNamespace(worker_devices=devices)
    return strategy


def test_the_description_names_the_devices(monkeypatch):
    assert distribution.describe(distribution.make_strategy('one_device', ['CPU:0'])) == 'OneDeviceStrategy on 1 CPU'
    two = distribution.make_strategy('mirrored', ['CPU:0', 'CPU:1'])
    assert distribution.describe(two) == 'MirroredStrategy on 2 CPUs'
    gpus = fake_strategy(*(f'/job:localhost/replica:0/task:0/device:GPU:{i}' for i in range(2)))
    assert distribution.describe(gpus) == 'MirroredStrategy on 2 GPUs'  # no such device, so no name
    details = {'gpu0': {'device_name': 'NVIDIA H100'}, 'gpu1': {'device_name': 'NVIDIA H100'}, 'gpu2': {}}
    monkeypatch.setattr(tf.config, 'get_visible_devices', lambda kind: list(details))
    monkeypatch.setattr(tf.config.experimental, 'get_device_details', details.__getitem__)
    assert distribution.describe(gpus) == 'MirroredStrategy on 2 GPUs (NVIDIA H100)'
    assert distribution.describe(fake_strategy('/device:GPU:2')) == 'MirroredStrategy on 1 GPU'

    def fail(device):
        raise ValueError(device)

    monkeypatch.setattr(tf.config.experimental, 'get_device_details', fail)
    assert distribution.describe(gpus) == 'MirroredStrategy on 2 GPUs'
