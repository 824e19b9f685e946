"""Runs on classes that are not balanced: what is shown more often."""

import dataclasses
import itertools
import logging

import numpy as np
import pytest
from training_runs import make_small_config, one_device

from yolo.data import label_reading, pipeline, sampling
from yolo.training import batches, checks, settings_summary
from yolo.training.config import TrainConfig


@pytest.fixture
def balanced(records_dir, tmp_path) -> TrainConfig:
    """Settings of a run in which both classes are rare, so that every image with an object is repeated."""
    return make_small_config(records_dir, tmp_path, sampling='balanced', sampling_threshold=1.0, batch_size=3)


def take(config: TrainConfig, first_step: int, count: int) -> list[dict]:
    return list(itertools.islice(batches.distribute_batches(config, one_device(), first_step), count))


def test_a_run_goes_on_with_the_same_batches(balanced):
    whole, rest = take(balanced, 0, 9), take(balanced, 4, 5)  # an epoch is four batches, the second ends within one
    for a, b in zip(whole[4:], rest, strict=True):
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])
    uniform = take(dataclasses.replace(balanced, sampling='uniform', sampling_threshold=None), 0, 1)
    assert not np.array_equal(uniform[0]['image'], whole[0]['image'])


def test_an_epoch_has_what_the_factors_say(balanced):
    repeats = batches.read_repeats(balanced)
    length = -(-int(repeats.sum()) // sampling.ONE)
    assert 8 < length < 20
    args = balanced.data_dir, 'train', 1, balanced.seed
    ids = [pipeline.training_ids(*args, step, repeats=repeats)[0] for step in range(2 * length)]
    assert ids[:length] != ids[length:]
    for epoch in (ids[:length], ids[length:]):
        counts = [epoch.count(f'train_{i}') for i in (*range(0, 8, 2), *range(1, 8, 2))]  # as in the two files
        assert (np.array(counts) >= 1).all()
        assert np.abs(np.array(counts) - repeats / sampling.ONE).max() < 2
    owners, _ = label_reading.read_labels(balanced.data_dir, 'train')
    assert set(np.flatnonzero(repeats == sampling.ONE)) >= set(range(8)) - set(owners.tolist())


def test_the_log_says_what_comes_more_often(balanced, caplog):
    with caplog.at_level(logging.INFO, 'absl'):
        batches.read_repeats(balanced)
        batches.read_repeats(dataclasses.replace(balanced, sampling_threshold=0.01))
        batches.read_repeats(dataclasses.replace(balanced, sampling='uniform'))
    first, second = caplog.messages
    assert 'balanced sampling: an epoch has 1.' in first
    assert 'bright 1.' in first
    assert second.endswith('an epoch has 1.00 times the images of the split; rarest classes: none is rare')
    lines = settings_summary.summarize_settings(balanced, one_device(), num_images=8)
    assert lines[2].endswith('epochs), balanced sampling')


def test_a_threshold_without_balanced_sampling_is_refused(balanced):
    with pytest.raises(ValueError, match='--sampling_threshold=1.0 goes with --sampling=balanced'):
        checks.check_config(dataclasses.replace(balanced, sampling='uniform'), one_device())
