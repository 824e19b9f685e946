"""More steps for a run that has begun: where its learning rate stays what it was, and the way out elsewhere."""

import dataclasses
import re

import numpy as np
import pytest
from training_runs import make_small_config, one_device, weights_of

from yolo.training import loop, resolve
from yolo.training.config import TrainConfig
from yolo.training.config_file import check_same_run, write_config


def resolved(records_dir, model_dir, **changes) -> TrainConfig:
    """Settings of a run in which everything follows from the steps that is not given."""
    derived = {'sizes': None, 'multi_scale': False, 'unfreeze_at': None, 'burn_in': None, 'decay_steps': None}
    return resolve.resolve(make_small_config(records_dir, model_dir, **{**derived, **changes}))


@pytest.mark.parametrize(
    'changes',
    [
        {'lr_schedule': 'constant'},
        {'lr_schedule': 'constant', 'freeze': 1},
        {'lr_schedule': 'constant', 'freeze': 1, 'unfreeze_at': 10},
        {'lr_schedule': 'notebook'},
        {'lr_schedule': 'steps', 'decay_steps': (10, 20)},
    ],
)
def test_more_steps_are_allowed_where_the_rate_stays(records_dir, tmp_path, changes):
    write_config(resolved(records_dir, tmp_path, num_steps=30, **changes))
    longer = resolved(records_dir, tmp_path, num_steps=60, **changes)
    assert longer.burn_in == 6  # and 3 before
    check_same_run(longer, step=30)
    check_same_run(longer, step=6)
    for step in (2, 5):  # the burn-in of one of them is not over
        with pytest.raises(ValueError, match=r'burn_in: 3 there, 6 now.*keep its learning rate with --burn_in=3, or'):
            check_same_run(longer, step)
    check_same_run(dataclasses.replace(longer, burn_in=3), step=2)
    with pytest.raises(ValueError, match=r'learning_rate: 0\.001 there, 0\.1 now'):
        check_same_run(dataclasses.replace(longer, learning_rate=0.1), step=30)


def test_fewer_are_not(records_dir, tmp_path):
    write_config(resolved(records_dir, tmp_path, num_steps=30, lr_schedule='constant'))
    with pytest.raises(ValueError, match=r'num_steps: 30 there, 29 now.*; use its settings to go on with it'):
        check_same_run(resolved(records_dir, tmp_path, num_steps=29, lr_schedule='constant'), step=10)


def test_steps_of_decay_that_follow_from_the_number_of_steps_can_be_kept(records_dir, tmp_path):
    write_config(resolved(records_dir, tmp_path, num_steps=1000))
    with pytest.raises(ValueError, match='num_steps: 1000 there, 2000 now; decay_steps: ') as caught:
        check_same_run(resolved(records_dir, tmp_path, num_steps=2000), step=1000)
    way_out = re.search(
        r'keep its learning rate with --decay_steps=(\d+),(\d+), or train on from its ', str(caught.value)
    )
    assert f'another --model_dir and --init_weights={tmp_path};' in str(caught.value)
    kept = tuple(int(number) for number in way_out.groups())
    check_same_run(resolved(records_dir, tmp_path, num_steps=2000, decay_steps=kept), step=1000)


def test_a_cosine_ends_with_its_steps(records_dir, tmp_path):
    write_config(resolved(records_dir, tmp_path, num_steps=30, lr_schedule='cosine'))
    longer = resolved(records_dir, tmp_path, num_steps=60, lr_schedule='cosine')
    message = rf'num_steps: 30 there, 60 now\); its cosine .* another --model_dir and --init_weights={tmp_path};'
    with pytest.raises(ValueError, match=message):
        check_same_run(longer, step=30)


def test_convolutions_that_would_be_trained_now_are_named(records_dir, tmp_path):
    changes = {'lr_schedule': 'constant', 'freeze': 1}
    write_config(resolved(records_dir, tmp_path, num_steps=30, **changes))
    with pytest.raises(ValueError, match='unfreeze_at: 30 there, 40 now'):
        check_same_run(resolved(records_dir, tmp_path, num_steps=60, unfreeze_at=40, **changes), step=30)


@pytest.mark.slow
def test_a_longer_run_is_one_that_was_long_from_the_start(records_dir, tmp_path):
    longer = make_small_config(records_dir, tmp_path / 'whole', num_steps=8, lr_schedule='constant', burn_in=1, ema=0.9)
    loop.train(longer, one_device())
    folder = str(tmp_path / 'in two')
    loop.train(dataclasses.replace(longer, model_dir=folder, num_steps=3), one_device())
    result = loop.train(dataclasses.replace(longer, model_dir=folder), one_device())
    assert (result.reason, result.step) == ('finished', 8)
    for whole, in_two in zip(weights_of(tmp_path / 'whole'), weights_of(folder), strict=True):
        np.testing.assert_array_equal(whole, in_two)
