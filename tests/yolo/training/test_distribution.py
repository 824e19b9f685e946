import json

import pytest
import tensorflow as tf

from yolo.training import distribution

WORKER = {'type': 'worker', 'index': 0}


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
        ({'cluster': {'worker': ['a', 'b']}, 'task': WORKER}, 'TF_CONFIG has to be'),
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
    ):
        assert distribution.is_of_others(kind(None, None, message)) == of_others
