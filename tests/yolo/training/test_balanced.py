"""Runs on classes that are not balanced: what is shown more often, and what weighs more."""

import dataclasses
import itertools
import logging

import numpy as np
import pytest
import tensorflow as tf
from training_runs import make_small_config, one_device, weights_of

from yolo.data import label_reading, pipeline, records, sampling
from yolo.training import batches, checks, config_file, gradients, loop, resolve, settings_summary
from yolo.training.config import TrainConfig


@pytest.fixture
def balanced(records_dir, tmp_path) -> TrainConfig:
    """Settings of a run in which both classes are rare, so that every image with an object is repeated."""
    return make_small_config(records_dir, tmp_path, sampling='balanced', sampling_threshold=1.0, batch_size=3)


@pytest.mark.slow
def test_a_run_goes_on_with_the_same_batches(balanced):
    args = balanced.data_dir, 'train', 3, balanced.seed, batches.augmentation_ranges(balanced)
    repeats = batches.read_repeats(balanced)
    whole = list(itertools.islice(pipeline.training_batches(*args, repeats=repeats), 7))
    [sixth] = itertools.islice(batches.distribute_batches(balanced, one_device(), 6), 1)  # within the second epoch
    for name in sixth:
        np.testing.assert_array_equal(sixth[name], whole[6][name])


def test_an_epoch_has_what_the_factors_say(balanced):
    repeats = batches.read_repeats(balanced)
    length = -(-int(repeats.sum()) // sampling.ONE)
    assert 8 < length < 20
    args = balanced.data_dir, 'train', length, balanced.seed
    epochs = [pipeline.training_ids(*args, step, repeats=repeats) for step in (0, 1)]
    assert epochs[0] != epochs[1]
    for epoch in epochs:
        counts = [epoch.count(f'train_{i}') for i in (*range(0, 8, 2), *range(1, 8, 2))]  # as in the two files
        assert (np.array(counts) >= 1).all()
        assert np.abs(np.array(counts) - repeats / sampling.ONE).max() < 2
    owners, _ = label_reading.read_labels(balanced.data_dir, 'train')
    assert set(np.flatnonzero(repeats == sampling.ONE)) >= set(range(8)) - set(owners.tolist())


def test_the_log_says_what_comes_more_often(balanced, caplog):
    with caplog.at_level(logging.INFO, 'absl'):
        batches.read_repeats(balanced, log=True)
        batches.read_repeats(dataclasses.replace(balanced, sampling_threshold=0.01), log=True)
        batches.read_repeats(dataclasses.replace(balanced, sampling='uniform'), log=True)
    first, second = caplog.messages
    assert 'balanced sampling: an epoch has 1.' in first
    assert 'bright 1.' in first
    assert second.endswith('an epoch has 1.00 times the images of the split; rarest classes: none is rare')
    lines = settings_summary.summarize_settings(balanced, one_device(), num_images=8)
    assert lines[2].endswith('epochs), balanced sampling')


def test_a_threshold_without_balanced_sampling_is_refused(balanced):
    with pytest.raises(ValueError, match=r'--sampling_threshold=1\.0 goes with --sampling=balanced'):
        checks.check_config(dataclasses.replace(balanced, sampling='uniform'), one_device())


def test_class_weights_have_the_mean_one_over_the_objects(records_dir, tmp_path):
    given = TrainConfig(data_dir=records_dir, train_split='train', model_dir=str(tmp_path), num_steps=10)
    config = resolve.resolve(dataclasses.replace(given, class_weights='balanced'))
    description = records.read_description(records_dir)
    objects = description.split('train').objects_per_class
    (first, second), numbers = config.class_loss_weights, [objects[name] for name in description.classes]
    assert first * numbers[0] + second * numbers[1] == pytest.approx(sum(numbers))
    assert first**2 * numbers[0] == pytest.approx(second**2 * numbers[1])
    assert first != second
    assert resolve.resolve(given).class_loss_weights == ()
    config_file.write_config(config)
    assert config_file.read_config(str(tmp_path)) == config
    with pytest.raises(ValueError, match='class_weights: balanced there, none now'):
        config_file.check_same_run(resolve.resolve(given))


def test_a_class_without_objects_has_no_say_in_the_weights(records_dir, tmp_path, monkeypatch):
    description = records.read_description(records_dir)
    split = dataclasses.replace(description.split('train'), objects_per_class={'bright': 30, 'dark': 0, 'grey': 10})
    more = dataclasses.replace(description, classes=('bright', 'dark', 'grey'), splits={'train': split})
    monkeypatch.setattr(records, 'read_description', lambda data_dir: more)
    given = TrainConfig(data_dir=records_dir, train_split='train', model_dir=str(tmp_path), class_weights='balanced')
    mean = (np.sqrt(30) + np.sqrt(10)) / 40
    assert resolve.resolve(given).class_loss_weights == pytest.approx(
        (np.sqrt(1 / 30) / mean, 1.0, np.sqrt(1 / 10) / mean)
    )


@pytest.mark.parametrize('loss', ['region', 'notebook'])
def test_a_step_takes_the_class_weights(records_dir, tmp_path, loss):
    """Twice the class loss where all weights are 2, and no other term."""
    config = make_small_config(records_dir, tmp_path, loss=loss)
    weighted = dataclasses.replace(config, class_loss_weights=(2.0, 2.0))
    [batch] = pipeline.training_batches(records_dir, 'train', 4, 0).take(1)
    raw = tf.random.stateless_normal((4, 3, 3, 3, 7), (1, 2))
    plain, doubled = (
        gradients._loss_terms(each, raw, batch, batch['places'], tf.constant(0), 1) for each in (config, weighted)
    )
    assert float(plain['class']) > 0
    assert float(doubled['class']) == pytest.approx(2 * float(plain['class']), rel=1e-6)
    assert float(doubled['box']) == float(plain['box'])
    assert float(doubled['loss'] - plain['loss']) == pytest.approx(float(plain['class']), rel=1e-4)


def test_weights_that_were_not_resolved_are_refused(records_dir, tmp_path):
    config = make_small_config(records_dir, tmp_path, class_weights='balanced')
    with pytest.raises(ValueError, match='class_loss_weights: none; call '):
        checks.check_config(config, one_device())


@pytest.mark.slow
def test_a_run_that_stops_within_an_epoch_ends_with_the_same_weights(balanced, tmp_path):
    whole = dataclasses.replace(
        balanced, model_dir=str(tmp_path / 'whole'), lr_schedule='constant', decay_steps=(), burn_in=1, num_steps=9
    )
    weights = {'class_weights': 'balanced', 'class_loss_weights': (0.5, 1.5)}
    whole = dataclasses.replace(whole, **weights)
    in_two = dataclasses.replace(whole, model_dir=str(tmp_path / 'in two'))
    loop.train(whole, one_device())
    loop.train(dataclasses.replace(in_two, num_steps=5), one_device())  # an epoch is four batches and a part of one
    loop.train(in_two, one_device())
    for one, two in zip(weights_of(whole.model_dir), weights_of(in_two.model_dir), strict=True):
        np.testing.assert_array_equal(one, two)
