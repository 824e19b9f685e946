"""How a run ends, what it leaves, and what it refuses."""

import dataclasses
import json
import logging
import signal

import numpy as np
import pytest
import tensorflow as tf
from conftest import digests, end_at, write_records
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_runs import make_small_config, one_device, two_devices

from yolo.data import records
from yolo.evaluation import inference
from yolo.models import model_folder
from yolo.training import checks, distribution, loop, start, validation
from yolo.training.preemption import Interruption


def read_run_file(folder) -> dict:
    return json.loads((folder / 'run.json').read_text())


def set_maps(monkeypatch, maps: list[float]) -> None:
    """Lets evaluations return these mAPs, one after the other, then always the last."""
    evaluate = inference.evaluate_with_curves

    def evaluate_with_map(*args):
        metrics, curves = evaluate(*args)
        return {**metrics, 'map_11pt': maps.pop(0) if len(maps) > 1 else maps[0]}, curves

    monkeypatch.setattr(inference, 'evaluate_with_curves', evaluate_with_map)


def test_run_json_records_everything(records_dir, tmp_path):
    config = make_small_config(records_dir, tmp_path, eval_split='test', num_steps=2)
    result = loop.train(config, one_device())
    recorded = read_run_file(tmp_path)
    assert (recorded['reason'], recorded['step'], result.reason) == ('finished', 2, 'finished')
    assert recorded['metrics']['map_11pt'] == result.metrics['map_11pt']
    assert recorded['config']['learning_rate'] == config.learning_rate
    assert recorded['config']['data_checksum'] == records.data_checksum(records_dir)
    assert {'python', 'tensorflow', 'keras', 'numpy', 'yolov2-tensorflow'} <= set(recorded['versions'])
    assert all(recorded['versions'].values())
    assert recorded['strategy'] == 'OneDeviceStrategy on 1 CPU'
    loop.train(config, one_device())  # nothing is left to do, and nothing is forgotten
    assert read_run_file(tmp_path)['metrics'] == recorded['metrics']


def test_the_time_limit_saves(records_dir, tmp_path, caplog):
    config = make_small_config(records_dir, tmp_path, num_steps=1000, max_hours=1e-6)
    with caplog.at_level(logging.INFO, 'absl'):
        result = loop.train(config, one_device())
    assert result.reason == read_run_file(tmp_path)['reason'] == 'time limit'
    assert 0 < result.step < 1000
    assert model_folder.find_checkpoint(str(tmp_path)).endswith(f'ckpt-{result.step}')
    recorded = read_run_file(tmp_path)
    assert recorded['metrics'] is None
    parts = [recorded['losses'][name] for name in ('box', 'objectness', 'class')]
    assert recorded['losses']['loss'] == pytest.approx(sum(parts))
    assert caplog.messages[-1].startswith(f'time limit: {result.step} of 1000 steps')


@pytest.mark.slow
def test_no_better_ends_it_also_across_a_restart(records_dir, tmp_path, monkeypatch):
    set_maps(monkeypatch, [0.5, 0.4, 0.5, 0.3])
    config = make_small_config(
        records_dir, tmp_path, eval_split='test', num_steps=40, eval_every=2, early_stopping=3, max_hours=1e-6
    )
    assert loop.train(config, one_device()).reason == 'time limit'
    config = dataclasses.replace(config, max_hours=0)
    result = loop.train(config, one_device())
    assert (result.reason, result.step) == ('early stopping', 8)
    assert json.loads((tmp_path / 'best/metrics.json').read_text())['step'] == 2
    before = digests(tmp_path / 'checkpoints')
    assert loop.train(config, one_device()).reason == 'early stopping'  # it does not train on
    assert digests(tmp_path / 'checkpoints') == before
    assert read_run_file(tmp_path)['metrics']['step'] == 8


