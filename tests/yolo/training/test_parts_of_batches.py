"""Subdivisions, batch norm of each replica, and what a step exchanges between replicas and with the host."""

import dataclasses
import logging

import keras
import numpy as np
import pytest
import tensorflow as tf
from training_runs import (
    check_two_devices_take_the_steps_of_one,
    make_config,
    make_small_config,
    one_device,
    run_steps,
    two_devices,
    weights_of,
)

from yolo.data import pipeline
from yolo.models import layers
from yolo.training import config_file, gradients, loop, losses, network, resolve, state, step
from yolo.training.batches import distribute_batches
from yolo.training.config import LOCAL
from yolo.training.update import METRICS


def without_batch_norm_in_training(model) -> None:
    for layer in model.layers:
        if isinstance(layer, layers.BatchNorm):
            layer.trainable = False


@pytest.mark.slow
@pytest.mark.parametrize(('strategy', 'jit_compile'), [(one_device, False), (one_device, True), (two_devices, False)])
def test_with_batch_norm_frozen_parts_are_the_whole(records_dir, tmp_path, monkeypatch, jit_compile, strategy):
    """Every part of the loss, the norm of the gradient, and the weights after three steps."""
    make_model = network.make_model

    def frozen(config):
        model = make_model(config)
        without_batch_norm_in_training(model)
        return model

    monkeypatch.setattr(network, 'make_model', frozen)
    config = make_small_config(records_dir, tmp_path, batch_size=8, weight_decay=0.1, jit_compile=jit_compile)
    whole, (weights, *_) = run_steps(config, strategy())
    in_parts, (weights_of_parts, *_) = run_steps(dataclasses.replace(config, subdivisions=4), strategy())
    for name in METRICS:
        np.testing.assert_allclose(in_parts[name], whole[name], rtol=1e-4, atol=1e-6, err_msg=name)
    for part, one in zip(weights_of_parts, weights, strict=True):
        np.testing.assert_allclose(part, one, rtol=1e-4, atol=1e-6)


def test_parts_are_darknets_subdivisions(records_dir, tmp_path):
    """A step by hand as Darknet's: forward and backward part by part, batch norm over each, one update.

    The moving statistics follow after every part; `seen` grows by a part. (src/network.c, train_network;
    src/batchnorm_layer.c, forward_batchnorm_layer.)
    """
    config = make_config(records_dir, tmp_path, augment=False, weight_decay=0.01, burn_in=0, decay_steps=())
    config = dataclasses.replace(config, subdivisions=2, learning_rate=1e-2)
    keras.utils.set_random_seed(0)
    run_state = state.make_state(config, one_device())
    twin = network.make_model(config)
    twin.set_weights(run_state.model.get_weights())
    accumulators = step.make_accumulators(run_state, config, one_device())
    steps = step.make_steps(run_state, config, one_device(), (96, 96), accumulators)
    steps(iter(distribute_batches(config, one_device(), 0)), 0, 1)

    [batch] = pipeline.training_batches(records_dir, 'train', 4, config.seed).take(1)
    totals = [np.zeros(weight.shape) for weight in twin.trainable_variables]
    for part in range(2):
        rows = {name: value[part::2] for name, value in batch.items()}
        with tf.GradientTape() as tape:
            raw = twin(tf.cast(rows['image'], tf.float32) / 255, training=True)  # moves the statistics
            loss = losses.region_loss(raw, rows['boxes'], rows['labels'], config.anchors, seen=2 * part) / 4
        for total, gradient in zip(totals, tape.gradient(loss, twin.trainable_variables), strict=True):
            total += gradient.numpy()
    for weight, total in zip(twin.trainable_variables, totals, strict=True):
        decay = 0.01 * weight.numpy() if weight.name == 'kernel' else 0
        weight.assign(weight.numpy() - 1e-2 * (total + decay))
    for ours, by_hand in zip(run_state.model.weights, twin.weights, strict=True):
        np.testing.assert_allclose(ours.numpy(), by_hand.numpy(), rtol=1e-4, atol=1e-6, err_msg=ours.path)


