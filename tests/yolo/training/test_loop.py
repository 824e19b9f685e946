import dataclasses
import json
import logging
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import write_records
from training_runs import (
    check_two_devices_take_the_steps_of_one,
    make_config,
    make_small_config,
    one_device,
    run_steps,
    two_devices,
    weights_of,
)

from yolo.data import pipeline, records
from yolo.detection import graph
from yolo.evaluation import inference
from yolo.models import architectures, cfg, model_folder
from yolo.models.darknet import save_darknet
from yolo.training import loop, losses, network, state, step
from yolo.training.batches import distribute_batches
from yolo.training.config import LOSSES
from yolo.training.config_file import check_same_run, read_config, write_config
from yolo.training.schedule import Rate, notebook_decay_steps
from yolo.training.update import METRICS


@pytest.mark.slow
@pytest.mark.parametrize('loss', LOSSES)
def test_two_devices_take_the_steps_of_one(records_dir, tmp_path, loss):
    config = make_small_config(records_dir, tmp_path, loss=loss, weight_decay=0.1, ema=0.9, mosaic=0.5, batch_size=8)
    check_two_devices_take_the_steps_of_one(config)


@pytest.mark.slow
def test_compiled_steps_are_the_same(records_dir, tmp_path):
    config = make_config(records_dir, tmp_path)
    plain, _ = run_steps(config, one_device())
    compiled, _ = run_steps(dataclasses.replace(config, jit_compile=True), one_device())
    np.testing.assert_allclose(compiled['loss'], plain['loss'], rtol=1e-4)
    np.testing.assert_allclose(compiled['gradient_norm'], plain['gradient_norm'], rtol=1e-3)