@pytest.mark.slow
@pytest.mark.parametrize('monitor', ['map', 'loss'])
def test_a_plateau_is_counted_across_a_restart(records_dir, tmp_path, monkeypatch, monitor):
    """The rate falls at step 6, and at 10; the signal comes at 5, between two evaluations without a better one."""
    set_maps(monkeypatch, [0.5, 0.4])
    monkeypatch.setattr(validation, 'mean_loss', lambda state: 1.0 + float(state.step.numpy()))
    config = make_small_config(
        records_dir,
        tmp_path,
        eval_split='test' if monitor == 'map' else '',
        monitor=monitor,
        num_steps=20,
        eval_every=2,
        plateau=2,
        early_stopping=5,
    )
    with pytest.MonkeyPatch.context() as patch:
        end_at(patch, 5)
        assert loop.train(config, one_device()).reason == 'SIGTERM'
    assert counters(tmp_path, 5) == pytest.approx((1.0, 1, 1))
    result = loop.train(config, one_device())
    assert (result.reason, result.step) == ('early stopping', 12)
    assert counters(tmp_path, 12) == pytest.approx((0.01, 4, 0))  # saved before the last evaluation


def counters(folder, step) -> tuple[float, int, int]:
    """The rate factor, and the evaluations since the best one and since the last decay, in a checkpoint."""
    reader = tf.train.load_checkpoint(f'{folder}/checkpoints/ckpt-{step}')
    return tuple(reader.get_tensor(f'{name}/.ATTRIBUTES/VARIABLE_VALUE') for name in ('rate_factor', 'stale', 'waited'))


@pytest.mark.slow
def test_a_plateau_lowers_the_rate(records_dir, tmp_path, monkeypatch, caplog):
    set_maps(monkeypatch, [0.5, 0.4, 0.4, 0.6, 0.1])
    config = make_small_config(
        records_dir,
        tmp_path,
        eval_split='test',
        num_steps=14,
        eval_every=2,
        plateau=2,
        burn_in=0,
        lr_schedule='constant',
        decay_steps=(),
    )
    with caplog.at_level(logging.INFO, 'absl'):
        loop.train(config, one_device())
    rates = [
        float(line.split('rate ')[1].split(' ')[0])
        for line in caplog.messages
        if line.startswith('step') and 'rate ' in line and 'images/s' in line
    ]
    assert rates == pytest.approx([1e-3] * 6 + [1e-4] * 6 + [1e-5] * 2)
    with pytest.raises(ValueError, match='eval_every: 2 there, 3 now'):  # evaluations have a say in what is computed
        loop.train(dataclasses.replace(config, eval_every=3), one_device())


@pytest.mark.slow
def test_the_loss_can_decide_which_model_is_best(records_dir, tmp_path):
    config = make_small_config(records_dir, tmp_path, monitor='loss', num_steps=6, eval_every=2, learning_rate=0.0)
    result = loop.train(config, one_device())
    assert result.reason == 'finished'
    best = json.loads((tmp_path / 'best/metrics.json').read_text())
    assert best['step'] in (2, 4, 6)
    assert best['loss'] > 0
    stopped = dataclasses.replace(
        config, model_dir=str(tmp_path / 'stopped'), learning_rate=1e-9, early_stopping=1, num_steps=60
    )
    assert loop.train(stopped, one_device()).reason == 'early stopping'
    with pytest.raises(ValueError, match='--early_stopping and --plateau look at the mAP on --eval_split'):
        loop.train(make_small_config(records_dir, tmp_path / 'none', early_stopping=1), one_device())


@pytest.mark.slow
def test_another_split_has_a_best_of_its_own(records_dir, tmp_path, monkeypatch):
    set_maps(monkeypatch, [0.9])
    config = make_small_config(records_dir, tmp_path, eval_split='test', num_steps=2)
    collective = distribution.HostCollective(one_device())
    for monitor, known in (('map', False), ('loss', True)):
        one = dataclasses.replace(config, model_dir=str(tmp_path / monitor), monitor=monitor, eval_every=1)
        loop.train(one, one_device())
        other = dataclasses.replace(one, eval_split='train', data_checksum=records.data_checksum(records_dir))
        for _ in range(2):  # the first is as good as killed before it saves
            state, _ = start.start_run(other, one_device(), collective, overwrite=False)
            assert np.isfinite(float(state.best_value.numpy())) == known
            assert (int(state.evaluated_step.numpy()) == 1) == known


def test_all_processes_end_for_the_same_reason():
    late, signalled, neither = Interruption(1e-9), Interruption(), Interruption()
    signalled.received = signal.SIGTERM

    def reasons(*interruptions) -> list[str]:
        """The reason that each of several processes gets."""
        values: list[float] = []
        for each in interruptions:
            each.reason(lambda value: values.append(value) or 0.0)
        return [each.reason(lambda _: sum(values)) for each in interruptions]

    assert reasons(neither) == ['']
    assert reasons(late, neither) == ['time limit'] * 2
    assert reasons(signalled, neither, late) == [
        'SIGTERM',
        'another process was told to end',
        'another process was told to end',
    ]