@pytest.mark.slow
@pytest.mark.parametrize('loss', ['region', 'notebook'])
def test_two_devices_take_the_steps_of_one_in_parts(records_dir, tmp_path, loss):
    config = make_small_config(records_dir, tmp_path, loss=loss, ema=0.9, batch_size=8, subdivisions=2)
    check_two_devices_take_the_steps_of_one(config)


@pytest.mark.slow
@pytest.mark.parametrize('jit_compile', [False, True])
@pytest.mark.parametrize('loss', ['region', 'notebook'])
def test_local_replicas_take_the_steps_of_parts(records_dir, tmp_path, loss, jit_compile):
    """Two replicas, each with its own batch norm, change the weights as two parts of one replica do.

    Their moving statistics are the mean of both, the same on each; those of parts follow twice as often.
    """
    config = make_small_config(
        records_dir, tmp_path, loss=loss, batch_size=8, batch_norm=LOCAL, jit_compile=jit_compile
    )
    two, (first, second) = run_steps(config, two_devices())
    parts, (weights,) = run_steps(dataclasses.replace(config, subdivisions=2), one_device())
    together, _ = run_steps(dataclasses.replace(config, batch_norm='synchronized', jit_compile=False), two_devices())
    for name in METRICS:
        np.testing.assert_allclose(two[name], parts[name], rtol=1e-3, atol=1e-5, err_msg=name)
    of_parts, of_all = (np.abs(two['loss'] - other['loss']).max() for other in (parts, together))
    assert of_all > 10 * of_parts  # it is another normalisation
    names = [weight.name for weight in state.make_state(config, one_device()).model.variables]
    moved = 0
    for name, a, b, one in zip(names, first, second, weights, strict=True):
        np.testing.assert_array_equal(a, b)
        if name not in ('mean', 'variance'):
            np.testing.assert_allclose(a, one, rtol=1e-3, atol=1e-5, err_msg=name)
        else:
            moved += not np.allclose(a, 0 if name == 'mean' else 1)
    assert moved


