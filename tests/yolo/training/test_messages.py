"""What a run says before it begins and about the time that it will take."""

import logging
import re
import types

import pytest
import tensorflow as tf
from training_runs import make_small_config, one_device

from yolo.training import loop, progress, settings_summary, time_estimate
from yolo.training.time_estimate import StepTimer
from yolo.training.update import METRICS

DAY = 24 * 3600


@pytest.mark.parametrize(
    ('seconds', 'speed', 'text'),
    [
        (3 * 3600 + 20 * 60 + 10, 14.24, 'about 3 h 20 min left at 14.2 images/s'),
        (3599, 100, 'about 1 h left at 100.0 images/s'),
        (59 * 60, 7, 'about 59 min left at 7.0 images/s'),
        (29, 7, 'less than a minute left at 7.0 images/s'),
        (59.9, 7, 'less than a minute left at 7.0 images/s'),
        (60, 7, 'about 1 min left at 7.0 images/s'),
        (2 * DAY, 7, 'about 48 h left at 7.0 images/s'),
        (2.5 * DAY, 7, 'about 2 days 12 h left at 7.0 images/s'),
        (100 * DAY, 0.6, 'about 100 days left at 0.6 images/s'),
    ],
)
def test_the_estimate_in_words(seconds, speed, text):
    assert time_estimate.format_estimate(seconds, speed) == text


def test_the_warning_names_the_ways_out_that_are_left(records_dir, tmp_path):
    config = make_small_config(records_dir, tmp_path, model='yolov2', recipe='yolov2-voc')
    text = time_estimate.format_warning(config, 99.2 * DAY, has_accelerator=False)
    for part in ('about 99 days', 'GPU', '--model=yolov2-tiny', '--image_size than 96 x 96', '--recipe=modern'):
        assert part in text
    small = make_small_config(records_dir, tmp_path, model='yolov2-tiny', recipe='small-data')
    text = time_estimate.format_warning(small, 3 * DAY, has_accelerator=True)
    for part in ('GPU', '--model', '--recipe'):
        assert part not in text
    assert '--image_size' in text


def test_ten_timed_steps_and_the_mean_size_count(records_dir, tmp_path, caplog):
    """Ten steps of 64 x 64 take 5 s, so of 64 and 128 pixels in turn a step takes 1.25 s."""
    config = make_small_config(records_dir, tmp_path, num_steps=1012, sizes=((64, 64), (128, 128)), batch_size=10)
    timer = StepTimer(config, has_accelerator=False)
    with caplog.at_level(logging.INFO, 'absl'):
        timer.add(9, (64, 64))
        timer.measure(11, 4.5)
        assert not caplog.messages
        timer.add(1, (64, 64))
        timer.measure(12, 5.0)
        timer.add(1, (64, 64))
        timer.measure(13, 104.0)
    minutes = round(1000 * 1.25 / 60)
    assert caplog.messages == [f'about {minutes} min left at 8.0 images/s']


@pytest.mark.parametrize(('num_steps', 'is_long'), [(172_810, False), (172_811, True)])
def test_a_warning_from_two_days_on(records_dir, tmp_path, caplog, num_steps, is_long):
    timer = StepTimer(make_small_config(records_dir, tmp_path, num_steps=num_steps), has_accelerator=False)
    timer.add(10, (96, 96))
    timer.measure(10, 10.0)
    assert any(record.levelno == logging.WARNING for record in caplog.records) == is_long


@pytest.mark.slow
def test_a_run_says_once_how_long_it_takes(records_dir, tmp_path, caplog):
    """The first step of each size is compiled and not timed: with two sizes the tenth timed step is the twelfth."""
    sizes = ((64, 64), (96, 96))
    config = make_small_config(records_dir, tmp_path, num_steps=16, seed=4, sizes=sizes, log_every=1)
    with caplog.at_level(logging.INFO, 'absl'):
        loop.train(config, one_device())
    lines = [i for i, message in enumerate(caplog.messages) if 'images/s' in message and 'left at' in message]
    assert len(lines) == 1
    assert re.fullmatch(r'less than a minute left at \d+\.\d images/s', caplog.messages[lines[0]])
    assert caplog.messages[lines[0] - 1].startswith('step 12/16 ')


def state_to_report() -> types.SimpleNamespace:
    """What progress lines read and change of a state."""
    weight = types.SimpleNamespace(name='kernel', value=tf.ones(2))
    return types.SimpleNamespace(
        loss_sum=tf.Variable(0.0, dtype=tf.float64),
        loss_count=tf.Variable(0),
        model=types.SimpleNamespace(weights=[weight]),
    )


