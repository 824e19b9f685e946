"""Mixed precision: nearly the same losses, a loss that is scaled, and everything else as before."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from training_runs import make_config, make_small_config, one_device, run_steps, two_devices

from yolo.detection import keras_backend
from yolo.evaluation import inference
from yolo.models import model_folder
from yolo.training import loop, network, state, step
from yolo.training.batches import distribute_batches


@pytest.mark.parametrize(('precision', 'jit_compile'), [('mixed_float16', False), ('mixed_bfloat16', True)])
def test_the_losses_are_nearly_those_of_float32(records_dir, tmp_path, precision, jit_compile):
    # The first scale of float16 is too large for the first step, which is skipped: at this rate that is no matter.
    config = make_config(records_dir, tmp_path, learning_rate=1e-6)
    full, _ = run_steps(config, one_device())
    config = dataclasses.replace(config, precision=precision, jit_compile=jit_compile)
    mixed, _ = run_steps(config, one_device())
    assert not np.array_equal(mixed['loss'], full['loss'])
    np.testing.assert_allclose(mixed['loss'], full['loss'], rtol=0.02)
    np.testing.assert_allclose(mixed['gradient_norm'][1:], full['gradient_norm'][1:], rtol=0.1)


def test_two_devices_take_the_steps_of_one_with_a_scaled_loss(records_dir, tmp_path):
    config = make_small_config(records_dir, tmp_path, precision='mixed_float16', weight_decay=0.1)
    one, _ = run_steps(config, one_device())
    two, (first, second) = run_steps(config, two_devices())
    np.testing.assert_allclose(two['loss'], one['loss'], rtol=5e-3)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_stay_float32(records_dir, tmp_path):
    model = network.make_model(make_small_config(records_dir, tmp_path, precision='mixed_float16'))
    assert {weight.dtype for weight in model.weights} == {'float32'}
    assert model.get_layer('conv_0').compute_dtype == 'float16'
    assert model(tf.zeros((1, 96, 96, 3))).dtype == tf.float32
    assert keras.config.dtype_policy().name == 'float32'  # of others' models


@pytest.mark.parametrize('make_strategy', [one_device, two_devices])
def test_a_gradient_not_finite_anywhere_is_skipped_everywhere(records_dir, tmp_path, monkeypatch, make_strategy):
    """The last replica's first gradient is spoiled, once; Keras alone would look at the first replica's."""
    config = make_config(records_dir, tmp_path, precision='mixed_float16', burn_in=0)
    strategy = make_strategy()
    run_state = state.make_state(config, strategy)
    checked = step._spread_non_finite

    def spoiled(gradients):
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        last = tf.cast(replica, tf.int32) == strategy.num_replicas_in_sync - 1
        return checked([tf.where(last, float('inf'), gradients[0]), *gradients[1:]])

    before = run_state.model.get_weights()
    scale = float(run_state.optimizer.dynamic_scale.numpy())
    monkeypatch.setattr(step, '_spread_non_finite', spoiled)
    iterator = iter(distribute_batches(config, strategy, 0))
    zero, one = tf.constant(0, tf.int64), tf.constant(1, tf.int64)
    step.make_steps(run_state, config, strategy, (96, 96))(iterator, zero, one)
    trained = {id(weight) for weight in run_state.model.trainable_variables}
    for weight, old in zip(run_state.model.weights, before, strict=True):
        if id(weight) in trained:
            np.testing.assert_array_equal(weight.numpy(), old)
    assert float(run_state.optimizer.dynamic_scale.numpy()) == scale / 2
    assert int(run_state.optimizer.iterations.numpy()) == 0
    monkeypatch.undo()
    step.make_steps(run_state, config, strategy, (96, 96))(iterator, one, one)
    assert int(run_state.optimizer.iterations.numpy()) == 1
    assert any(
        not np.array_equal(weight.numpy(), old) for weight, old in zip(run_state.model.weights, before, strict=True)
    )


def test_a_run_goes_on_and_is_evaluated_in_float32(records_dir, tmp_path):
    config = make_small_config(
        records_dir,
        tmp_path / 'run',
        precision='mixed_float16',
        num_steps=4,
        checkpoint_every=2,
        eval_split='test',
        ema=0.9,
    )
    loop.train(config, one_device())
    whole = model_folder.checksum(model_folder.find_checkpoint(config.model_dir, 'latest'))
    latest = tf.train.latest_checkpoint(model_folder.latest_folder(config.model_dir))
    for path in (tmp_path / 'run/checkpoints').glob('ckpt-4*'):
        path.unlink()
    state_file = tmp_path / 'run/checkpoints/checkpoint'
    state_file.write_text(state_file.read_text().replace('ckpt-4', 'ckpt-2'))
    loop.train(config, one_device())
    assert model_folder.checksum(latest) == whole
    model, _, _ = model_folder.load_trained(config.model_dir)
    predict = keras_backend.make_predict(model, config.anchors, inference.Thresholds())
    assert inference.evaluate(predict, records_dir, 'test', 4, inference.Thresholds())['num_images'] == 8