def test_local_moving_statistics_are_the_mean_of_the_replicas(records_dir, tmp_path):
    config = make_small_config(records_dir, tmp_path, batch_norm=LOCAL, learning_rate=0, augment=False)
    _, (after, _) = run_steps(config, two_devices(), count=1)
    keras.utils.set_random_seed(0)
    model = state.make_state(config, one_device()).model
    [batch] = pipeline.training_batches(records_dir, 'train', 4, config.seed).take(1)
    values = gradients.weights_of(model)
    first = model.weights[0]
    expected = []
    for rows in (slice(0, 2), slice(2, 4)):
        images = tf.cast(batch['image'][rows], tf.float32) / 255
        outputs = tf.nn.conv2d(tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]]), first, 2, 'VALID').numpy()
        mean, variance = outputs.mean((0, 1, 2), np.float64), outputs.var((0, 1, 2), np.float64, ddof=1)
        expected.append((0.01 * mean, 0.99 + 0.01 * variance))
    at = {weight.path: i for i, weight in enumerate(model.variables)}
    for weight, value in zip(values.moving, np.mean(expected, 0), strict=True):
        np.testing.assert_allclose(after[at[weight.path]], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('subdivisions', [2, 4])
def test_parts_hold_every_image_once(subdivisions):
    batch = {'image': tf.range(8)[:, None], 'labels': tf.range(8)}
    for neighbours, first in ((True, range(8 // subdivisions)), (False, range(0, 8, subdivisions))):
        parts = [
            gradients.part_of(batch, tf.constant(number), subdivisions, neighbours) for number in range(subdivisions)
        ]
        assert parts[0]['labels'].numpy().tolist() == list(first)
        assert sorted(np.concatenate([part['image'].numpy()[:, 0] for part in parts]).tolist()) == list(range(8))


@pytest.mark.slow
@pytest.mark.parametrize('precision', ['float32', 'mixed_float16'])
def test_a_run_in_parts_goes_on_bit_for_bit(records_dir, tmp_path, precision):
    """With several image sizes, averaged weights and a scaled loss."""
    config = make_small_config(
        records_dir,
        tmp_path / 'whole',
        sizes=((64, 64), (96, 96)),
        num_steps=24,
        subdivisions=2,
        ema=0.9,
        precision=precision,
        eval_split='test',
    )
    loop.train(config, one_device())
    halves = dataclasses.replace(config, model_dir=str(tmp_path / 'halves'))
    loop.train(dataclasses.replace(halves, num_steps=13, decay_steps=config.decay_steps), one_device())
    path = tmp_path / 'halves' / config_file.CONFIG
    path.write_text(path.read_text().replace('"num_steps": 13', '"num_steps": 24'))
    loop.train(halves, one_device())
    for whole, half in zip(weights_of(tmp_path / 'whole'), weights_of(tmp_path / 'halves'), strict=True):
        np.testing.assert_array_equal(whole, half)


def test_a_run_moves_to_other_devices(records_dir, tmp_path, caplog):
    """Another number of devices, with or without XLA, another number of steps a call: said, not refused."""
    config = make_small_config(records_dir, tmp_path, batch_size=8, jit_compile=True, replicas=1)
    config_file.write_config(config)
    with caplog.at_level(logging.INFO, 'absl'):
        config_file.check_same_run(dataclasses.replace(config, jit_compile=False, replicas=2, steps_per_loop=5))
    assert 'replicas: 1 there, 2 now' in caplog.text
    assert 'jit_compile: True there, False now' in caplog.text
    with pytest.raises(ValueError, match=r'learning_rate: 0.001 there, 0.1 now'):
        config_file.check_same_run(dataclasses.replace(config, replicas=2, learning_rate=0.1))


@pytest.mark.parametrize(
    ('before', 'now', 'is_same'),
    [
        (('synchronized', 1, 1), ('synchronized', 1, 4), True),
        (('synchronized', 2, 1), ('synchronized', 1, 1), False),
        (('synchronized', 1, 1), ('local', 1, 2), False),
        (('synchronized', 4, 1), ('local', 2, 2), True),
        (('local', 1, 2), ('local', 1, 4), False),
        (('local', 1, 4), ('local', 2, 2), True),
        (('local', 1, 4), ('local', 4, 1), True),
        (('local', 1, 1), ('synchronized', 1, 4), True),
    ],
)
def test_a_run_moves_where_as_many_images_are_normalised(records_dir, tmp_path, before, now, is_same):
    """Each: --batch_norm, --subdivisions, number of devices."""
    config = make_small_config(records_dir, tmp_path, batch_size=8, sizes=None, multi_scale=False, unfreeze_at=None)

    def resolved(batch_norm, subdivisions, devices):
        return resolve.resolve(dataclasses.replace(config, batch_norm=batch_norm, subdivisions=subdivisions), devices)

    config_file.write_config(resolved(*before))
    if is_same:
        config_file.check_same_run(resolved(*now))
        return
    with pytest.raises(ValueError, match=r'images_normalised: \d there, \d now.*choose them so that it is over \d'):
        config_file.check_same_run(resolved(*now))


@pytest.mark.slow
def test_a_run_goes_on_on_two_devices_to_nearly_the_same(records_dir, tmp_path):
    config = make_small_config(records_dir, tmp_path / 'one', batch_size=8, num_steps=6, checkpoint_every=3, keep=9)
    loop.train(config, one_device())
    moved = dataclasses.replace(config, model_dir=str(tmp_path / 'moved'), num_steps=3)
    loop.train(moved, one_device())
    path = tmp_path / 'moved' / config_file.CONFIG
    path.write_text(path.read_text().replace('"num_steps": 3', '"num_steps": 6'))
    loop.train(dataclasses.replace(moved, num_steps=6), two_devices())
    for one, two in zip(weights_of(tmp_path / 'one'), weights_of(tmp_path / 'moved'), strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-3, atol=1e-5)


def test_subdivisions_that_do_not_divide_are_refused(records_dir, tmp_path):
    config = make_small_config(records_dir, tmp_path, batch_size=8, subdivisions=3)
    with pytest.raises(ValueError, match=r'--subdivisions=3: the 8 images of --batch_size=8 must divide by it'):
        loop.train(config, one_device())
    config = dataclasses.replace(config, subdivisions=8)
    with pytest.raises(ValueError, match=r'--subdivisions=8: the 4 images of each of 2 replicas'):
        loop.train(config, two_devices())


@pytest.mark.parametrize('eval_split', ['', 'test'])
def test_nothing_is_read_from_a_device_between_steps_that_are_due(records_dir, tmp_path, monkeypatch, eval_split):
    config = make_small_config(records_dir, tmp_path, num_steps=11, log_every=5, eval_every=10, early_stopping=3)
    config = dataclasses.replace(config, eval_split=eval_split, monitor='map' if eval_split else 'loss')
    tensor = next(each for each in type(tf.constant(0)).__mro__ if '_numpy' in vars(each))
    read, reads, before_step = tensor._numpy, [0], {}

    def counted(self):
        reads[0] += 1
        return read(self)

    take_steps = loop._take_steps

    def take(run, number):
        before_step[number] = reads[0]
        return take_steps(run, number)

    monkeypatch.setattr(tensor, '_numpy', counted)
    monkeypatch.setattr(loop, '_take_steps', take)
    loop.train(config, one_device())
    assert set(before_step) == set(range(11))
    between = {number: before_step[number + 1] - before_step[number] for number in range(10)}
    assert {number for number, count in between.items() if count} == {4, 9}, between


@pytest.mark.slow
def test_a_step_makes_one_sum_of_its_metrics_and_statistics(records_dir, tmp_path, monkeypatch):
    """And one of all gradients; synchronised batch norm one a layer forward, one backward."""
    sums = []
    for module in ('yolo.training.update', 'yolo.training.optimizer', 'yolo.models.layers'):
        original = __import__(module, fromlist=['x']).sum_over_replicas
        monkeypatch.setattr(
            f'{module}.sum_over_replicas',
            lambda values, original=original, module=module: sums.append(module) or original(values),
        )
    for batch_norm, of_layers in (('synchronized', 2), (LOCAL, 0)):
        sums.clear()
        run_steps(make_small_config(records_dir, tmp_path, batch_norm=batch_norm), two_devices(), count=1)
        counts = {module: sums.count(module) / 2 for module in set(sums)}  # each replica asks
        assert counts.pop('yolo.models.layers', 0) == of_layers
        assert counts == {'yolo.training.update': 1, 'yolo.training.optimizer': 1}


def test_no_step_calls_the_host(records_dir, tmp_path):
    """A remote TPU could not run it. The names of the operations of Python functions in TensorFlow."""
    config = make_small_config(records_dir, tmp_path, subdivisions=2, precision='mixed_float16', ema=0.9)
    strategy = one_device()
    run_state = state.make_state(config, strategy)
    accumulators = step.make_accumulators(run_state, config, strategy)
    taken = step._make_step(run_state, config, strategy, (96, 96), accumulators)
    batch = next(iter(distribute_batches(config, strategy, 0)))
    graph = tf.function(taken).get_concrete_function(batch, tf.constant(0, tf.int64)).graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    assert len(nodes) > 100
    assert not {node.op for node in nodes} & {
        'PyFunc',
        'EagerPyFunc',
        'PyFuncStateless',
        'Timestamp',
        'Print',
        'PrintV2',
    }


def test_too_little_memory_names_the_ways_out(records_dir, tmp_path, monkeypatch):
    config = make_small_config(records_dir, tmp_path, batch_size=8, subdivisions=2)

    def make_steps(*args):
        def call(*args):
            raise tf.errors.ResourceExhaustedError(None, None, 'OOM when allocating tensor with shape[8,96,96,8]')

        return call

    monkeypatch.setattr(loop, 'make_steps', make_steps)
    ways_out = r'for 4 images of 96 x 96 .*--subdivisions=4 or more, smaller --sizes, --precision=mixed_bfloat16'
    with pytest.raises(ValueError, match=ways_out):
        loop.train(config, one_device())