def test_a_step_is_darknets(records_dir, tmp_path):
    """Two steps of SGD by hand: momentum without the rate, L2 on kernels alone, the loss over the batch size."""
    config = make_config(
        records_dir, tmp_path, augment=False, weight_decay=0.01, burn_in=0, decay_steps=(2,), learning_rate=1e-2
    )
    keras.utils.set_random_seed(0)
    run_state = state.make_state(config, one_device())
    twin = network.make_model(config)
    twin.set_weights(run_state.model.get_weights())
    steps = step.make_steps(run_state, config, one_device(), (96, 96))
    metrics = steps(iter(distribute_batches(config, one_device(), 0)), 0, 2)[0].numpy()
    velocity = [np.zeros(v.shape) for v in twin.trainable_variables]
    expected_batches = pipeline.training_batches(records_dir, 'train', 4, config.seed)
    for batch, rate, norm in zip(
        expected_batches, (1e-2, 1e-3), metrics[:, METRICS.index('gradient_norm')], strict=False
    ):
        with tf.GradientTape() as tape:
            raw = twin(tf.cast(batch['image'], tf.float32) / 255, training=True)
            seen = 0 if rate == 1e-2 else 4
            value = losses.region_loss(raw, batch['boxes'], batch['labels'], config.anchors, seen) / 4
        gradients = tape.gradient(value, twin.trainable_variables)
        totals = [
            gradient + (0.01 * weight if weight.name == 'kernel' else 0)
            for weight, gradient in zip(twin.trainable_variables, gradients, strict=True)
        ]
        np.testing.assert_allclose(norm, np.sqrt(sum(np.sum(np.square(total)) for total in totals)), rtol=1e-4)
        for i, (weight, total) in enumerate(zip(twin.trainable_variables, totals, strict=True)):
            velocity[i] = 0.9 * velocity[i] + total
            weight.assign_sub(rate * velocity[i])
    for got, expected in zip(run_state.model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_a_run_with_evaluation_leaves_what_it_promises(records_dir, tmp_path, caplog):
    config = make_small_config(records_dir, tmp_path, eval_split='test', eval_every=2, num_steps=5, checkpoint_every=2)
    with caplog.at_level(logging.INFO, 'absl'):
        metrics = loop.train(config, one_device()).metrics
    assert metrics['step'] == 5
    assert metrics['num_images'] == 8
    assert set(metrics['per_class']) == {'bright', 'dark'}
    assert read_config(str(tmp_path)) == dataclasses.replace(config, data_checksum=records.data_checksum(records_dir))
    assert [path.name for path in sorted((tmp_path / 'checkpoints').glob('*.index'))] == [
        'ckpt-2.index',
        'ckpt-4.index',
        'ckpt-5.index',
    ]
    best = json.loads((tmp_path / 'best' / 'metrics.json').read_text())
    assert best['map_11pt'] >= metrics['map_11pt']
    assert model_folder.find_checkpoint(str(tmp_path)).endswith(f'best/ckpt-{best["step"]}')
    assert list((tmp_path / 'tensorboard').glob('events*'))
    assert 'step 5/5  loss' in caplog.text
    assert 'images/s' in caplog.text

    model, _, _ = model_folder.load_trained(str(tmp_path))
    predict = graph.make_predict(model, config.anchors, inference.Thresholds())
    again = inference.evaluate(predict, records_dir, 'test', 3, inference.Thresholds())
    assert again['map_area'] == pytest.approx(best['map_area'])


def test_a_used_folder_with_other_settings_is_refused(records_dir, tmp_path):
    config = make_config(records_dir, tmp_path)
    write_config(config)
    check_same_run(dataclasses.replace(config, eval_every=7))  # changes nothing that is computed
    with pytest.raises(ValueError, match=r'batch_size: 4 there, 8 now.*another --model_dir'):
        check_same_run(dataclasses.replace(config, batch_size=8))


@pytest.mark.parametrize(('freeze', 'is_named'), [(0, False), (1, True)])
def test_a_refusal_names_unfreeze_at_only_where_convolutions_are_frozen(records_dir, tmp_path, freeze, is_named):
    config = make_config(records_dir, tmp_path, num_steps=30, unfreeze_at=30, freeze=freeze)
    write_config(config)
    with pytest.raises(ValueError, match='num_steps: 30 there, 29 now') as caught:
        check_same_run(dataclasses.replace(config, num_steps=29, unfreeze_at=29))
    assert ('unfreeze_at: 30 there' in str(caught.value)) == is_named


def test_bad_settings_are_refused(records_dir, tmp_path):
    config = make_config(records_dir, tmp_path)
    with pytest.raises(ValueError, match=r'batch_size=3.*divide by their 2'):
        loop.train(dataclasses.replace(config, batch_size=3), two_devices())
    with pytest.raises(ValueError, match='jit_compile'):
        loop.train(dataclasses.replace(config, jit_compile=True), two_devices())
    with pytest.raises(ValueError, match=r"no split 'val'"):
        loop.train(dataclasses.replace(config, eval_split='val'), one_device())
    folder = write_records(tmp_path / 'empty')
    description = records.read_description(folder)
    none = dict.fromkeys(description.classes, 0)
    nothing = records.Split(0, 0, 0, 0, none, 0, 0, 0)
    records.write_description(folder, dataclasses.replace(description, splits={**description.splits, 'test': nothing}))
    with pytest.raises(ValueError, match=r"split 'test' of .* has no images"):
        loop.train(dataclasses.replace(config, data_dir=folder, eval_split='test'), one_device())
    with pytest.raises(ValueError, match=r'no config.json'):
        read_config(str(tmp_path))


@pytest.mark.parametrize('log_every', [1, 3])
def test_a_loss_that_is_not_finite_stops_with_step_and_images(records_dir, tmp_path, log_every):
    config = make_small_config(
        records_dir, tmp_path, learning_rate=1000.0, burn_in=0, num_steps=50, log_every=log_every
    )
    with pytest.raises(FloatingPointError, match=r'loss of step (\d+) is not finite') as caught:
        loop.train(config, one_device())
    message = str(caught.value)
    step = int(message.split('step ')[1].split(' ')[0])
    for image_id in pipeline.training_ids(records_dir, 'train', 4, config.seed, step):
        assert image_id in message
    with pytest.raises(ValueError, match='no latest checkpoint'):
        model_folder.find_checkpoint(str(tmp_path), 'latest')


@pytest.mark.slow
def test_a_model_that_is_not_finite_is_neither_saved_nor_loaded(records_dir, tmp_path):
    config = make_small_config(records_dir, tmp_path, num_steps=1)
    with pytest.raises(ValueError, match='learning_rate=nan'):
        dataclasses.replace(config, learning_rate=math.nan)
    loop.train(config, one_device())
    model = model_folder.load_trained(str(tmp_path), 'latest')[0]
    model.weights[0].assign(model.weights[0] * math.nan)
    with pytest.raises(FloatingPointError, match=r'conv_0/kernel are not finite: nothing is saved in .*none yet'):
        model_folder.save_whole(str(tmp_path / 'bad'), model, 1)
    assert not (tmp_path / 'bad').exists()
    checkpoint = tf.train.Checkpoint(model=model, seen=model_folder.new_seen(1))
    checkpoint.save(f'{tmp_path}/bad/ckpt')  # as another program might
    with pytest.raises(ValueError, match='not finite: its training diverged'):
        model_folder.load_trained(str(tmp_path), f'{tmp_path}/bad/ckpt-1')


@pytest.mark.slow
def test_a_finished_run_is_evaluated_when_asked_later(records_dir, tmp_path):
    config = make_small_config(records_dir, tmp_path, num_steps=2)
    assert loop.train(config, one_device()).metrics is None
    metrics = loop.train(dataclasses.replace(config, eval_split='test'), one_device()).metrics
    assert (metrics['step'], metrics['split']) == (2, 'test')
    assert model_folder.find_checkpoint(str(tmp_path), 'best').endswith('ckpt-2')
    metrics = loop.train(dataclasses.replace(config, eval_split='train'), one_device())
    assert json.loads((tmp_path / 'best/metrics.json').read_text())['split'] == 'train'  # not compared with the other


def test_the_rate_is_darknets():
    rate = Rate(1e-3, burn_in=1000, decay_steps=(40000, 60000))
    for batches, expected in (
        (1, 1e-3 * 0.001**4),
        (500, 1e-3 / 16),
        (1000, 1e-3),
        (39999, 1e-3),
        (40000, 1e-4),
        (60000, 1e-5),
        (80200, 1e-5),
    ):
        assert float(rate(batches - 1)) == pytest.approx(expected, rel=1e-5)
    cosine = Rate(0.1, cosine_steps=100)
    assert float(cosine(49)) == pytest.approx(0.05)
    assert float(cosine(99)) == pytest.approx(0, abs=1e-8)


def test_the_notebooks_rate_changes_with_the_epoch():
    steps = notebook_decay_steps(num_images=100, batch_size=16)
    assert steps == (469, 657)
    rate = Rate(0.01, decay_steps=steps)
    assert [float(rate(step)) for step in (0, 467, 468, 656)] == pytest.approx([0.01, 0.01, 0.001, 0.0001])


@pytest.mark.slow
def test_frozen_convolutions_stay_until_their_step(records_dir, tmp_path):
    config = make_config(
        records_dir,
        tmp_path,
        num_steps=4,
        freeze=2,
        unfreeze_at=3,
        checkpoint_every=1,
        keep=9,
        optimizer='adam',
        weight_decay=0.1,
    )
    loop.train(config, one_device())

    def at(step):
        model = model_folder.load_trained(str(tmp_path), f'{tmp_path}/checkpoints/ckpt-{step}')[0]
        assert model.seen == 4 * step
        return [
            [weight.numpy() for layer in layers if layer for weight in layer.weights]
            for _, *layers in model.convolutions()
        ]

    first, third, fourth = at(1), at(3), at(4)
    for number, (a, b, c) in enumerate(zip(first, third, fourth, strict=True)):
        for x, y, z in zip(a, b, c, strict=True):
            assert np.array_equal(x, y) == (number < 2)
            assert not np.array_equal(y, z)


@pytest.mark.slow
def test_a_run_begins_with_the_weights_it_is_given(records_dir, tmp_path, caplog):
    source = make_config(records_dir, tmp_path / 'source', num_steps=2)
    loop.train(source, one_device())
    model = model_folder.load_trained(source.model_dir)[0]
    save_darknet(model, str(tmp_path / 'b.cfg'), str(tmp_path / 'b.weights'), num_convolutions=2)
    model.save(tmp_path / 'm.keras')
    other = dataclasses.replace(source, anchors=((1.0, 1.0), (2.0, 2.0)))
    for path, count in (
        (tmp_path / 'b.weights', 2),
        (tmp_path / 'm.keras', 3),
        (tmp_path / 'source', 3),
        (tmp_path / 'source/checkpoints/ckpt-2', 3),
    ):
        target = network.make_model(other)
        loaded = model_folder.initialize(target, str(path))
        assert len(loaded.loaded) == count
        for number, ((_, conv, norm), (_, theirs, their_norm)) in enumerate(
            zip(target.convolutions(), model.convolutions(), strict=True)
        ):
            same = number < count
            assert np.array_equal(conv.kernel.numpy(), theirs.kernel.numpy()) == same
            if norm is not None:
                assert np.array_equal(norm.mean.numpy(), their_norm.mean.numpy()) == same
    wider = network.make_model(dataclasses.replace(source, model='yolov2-tiny', width=1 / 8))
    with pytest.raises(ValueError, match='it has no convolution of the shape'):
        model_folder.initialize(wider, source.model_dir)
    with pytest.raises(ValueError, match='cannot be read'):
        model_folder.initialize(wider, str(tmp_path / 'nothing'))

    run = dataclasses.replace(
        source, model_dir=str(tmp_path / 'run'), init_weights=str(tmp_path / 'b.weights'), freeze=2, unfreeze_at=9
    )
    with caplog.at_level(logging.INFO, 'absl'):
        loop.train(run, one_device())
    assert '2 of 4 convolutions loaded: conv_0, conv_2' in caplog.text
    assert 'random weights: conv_4, conv_6' in caplog.text
    assert '2 of 4 convolutions are frozen' in caplog.text
    trained = model_folder.load_trained(run.model_dir)[0]
    for (_, conv, norm), (_, theirs, their_norm) in zip(trained.convolutions()[:2], model.convolutions(), strict=False):
        np.testing.assert_array_equal(conv.kernel.numpy(), theirs.kernel.numpy())
        np.testing.assert_array_equal(norm.variance.numpy(), their_norm.variance.numpy())
    caplog.clear()
    with caplog.at_level(logging.INFO, 'absl'):
        loop.train(run, one_device())  # it does not begin again
    assert 'finished already' in caplog.text
    assert 'loaded' not in caplog.text


@pytest.mark.slow
def test_a_cfg_is_trained_like_the_name_it_spells(records_dir, tmp_path):
    named = make_config(records_dir, tmp_path / 'named', model='yolov2-tiny', width=1 / 16, num_steps=2)
    (tmp_path / 'n.cfg').write_text(
        cfg.write(architectures.build_spec('yolov2-tiny', 7, [(1, 1)] * 4, 1 / 16, (320, 320)))
    )
    loop.train(named, one_device())
    loop.train(
        dataclasses.replace(named, model=str(tmp_path / 'n.cfg'), width=1.0, model_dir=str(tmp_path / 'cfg')),
        one_device(),
    )
    for a, b in zip(weights_of(tmp_path / 'named'), weights_of(tmp_path / 'cfg'), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (tmp_path / 'named/network.cfg').read_text() == (tmp_path / 'cfg/network.cfg').read_text()
    (tmp_path / 'n.cfg').write_text(
        cfg.write(architectures.build_spec('yolov2-tiny', 7, [(1, 1)] * 4, 1 / 8, (320, 320)))
    )
    with pytest.raises(ValueError, match='another network'):
        loop.train(
            dataclasses.replace(named, model=str(tmp_path / 'n.cfg'), width=1.0, model_dir=str(tmp_path / 'cfg')),
            one_device(),
        )
    text = (tmp_path / 'n.cfg').read_text()
    (tmp_path / 'n.cfg').write_text(text.replace('object_scale=5', 'object_scale=3'))
    with pytest.raises(ValueError, match=r'\[region\] object_scale=3.*object_scale=5'):
        network.make_network(dataclasses.replace(named, model=str(tmp_path / 'n.cfg'), width=1.0))
    (tmp_path / 'n.cfg').write_text(text)
    (tmp_path / 'n.cfg').write_text(text.replace('[maxpool]\nsize=2\nstride=2\n', '', 1))
    with pytest.raises(ValueError, match=r'grid of 6 x 6 for 96 x 96 pixels, the records have cells of 32 x 32'):
        network.make_network(dataclasses.replace(named, model=str(tmp_path / 'n.cfg'), width=1.0))
    (tmp_path / 'n.cfg').write_text(text)
    with pytest.raises(
        ValueError, match=r'--width=0.5: only named networks have a width; change the filters in .*n.cfg'
    ):
        network.make_network(dataclasses.replace(named, model=str(tmp_path / 'n.cfg'), width=0.5))
    with pytest.raises(ValueError, match=r'--model=yolov9: not one of yolov2, yolov2-tiny, nor the path'):
        network.make_network(dataclasses.replace(named, model='yolov9'))


@pytest.mark.slow
def test_it_learns(tmp_path):
    data_dir = write_records(tmp_path / 'data', num_images=24)
    config = make_config(
        data_dir,
        tmp_path / 'run',
        eval_split='train',
        num_steps=400,
        optimizer='adam',
        learning_rate=2e-2,
        lr_schedule='cosine',
        decay_steps=(),
        burn_in=10,
        weight_decay=0.0,
        augment=False,
        batch_size=8,
        log_every=100,
        steps_per_loop=100,
    )
    assert loop.train(config, one_device()).metrics['map_11pt'] > 0.8