def test_a_process_with_other_settings_is_refused(records_dir, tmp_path, monkeypatch):
    config = make_small_config(records_dir, tmp_path)
    collective = distribution.HostCollective(one_device())
    checks.check_same_settings(config, collective)
    first = []
    monkeypatch.setattr(collective, 'from_chief', lambda value: first.append(value) or first[0])
    checks.check_same_settings(config, collective)
    checks.check_same_settings(dataclasses.replace(config, model_dir='elsewhere', max_hours=2.0), collective)
    with pytest.raises(ValueError, match='different flags; this one with others than the first'):
        checks.check_same_settings(dataclasses.replace(config, seed=7), collective)
    monkeypatch.setattr(collective, 'sum', lambda value: value + 1)  # another process's
    with pytest.raises(ValueError, match=r'different flags$'):
        checks.check_same_settings(config, collective)


@pytest.mark.slow
def test_two_devices_are_stopped_and_go_on(records_dir, tmp_path):
    config = make_small_config(
        records_dir,
        tmp_path / 'whole',
        num_steps=6,
        eval_split='test',
        eval_every=4,
        ema=0.9,
        checkpoint_every=2,
        batch_size=4,
    )
    whole = loop.train(config, two_devices())
    stopped = dataclasses.replace(config, model_dir=str(tmp_path / 'stopped'))
    with pytest.MonkeyPatch.context() as patch:
        end_at(patch, 3)
        assert loop.train(stopped, two_devices()).reason == 'SIGTERM'
    assert loop.train(stopped, two_devices()).metrics['map_area'] == whole.metrics['map_area']
    assert model_folder.checksum(f'{tmp_path}/stopped/checkpoints/ckpt-6') == model_folder.checksum(
        f'{tmp_path}/whole/checkpoints/ckpt-6'
    )


