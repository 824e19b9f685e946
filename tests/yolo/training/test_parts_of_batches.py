"""Subdivisions, batch norm of each replica, and what a step exchanges between replicas and with the host."""

import dataclasses
import itertools
import logging

import darknet_twin
import keras
import numpy as np
import pytest
import tensorflow as tf
from training_runs import (
    check_two_devices_take_the_steps_of_one,
    make_small_config,
    one_device,
    run_steps,
    two_devices,
    weights_of,
)

from yolo.data import pipeline
from yolo.models import layers
from yolo.training import compiled, config_file, gradients, loop, losses, network, resolve, state, step
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


@pytest.mark.parametrize('batch_norm', ['synchronized', LOCAL])
def test_parts_are_darknets_subdivisions(records_dir, tmp_path, batch_norm):
    """Three steps of its arithmetic, but for the region layer's delta, which is proven against Darknet's own."""
    config = make_small_config(records_dir, tmp_path, augment=False, weight_decay=0.01, burn_in=0, decay_steps=())
    config = dataclasses.replace(config, subdivisions=2, learning_rate=1e-2, batch_norm=batch_norm)
    keras.utils.set_random_seed(0)
    run_state = state.make_state(config, one_device())
    before = _arrays(run_state.model)
    twin = darknet_twin.Twin(*before)
    accumulators = step.make_accumulators(run_state, config, one_device())
    steps = step.make_steps(run_state, config, one_device(), (96, 96), accumulators)
    steps(iter(distribute_batches(config, one_device(), 0)), 0, 3)

    for number, batch in enumerate(pipeline.training_batches(records_dir, 'train', 4, config.seed).take(3)):
        rows = [slice(0, 2), slice(2, 4)] if batch_norm == LOCAL else [slice(0, 4, 2), slice(1, 4, 2)]
        parts = [{name: value[each] for name, value in batch.items()} for each in rows]

        def delta_of(part, output, number=number, parts=parts):
            raw = tf.reshape(tf.constant(output, tf.float32), (2, 3, 3, 3, 7))
            with tf.GradientTape() as tape:
                tape.watch(raw)
                truth = parts[part]['boxes'], parts[part]['labels']
                loss = losses.region_loss(raw, *truth, config.anchors, seen=4 * number + 2 * part)
            return -np.reshape(tape.gradient(loss, raw), output.shape).astype(np.float64)

        twin.step([part['image'].numpy() / 255 for part in parts], delta_of, rate=1e-2, momentum=0.9, decay=0.01)
    by_hand = *twin.weights[:3], twin.mean, twin.variance, twin.last_kernel[None, None], twin.biases
    # Darknet adds 1e-5 to the variance on the way back and 1e-6 to its root on the way forth; our gradient is exact.
    for number, (first, ours, expected) in enumerate(zip(before, _arrays(run_state.model), by_hand, strict=True)):
        moved = np.abs(ours - first).max()
        assert moved > 1e-3
        np.testing.assert_allclose(ours, expected, rtol=0, atol=0.02 * moved, err_msg=str(number))


def _arrays(model) -> list[np.ndarray]:
    """Kernel, gamma, beta, mean and variance of the first convolution, kernel and biases of the last one."""
    (_, first, norm), (_, last, _) = model.convolutions()
    variables = (first.kernel, norm.gamma, norm.beta, norm.mean, norm.variance, last.kernel, last.bias)
    return [variable.numpy() for variable in variables]


@pytest.mark.slow
@pytest.mark.parametrize('loss', ['region', 'notebook'])
def test_two_devices_take_the_steps_of_one_in_parts(records_dir, tmp_path, loss):
    config = make_small_config(records_dir, tmp_path, loss=loss, ema=0.9, batch_size=8, subdivisions=2)
    check_two_devices_take_the_steps_of_one(config)