def test_calls_that_compile_count_for_neither_the_speed_nor_the_time_left(records_dir, tmp_path, monkeypatch, caplog):
    """A timed step of 10 images takes 2 s, of which it waits 1 s; calls that compile take 100 s."""
    config = make_small_config(records_dir, tmp_path, num_steps=8, log_every=2, batch_size=10)
    clock, scalars = [0.0], []
    monkeypatch.setattr(progress, 'time', types.SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setattr(tf.summary, 'scalar', lambda name, value: scalars.append((name, value)))
    state = state_to_report()
    lines = progress.Progress(config, state, lambda step: 0.1, tf.summary.create_noop_writer())
    with caplog.at_level(logging.INFO, 'absl'):
        for step, num_steps, is_compiled in ((0, 2, False), (2, 1, False), (3, 1, True), (4, 2, False), (6, 2, True)):
            seconds = 2.0 * num_steps if is_compiled else 100.0
            clock[0] += seconds
            if not is_compiled:
                lines.leave_out(seconds)
            metrics = [float(name not in ('skipped', 'loss_scale')) for name in METRICS]
            lines.add(step, tf.tile([metrics], (num_steps, 1)), seconds_waited=1.0 * num_steps)
    ends = [message.split('1.00e-01  ')[1] for message in caplog.messages]
    not_measured = 'images/s not measured (compiling)'
    assert ends == [
        not_measured,
        '5.0 images/s  0:00:08 left',
        f'{not_measured}  0:00:04 left',
        '5.0 images/s  0:00:00 left',
    ]
    assert [value for name, value in scalars if name == 'images_per_second'] == [5.0, 5.0]
    assert [value for name, value in scalars if name == 'input_wait_fraction'] == [0.5, 0.5]
    assert [name for name, _ in scalars].count('loss') == 4
    assert int(state.loss_count) == 8


@pytest.mark.parametrize(
    ('objectness', 'num_objects', 'warned'),
    [(1e-5, 4.0, True), (1e-5, 0.0, False), (0.002, 4.0, False)],
)
def test_objectness_that_is_gone_is_said_once_after_the_burn_in(
    objectness, num_objects, warned, records_dir, tmp_path, caplog
):
    config = make_small_config(records_dir, tmp_path, num_steps=8, log_every=1, burn_in=4)
    lines = progress.Progress(config, state_to_report(), lambda step: 0.1, tf.summary.create_noop_writer())
    values = dict.fromkeys(METRICS, 0.0) | {'num_with': num_objects, 'objectness_with': num_objects * objectness}
    with caplog.at_level(logging.WARNING, 'absl'):
        for step in range(8):
            lines.add(step, tf.constant([[values[name] for name in METRICS]]))
    assert [message[:45] for message in caplog.messages] == ['step 5: the objectness at objects is 1e-05 on'] * warned


@pytest.mark.parametrize(
    ('more', 'ways'),
    [
        (
            {'optimizer': 'sgd'},
            '--optimizer=adam, as --recipe=modern has, or with a lower --learning_rate, or with trained weights '
            '(--init_weights)',
        ),
        ({'optimizer': 'adam', 'init_weights': 'x'}, 'a lower --learning_rate'),
    ],
)
def test_without_objectness_nothing_is_advised_that_the_run_did(records_dir, tmp_path, caplog, more, ways):
    config = make_small_config(records_dir, str(tmp_path), burn_in=0, num_steps=10, **more)
    reported = progress.Progress(config, state_to_report(), lambda step: 0.1, tf.summary.create_noop_writer())
    reported._warn_without_objectness(5, dict.fromkeys(METRICS, 0.0) | {'num_with': 1})
    assert caplog.messages[0].endswith(f'Begin anew with {ways}')


def test_settings_in_five_lines(records_dir, tmp_path):
    config = make_small_config(
        records_dir,
        tmp_path,
        recipe='small-data',
        sizes=((64, 64), (96, 96), (128, 128)),
        num_steps=2000,
        batch_size=8,
        eval_split='test',
        eval_every=500,
        freeze=2,
        unfreeze_at=1000,
        learning_rate=4e-3,
    )
    lines = settings_summary.summarize_settings(config, one_device(), num_images=500)
    assert [line.split(':')[0] for line in lines] == ['data', 'network', 'training', 'devices', 'memory', 'output']
    data, network, training, devices, needed, output = lines
    assert needed.startswith('memory: about ')
    assert f'500 images of train in {records_dir}, 2 classes; evaluation on test every 500 steps' in data
    enlarged = '(those larger than the stored 96 x 96 are enlarged; preprocess --store_size=128 stores larger ones)'
    assert f'96 x 96 pixels, in training 64 to 128 {enlarged}, 3 anchors, random weights' in network
    assert 'first 2 convolutions frozen until step 1,000' in network
    assert 'recipe small-data, region loss, sgd at rate 0.004 (steps)' in training
    assert '2,000 steps of 8 images (32.0 epochs)' in training
    assert 'OneDeviceStrategy on 1 CPU, float32, not compiled with XLA' in devices
    assert str(tmp_path) in output