@pytest.mark.slow
def test_everything_in_tensorboard(records_dir, tmp_path):
    """Everything that TensorBoard gets, and when."""
    config = make_small_config(
        records_dir,
        tmp_path,
        num_steps=6,
        steps_per_loop=4,
        profile_steps=(2, 3),
        log_every=2,
        pictures_every=3,
        eval_split='test',
        freeze=1,
        unfreeze_at=6,
    )
    loop.train(config, one_device())
    events = EventAccumulator(str(tmp_path / 'tensorboard'), size_guidance={'tensors': 0})
    events.Reload()
    steps = {tag: [event.step for event in events.Tensors(tag)] for tag in events.Tags()['tensors']}
    lines = [
        'loss',
        'loss/box',
        'loss/objectness',
        'loss/class',
        'places/iou',
        'places/recall',
        'places/objectness_with_object',
        'places/objectness_without_object',
        'learning_rate',
        'norm/gradient',
        'norm/weights',
    ]
    evaluations = [
        'map_11pt',
        'map_area',
        'ap_11pt/bright',
        'ap_11pt/dark',
        'precision_recall/bright',
        'precision_recall/dark',
    ]
    assert steps == {
        **{tag: [2, 4, 6] for tag in lines},
        **{tag: [4, 6] for tag in ('images_per_second', 'input_wait_fraction')},  # steps 0 and 1 were compiled
        **{tag: [6] for tag in evaluations},
        'truth_left_predictions_right': [3, 6, 6],
    }

    def last(tag: str) -> np.ndarray:
        return tf.make_ndarray(events.Tensors(tag)[-1].tensor_proto)

    weights = [
        weight
        for weight in model_folder.load_trained(str(tmp_path), 'latest')[0].weights
        if weight.name not in ('mean', 'variance')
    ]
    assert last('norm/weights') == pytest.approx(float(tf.linalg.global_norm(weights)), rel=1e-5)
    assert 0 <= last('input_wait_fraction') <= 1
    assert 0 < last('places/iou') < 1
    size, *pictures = last('truth_left_predictions_right').tolist()[1:]
    assert int(size) == 96
    assert len(pictures) == 4
    assert tf.io.decode_png(pictures[0]).shape == (96, 192, 3)
    assert [path for path in (tmp_path / 'tensorboard/plugins/profile').rglob('*') if path.is_file()]


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'early_stopping': 2, 'monitor': 'loss'}, '--eval_every=0 makes only one'),
        ({'mosaic': 0.5, 'augment': False}, '--mosaic=0.5 needs --augment'),
        ({'copy_paste': 2, 'augment': False}, '--copy_paste=2 needs --augment'),
        ({'copy_paste': 2, 'resize': 'letterbox'}, '--copy_paste=2 goes with records of --resize=stretch'),
        ({'profile_steps': (2, 4)}, '--profile_steps=2,4: the last of 4 steps is 3'),
    ],
)
def test_what_would_do_nothing_is_refused(records_dir, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        loop.train(make_small_config(records_dir, tmp_path, **changes), one_device())


@pytest.mark.slow
def test_steps_in_one_call_are_the_same_steps(records_dir, tmp_path):
    config = make_small_config(
        records_dir, tmp_path / 'one', num_steps=12, sizes=((64, 64), (96, 96)), ema=0.9, checkpoint_every=5
    )
    loop.train(config, one_device())
    loop.train(dataclasses.replace(config, model_dir=str(tmp_path / 'four'), steps_per_loop=4), one_device())
    assert model_folder.checksum(f'{tmp_path}/one/checkpoints/ckpt-12') == model_folder.checksum(
        f'{tmp_path}/four/checkpoints/ckpt-12'
    )


@pytest.mark.slow
def test_other_data_and_other_settings_are_refused_and_change_nothing(records_dir, tmp_path):
    config = make_small_config(records_dir, tmp_path / 'run', num_steps=2)
    loop.train(config, one_device())
    before = {name: value for name, value in digests(tmp_path / 'run').items() if not name.startswith('tensorboard')}
    other = write_records(tmp_path / 'other', seed=1)
    for changed, message in (
        (dataclasses.replace(config, data_dir=other), 'data_checksum: .* there, .* now'),
        (dataclasses.replace(config, learning_rate=0.5), 'learning_rate: 0.001 there, 0.5 now'),
        (dataclasses.replace(config, model='yolov2'), r'model: .*two_convolutions.cfg there, yolov2 now'),
    ):
        with pytest.raises(ValueError, match=message):
            loop.train(changed, one_device())
    after = digests(tmp_path / 'run')
    assert {name: after[name] for name in before} == before
    allowed = dataclasses.replace(config, keep=1, log_every=2, checkpoint_every=1, eval_every=5, max_hours=3.0)
    assert loop.train(allowed, one_device()).reason == 'finished'


def test_a_moved_folder_of_records_is_the_same_data(tmp_path):
    folder = tmp_path / 'data'
    checksum = records.data_checksum(write_records(folder))
    folder.rename(tmp_path / 'moved')
    assert records.data_checksum(str(tmp_path / 'moved')) == checksum
    with open(tmp_path / 'moved' / 'dataset.json', 'a') as file:
        file.write('\n')
    assert records.data_checksum(str(tmp_path / 'moved')) != checksum


@pytest.mark.slow
@pytest.mark.parametrize('content', [None, ''])
def test_checkpoints_without_the_file_that_names_them_are_not_lost(records_dir, tmp_path, caplog, content):
    config = make_small_config(records_dir, tmp_path, num_steps=6, checkpoint_every=2)
    loop.train(config, one_device())
    named = tmp_path / 'checkpoints/checkpoint'
    named.unlink()
    if content is not None:
        named.write_text(content)
    (tmp_path / 'checkpoints/ckpt-6.index').unlink()  # the last was not whole
    with caplog.at_level(logging.INFO, 'absl'):
        loop.train(config, one_device())
    assert f'going on from {tmp_path}/checkpoints/ckpt-4' in caplog.text
    assert {path.name for path in (tmp_path / 'checkpoints').glob('*.index')} == {
        'ckpt-2.index',
        'ckpt-4.index',
        'ckpt-6.index',
    }


def test_errors_are_in_the_runs_file(records_dir, tmp_path):
    config = make_small_config(records_dir, tmp_path, learning_rate=1000.0, burn_in=0, num_steps=50)
    with pytest.raises(FloatingPointError):
        loop.train(config, one_device())
    assert 'is not finite' in read_run_file(tmp_path)['reason']
    assert np.isfinite(read_run_file(tmp_path)['seconds'])
