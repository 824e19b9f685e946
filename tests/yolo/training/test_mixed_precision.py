"""Mixed precision: nearly the same losses, a loss that is scaled, and everything else as before."""

import dataclasses
import json
import logging
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from training_runs import make_config, make_small_config, one_device, run_steps, two_devices

from yolo.data import pipeline
from yolo.detection import graph
from yolo.evaluation import inference
from yolo.models import model_folder
from yolo.training import loop, losses, network, state, step, update
from yolo.training.batches import distribute_batches
from yolo.training.update import METRICS


@pytest.mark.slow
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


@pytest.mark.slow
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


def spoil_gradient(monkeypatch, is_spoiled, is_last) -> None:
    """Makes the first gradient infinite; Keras alone would look at that of the first replica."""
    is_bad = update._is_bad

    def check(values):
        return is_bad([tf.where(is_spoiled & is_last(), float('inf'), values[0]), *values[1:]])

    monkeypatch.setattr(update, '_is_bad', check)


def spoil_images(monkeypatch, is_spoiled, is_last) -> None:
    """Makes pixels so large that activations overflow float16, and batch norm's mean and variance with them."""
    augment = pipeline.augment_images
    monkeypatch.setattr(
        pipeline, 'augment_images', lambda *args: tf.where(is_spoiled & is_last(), 1e30, 1.0) * augment(*args)
    )


@pytest.mark.parametrize('spoil', [spoil_gradient, spoil_images])
@pytest.mark.parametrize('make_strategy', [one_device, pytest.param(two_devices, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_a_step_not_finite_anywhere_is_skipped_everywhere(records_dir, tmp_path, monkeypatch, make_strategy, spoil):
    """What the last replica computes is spoiled, once: no weight changes, nor moving statistics nor averages."""
    config = make_small_config(records_dir, tmp_path, precision='mixed_float16', burn_in=0, ema=0.5)
    strategy = make_strategy()
    run_state = state.make_state(config, strategy)
    is_spoiled = tf.Variable(True)

    def is_last():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return tf.cast(replica, tf.int32) == strategy.num_replicas_in_sync - 1

    def weights():
        return [
            value.numpy()
            for model in (run_state.model, run_state.averaged)
            for weight in model.weights
            for value in strategy.experimental_local_results(weight.value)
        ]

    spoil(monkeypatch, is_spoiled, is_last)
    before = weights()
    scale = 512.0  # with which no gradient overflows by itself
    run_state.optimizer.dynamic_scale.assign(scale)
    steps = step.make_steps(run_state, config, strategy, (96, 96))
    iterator = iter(distribute_batches(config, strategy, 0))

    def take(number):
        return dict(zip(METRICS, steps(iterator, number, 1)[0].numpy()[0], strict=True))

    metrics = take(0)
    assert (metrics['skipped'], metrics['loss_scale']) == (1, scale)
    for weight, old in zip(weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)
    assert float(run_state.optimizer.dynamic_scale.numpy()) == scale / 2
    assert int(run_state.optimizer.iterations.numpy()) == 0
    is_spoiled.assign(False)
    metrics = take(1)
    assert (metrics['skipped'], metrics['loss_scale']) == (0, scale / 2)
    assert np.isfinite(metrics['loss'])
    assert int(run_state.optimizer.iterations.numpy()) == 1
    assert any(not np.array_equal(weight, old) for weight, old in zip(weights(), before, strict=True))
    assert all(np.isfinite(weight).all() for weight in weights())


def spoil_loss(monkeypatch, first: int, last: int) -> None:
    """Makes the loss of some steps of four images infinite."""
    region_terms = losses.TERMS['region']

    def terms(raw, boxes, labels, anchors, seen, places, *others):
        is_bad = (seen >= 4 * first) & (seen <= 4 * last)
        return region_terms(tf.where(is_bad, float('inf'), raw), boxes, labels, anchors, seen, places)

    monkeypatch.setitem(losses.TERMS, 'region', terms)


@pytest.mark.slow
def test_a_run_goes_on_after_a_skipped_step(records_dir, tmp_path, monkeypatch, caplog):
    """It is counted in the log, and in no mean: neither in that of a line nor in the one since the last evaluation."""
    spoil_loss(monkeypatch, 4, 5)
    config = make_small_config(
        records_dir, tmp_path, precision='mixed_float16', num_steps=8, log_every=2, monitor='loss', learning_rate=1e-6
    )
    with caplog.at_level(logging.INFO, 'absl'):
        result = loop.train(config, one_device())
    assert (result.reason, result.step) == ('finished', 8)
    (skipped,) = [message for message in caplog.messages if message.startswith('step 6: 2 steps skipped')]
    assert re.fullmatch(r'step 6: 2 steps skipped, the loss scale is \d+', skipped)
    lines = [message for message in caplog.messages if re.match(r'step \d/8  loss', message)]
    assert {'step 4', 'step 8'} <= {line.split('/')[0] for line in lines} <= {'step 2', 'step 4', 'step 8'}
    assert not [line for line in lines if 'nan' in line or 'inf' in line]
    assert np.isfinite(list(result.losses.values())).all()
    best = json.loads((tmp_path / 'best/metrics.json').read_text())
    assert 0 < best['loss'] < 100
    for weights in model_folder.load_trained(str(tmp_path))[0].get_weights():
        assert np.isfinite(weights).all()


@pytest.mark.slow
def test_a_run_ends_when_the_scale_of_the_loss_cannot_fall_any_more(records_dir, tmp_path, monkeypatch):
    """From 2^15, fifteen skipped steps bring it to 1; the sixteenth ends the run, with its images."""
    spoil_loss(monkeypatch, 0, 100)
    config = make_small_config(records_dir, tmp_path, precision='mixed_float16', num_steps=50, checkpoint_every=50)
    with pytest.raises(FloatingPointError, match=r'gradient of step 15 is not finite, though .*not scaled') as caught:
        loop.train(config, one_device())
    for image_id in pipeline.training_ids(records_dir, 'train', 4, config.seed, 15):
        assert image_id in str(caught.value)
    assert not list(tmp_path.glob('*/ckpt*'))


@pytest.mark.slow
@pytest.mark.parametrize('precision', ['float32', 'mixed_bfloat16'])
def test_without_a_scaled_loss_the_first_such_step_ends_the_run(records_dir, tmp_path, monkeypatch, precision):
    spoil_loss(monkeypatch, 4, 5)
    config = make_small_config(records_dir, tmp_path, precision=precision, num_steps=8)
    with pytest.raises(FloatingPointError, match='the loss of step 4 is not finite'):
        loop.train(config, one_device())


@pytest.mark.slow
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
    predict = graph.make_predict(model, config.anchors, inference.Thresholds())
    assert inference.evaluate(predict, records_dir, 'test', 4, inference.Thresholds())['num_images'] == 8