@pytest.mark.slow
def test_two_devices_in_mixed_precision_take_the_steps_of_one_in_parts(records_dir, tmp_path):
    config = make_small_config(records_dir, tmp_path, batch_size=8, subdivisions=2, precision='mixed_float16')
    of_one, _ = run_steps(config, one_device())
    of_two, (first, second) = run_steps(config, two_devices())
    np.testing.assert_array_equal(of_two['skipped'], of_one['skipped'])
    assert not of_two['skipped'][1:].any()  # the first one overflows, and halves the scale of the loss
    np.testing.assert_allclose(of_two['loss'], of_one['loss'], rtol=1e-2)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('loss', 'jit_compile', 'subdivisions'),
    [('region', False, 1), ('region', True, 1), ('notebook', True, 1), ('region', True, 2)],
)
def test_local_replicas_take_the_steps_of_parts(records_dir, tmp_path, loss, jit_compile, subdivisions):
    """Two replicas, each with its own batch norm, change the weights as twice the parts of one replica do.

    Their moving statistics are the mean of both, the same on each; those of parts follow twice as often.
    """
    config = make_small_config(
        records_dir, tmp_path, loss=loss, batch_size=8, batch_norm=LOCAL, jit_compile=jit_compile,
        subdivisions=subdivisions,
    )  # fmt: skip
    two, (first, second) = run_steps(config, two_devices())
    parts, (weights,) = run_steps(dataclasses.replace(config, subdivisions=2 * subdivisions), one_device())
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


def test_what_changes_is_said(records_dir, tmp_path, caplog):
    """How often the moving statistics follow; and in a run of a version that did not write the devices."""
    config = make_small_config(records_dir, tmp_path, batch_size=8, batch_norm=LOCAL, subdivisions=4)
    config = dataclasses.replace(config, images_normalised=2, replicas=0, jit_compile=True)
    config_file.write_config(config)
    with caplog.at_level(logging.INFO, 'absl'):
        config_file.check_same_run(dataclasses.replace(config, subdivisions=2, replicas=2, jit_compile=False))
    assert 'follow 2 times a step, before 4 times' in caplog.text
    assert 'jit_compile: True there, False now' in caplog.text
    assert 'replicas:' not in caplog.text


@pytest.mark.parametrize(
    ('before', 'now', 'is_same'),
    [
        (('synchronized', 1, 1), ('synchronized', 1, 4), True),
        (('synchronized', 2, 1), ('synchronized', 1, 1), False),
        (('synchronized', 1, 1), ('local', 1, 2), False),
        (('synchronized', 4, 1), ('local', 2, 2), False),
        (('synchronized', 1, 2), ('local', 1, 1), True),
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
    over = r'images_normalised: \d there, \d now.*choose them so that it is over \d'
    groups = 'batch_norm: synchronized there, local now'  # over as many images, but other ones
    with pytest.raises(ValueError, match=f'{over}|{groups}'):
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


@pytest.mark.parametrize(
    ('eval_split', 'strategy', 'steps_per_loop'),
    [
        ('', one_device, 1),
        pytest.param('test', one_device, 1, marks=pytest.mark.slow),
        pytest.param('', two_devices, 2, marks=pytest.mark.slow),
    ],
)
def test_nothing_is_read_from_a_device_between_steps_that_are_due(
    records_dir, tmp_path, monkeypatch, eval_split, strategy, steps_per_loop
):
    config = make_small_config(records_dir, tmp_path, num_steps=11, log_every=5, eval_every=10, early_stopping=3)
    config = dataclasses.replace(config, eval_split=eval_split, monitor='map' if eval_split else 'loss')
    config = dataclasses.replace(config, steps_per_loop=steps_per_loop)
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
    loop.train(config, strategy())
    starts = list(before_step)  # of the calls of the graph
    assert starts == (list(range(11)) if steps_per_loop == 1 else [0, 2, 4, 5, 7, 9, 10])
    read_before = {end for start, end in itertools.pairwise(starts) if before_step[end] > before_step[start]}
    assert read_before == {5, 10}, before_step


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


@pytest.mark.parametrize(
    ('message', 'error', 'said'),
    [
        (
            'OOM when allocating tensor with shape[8,96,96,8]',
            ValueError,
            r'for 4 images of 96 x 96 .*--subdivisions=4 or 8, smaller --sizes, --precision=mixed_bfloat16',
        ),
        (
            '/programs/xla_compile_cache__1.pb; No space left on device',
            OSError,
            'cannot be written to --compiled_dir: the disk may be full',
        ),
    ],
)
def test_exhausted_resources_are_told_apart(records_dir, tmp_path, monkeypatch, message, error, said):
    monkeypatch.setenv(compiled.FLAGS, '--tf_xla_persistent_cache_directory="/programs"')
    config = make_small_config(records_dir, tmp_path, batch_size=8, subdivisions=2)

    def make_steps(*args):
        def call(*args):
            raise tf.errors.ResourceExhaustedError(None, None, message)

        return call

    monkeypatch.setattr(loop, 'make_steps', make_steps)
    with pytest.raises(error, match=said):
        loop.train(config, one_device())
