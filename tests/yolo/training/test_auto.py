"""--recipe=auto: what it reads, chooses, records and says; the rules themselves are in test_choose.py."""

import dataclasses
import json
import logging

import numpy as np
import pytest
import tensorflow as tf
from conftest import CLASSES
from test_commands import call, command_of  # noqa: F401
from training_runs import one_device

from yolo.data import folds, records, tfrecord
from yolo.models import architectures, model_folder
from yolo.models.spec import num_weights
from yolo.training import (
    auto,
    checks,
    choose,
    conclusion,
    config_file,
    distribution,
    facts,
    loop,
    memory,
    plan,
    recipes,
    resolve,
    tensorboard,
    time_estimate,
)
from yolo.training.choose import Device


@pytest.fixture
def speed(monkeypatch):
    """Ten steps take no time; the settings of those that are timed."""
    timed = []

    def measured(config, strategy, size):
        timed.append((config, size))
        return time_estimate.Speed(50.0 * size[0] * size[1], 10.0)

    monkeypatch.setattr(time_estimate, 'measure_speed', measured)
    return timed


def given(records_dir, tmp_path, **more) -> dict:
    return {'recipe': 'auto', 'data_dir': records_dir, 'model_dir': str(tmp_path / 'run'), **more}


def accelerator(monkeypatch) -> None:
    monkeypatch.setattr(facts, 'read_device', lambda strategy: Device('1 GPU', is_accelerator=True))


def test_what_is_read_of_the_records(records_dir):
    data = facts.read_data({'data_dir': records_dir})
    description = records.read_description(records_dir)
    sides: dict[str, list[float]] = {name: [] for name in CLASSES}
    for path in records.shard_paths(records_dir, 'train', description):
        with open(path, 'rb') as file:
            for serialized in tfrecord.unframe(file, path):
                record = records.deserialize(serialized)
                for (x0, y0, x1, y1), label in zip(record.boxes * 96, record.labels, strict=True):
                    sides[CLASSES[label]].append(((x1 - x0) * (y1 - y0)) ** 0.5)
    assert data.sides == pytest.approx({name: np.median(values) for name, values in sides.items()}, rel=1e-5)
    assert (data.num_images, data.num_objects, data.num_classes) == (8, sum(map(len, sides.values())), 2)
    assert (data.image_size, data.splits) == ((96, 96), {'train': 8, 'test': 8})
    assert facts.read_data({'data_dir': records_dir, 'folds': 4, 'fold': 1}).num_images == 6


def test_classes_without_objects_do_not_count(records_dir, monkeypatch):
    """Records may have the twenty names of VOC and objects of a single one."""
    description = records.read_description(records_dir)
    more = dataclasses.replace(description, classes=(*CLASSES, 'unseen'))
    monkeypatch.setattr(records, 'read_description', lambda folder: more)
    assert facts.read_data({'data_dir': records_dir}).num_classes == 2


def test_what_is_read_is_of_the_split_that_is_trained_on(records_dir, monkeypatch):
    """Also where that is not the first in the records."""
    description = records.read_description(records_dir)
    sides = {name: facts.read_data({'data_dir': records_dir, 'train_split': name}).sides for name in description.splits}
    assert sides['train'] != sides['test']
    turned = dataclasses.replace(description, splits=dict(reversed(description.splits.items())))
    monkeypatch.setattr(records, 'read_description', lambda folder: turned)
    data = facts.read_data({'data_dir': records_dir})
    assert (data.sides, list(data.splits)) == (sides['train'], ['test', 'train'])


def test_the_choice_is_plain_settings_and_five_lines(records_dir, tmp_path, speed, caplog):
    with caplog.at_level(logging.INFO, 'absl'):
        config = auto.choose(given(records_dir, tmp_path), one_device())
    assert [line.split(':')[:2] for line in caplog.messages] == [
        ['auto', f' {name}'] for name in ('data', 'recipe', 'network', 'steps', 'time')
    ]
    assert (config.recipe, config.base_recipe) == ('auto', choose.USUAL)
    assert (config.train_split, config.eval_split, config.model) == ('train', 'test', 'yolov2-tiny')
    assert (config.num_steps, config.batch_size) == (3500, 4)  # at least 14,000 images, in two digits
    base = recipes.apply(choose.USUAL)
    assert (config.optimizer, config.ema, config.scale) == (base.optimizer, base.ema, base.scale)
    (timed,) = speed
    assert (timed[0].model, timed[0].batch_size, timed[1]) == ('yolov2-tiny', 4, (96, 96))
    checks.check_config(resolve.resolve(config), one_device())


def test_steps_are_timed_again_where_their_batch_is_smaller(records_dir, tmp_path, speed, monkeypatch):
    """What a step costs beside its images counts more then."""
    monkeypatch.setattr(plan, 'IMAGES_PER_BATCH', 1)
    assert auto.choose(given(records_dir, tmp_path, max_hours=0.01), one_device()).batch_size == 4
    assert [config.batch_size for config, _ in speed] == [8, 4]


def test_flags_win(records_dir, tmp_path, speed):
    flags = {'num_steps': 6, 'model': 'yolov2', 'learning_rate': 0.5, 'scale': (1.0, 1.5), 'subdivisions': 2}
    config = auto.choose(given(records_dir, tmp_path, **flags), one_device())
    assert {name: getattr(config, name) for name in flags} == flags
    assert not speed  # nothing is chosen by time
    config = auto.choose(given(records_dir, tmp_path, sizes=(64, 96), epochs=2.0), one_device())
    assert resolve.resolve(config).sizes == ((64, 64), (96, 96))
    assert resolve.resolve(config).num_steps == 4


@pytest.mark.parametrize(
    ('replicas', 'flags', 'message'),
    [
        (2, {'batch_size': 1}, r'--batch_size=1 is over all replicas and must divide by their 2'),
        (2, {'batch_size': 3, 'num_steps': 4}, r'--batch_size=3 is over all replicas and must divide by their 2'),
        (
            1,
            {'subdivisions': 3, 'batch_size': 4},
            r'--subdivisions=3: the 4 images of --batch_size=4 must divide by it',
        ),
        (
            1,
            {'copy_paste': 1, 'batch_size': 6},
            r'--batch_size=6: for --copy_paste=1 each .* \(here 1\) has .* --batch_size=8 or --copy_paste=0',
        ),
    ],
)
def test_a_batch_that_does_not_divide_is_refused_before_steps_are_timed(
    records_dir, tmp_path, speed, monkeypatch, replicas, flags, message
):
    monkeypatch.setattr(facts, 'read_device', lambda strategy: Device('CPUs', replicas=replicas))
    with pytest.raises(ValueError, match=message):
        auto.choose(given(records_dir, tmp_path, **flags), one_device())
    assert not speed


def test_a_run_goes_on_with_what_was_chosen_at_its_start(records_dir, tmp_path, speed, monkeypatch, caplog):
    """On another device, where the rules would choose otherwise; --overwrite chooses anew, flags win."""
    first = auto.choose(given(records_dir, tmp_path, jitter=0.1), one_device())
    config_file.write_config(resolve.resolve(first))
    written = json.loads((tmp_path / 'run/config.json').read_text())
    assert (written['recipe'], written['base_recipe']) == ('auto', choose.USUAL)
    accelerator(monkeypatch)
    speed.clear()
    with caplog.at_level(logging.INFO, 'absl'):
        again = auto.choose(given(records_dir, tmp_path, jitter=0.1), one_device())
    assert again == first
    assert 'chosen or given then (train_split=train,' in caplog.text
    assert f'num_steps={first.num_steps}' in caplog.text
    assert not speed
    config_file.check_same_run(resolve.resolve(again))
    assert auto.choose(given(records_dir, tmp_path, num_steps=9), one_device()).num_steps == 9
    anew = auto.choose(given(records_dir, tmp_path), one_device(), overwrite=True)
    assert len(speed) == 1
    assert anew.jitter != first.jitter
    config_file.write_config(dataclasses.replace(resolve.resolve(first), recipe='small-data'))
    assert auto.choose(given(records_dir, tmp_path), one_device()) == anew


def test_memory_of_a_gpu_is_tried(records_dir, tmp_path, monkeypatch):
    tried = []

    def measured(config, strategy, size):
        tried.append((config.subdivisions, size))
        if config.subdivisions < needed:
            raise tf.errors.ResourceExhaustedError(None, None, 'out of memory')
        return time_estimate.Speed(50.0 * size[0] * size[1], 10.0)

    monkeypatch.setattr(time_estimate, 'measure_speed', measured)
    accelerator(monkeypatch)
    needed = 4
    assert auto.choose(given(records_dir, tmp_path), one_device()).subdivisions == 4
    assert tried == [(1, (128, 128)), (2, (128, 128)), (4, (128, 128))]  # the largest images
    assert auto.choose(given(records_dir, tmp_path, subdivisions=8), one_device()).subdivisions == 8
    needed = 16
    with pytest.raises(ValueError, match=r'too little memory for 1 images .*--subdivisions=4\); use smaller'):
        auto.choose(given(records_dir, tmp_path), one_device())


@pytest.mark.parametrize(('images', 'at_once', 'parts'), [(6, 4, 2), (8, 8, 1), (8, 3, 4), (9, 4, 3), (5, 1, 5)])
def test_parts_are_equal_and_none_has_more_images_than_fit(images, at_once, parts):
    assert auto.fewest_parts(images, at_once) == parts


def test_memory_of_a_cpu_is_estimated(records_dir, tmp_path, speed, monkeypatch):
    settings = given(records_dir, tmp_path, train_split='train', model='yolov2-tiny', batch_size=64)
    small = recipes.apply(**{**settings, 'recipe': 'small-data'})
    whole, halves = (
        memory.on_each_device(dataclasses.replace(resolve.resolve(small), subdivisions=n), one_device()).likely
        for n in (1, 2)
    )
    assert halves < whole
    for there, expected in ((whole, 1), (whole - 1, 2)):
        monkeypatch.setattr(memory, 'of_each_device', lambda strategy, there=there: there)
        assert auto.choose(settings, one_device()).subdivisions == expected


def test_parts_are_those_of_the_process_with_the_least_memory(records_dir, tmp_path, speed, monkeypatch):
    """Else each would time a step of its own, and wait for the others."""
    settings = given(records_dir, tmp_path, train_split='train', model='yolov2-tiny', batch_size=64)
    small = resolve.resolve(recipes.apply(**{**settings, 'recipe': 'small-data'}))
    less = memory.on_each_device(small, one_device()).likely - 1
    monkeypatch.setattr(memory, 'of_each_device', lambda strategy: 2 * less)
    monkeypatch.setattr(
        distribution.HostCollective, 'gather', lambda self, data: [data, b'%d' % less] if data.isdigit() else [data]
    )
    assert auto.choose(settings, one_device()).subdivisions == 2


def test_the_network_of_the_weights_is_taken(records_dir, tmp_path, speed):
    run = resolve.resolve(auto.choose(given(records_dir, tmp_path, model='yolov2', width=0.25), one_device()))
    config_file.write_config(run)
    other = given(records_dir, tmp_path / 'other', init_weights=run.model_dir)
    for path in (run.model_dir, f'{run.model_dir}/best/ckpt-4'):
        config = auto.choose({**other, 'init_weights': path}, one_device())
        assert (config.model, config.width, config.base_recipe) == ('yolov2', 0.25, choose.USUAL)
    config = auto.choose({**other, 'model': 'yolov2-tiny'}, one_device())  # a flag wins: its network has another width
    assert (config.model, config.width) == ('yolov2-tiny', 1.0)
    for name in architectures.MODELS:
        spec = architectures.build_spec(name, 2, run.anchors)
        sizes = [n for n in num_weights(spec) if n][: architectures.BACKBONE[name]]
        path = tmp_path / 'backbone.weights'
        with open(path, 'wb') as file:
            file.write(np.array([0, 2, 0, 0, 0], '<i4').tobytes())
            file.truncate(20 + 4 * sum(sizes))
        config = auto.choose({**other, 'init_weights': str(path)}, one_device())
        assert (config.model, config.width) == (name, 1.0)
        grey = dataclasses.replace(records.read_description(records_dir), channels=1)
        assert facts.network_of_weights({'init_weights': str(path)}, grey) == (name, 1.0)  # weights for colours


def test_what_is_missing_is_named(records_dir, tmp_path):
    with pytest.raises(ValueError, match='give --data_dir'):
        auto.choose({'recipe': 'auto', 'data_dir': None}, one_device())
    with pytest.raises(ValueError, match="no split 'x'"):
        auto.choose(given(records_dir, tmp_path, train_split='x'), one_device())
    config = recipes.apply(**given(records_dir, tmp_path, train_split='train'))
    with pytest.raises(ValueError, match=r'yolo\.training\.auto\.choose'):
        checks.check_config(resolve.resolve(config), one_device())


def test_the_curve_of_a_run_is_read_back(tmp_path):
    """Evaluations that a run repeats after a kill count once, and a torn last record is no obstacle."""
    assert tensorboard.read_curve(str(tmp_path)) == []
    for points in (((10, 0.1), (20, 0.2)), ((20, 0.25), (30, 0.3))):
        writer = tf.summary.create_file_writer(str(tmp_path / 'tensorboard'))
        with writer.as_default():
            for step, value in points:
                tf.summary.scalar('map_area', value, step)
                tf.summary.scalar('loss', 1.0, step)
        writer.close()
    last = max((tmp_path / 'tensorboard').iterdir())
    last.write_bytes(last.read_bytes() + b'torn')
    assert tensorboard.read_curve(str(tmp_path)) == [
        (10, pytest.approx(0.1)),
        (20, pytest.approx(0.25)),
        (30, pytest.approx(0.3)),
    ]


@pytest.mark.parametrize(
    ('reason', 'metrics', 'expected'),
    [
        (loop.FINISHED, None, ['auto: concluded']),
        (loop.EARLY, {}, ['auto: concluded']),
        ('SIGTERM', None, []),
        ('time limit', {}, []),
        (
            'time limit',
            None,
            [
                'auto: the time of --max_hours=0.5 was over before the run was evaluated on test; the same command '
                'goes on with it'
            ],
        ),
    ],
)
def test_what_is_said_at_the_end(monkeypatch, caplog, reason, metrics, expected):
    monkeypatch.setattr(conclusion, 'conclude', lambda config, strategy: ['concluded'])
    config = recipes.apply('auto', eval_split='test', max_hours=0.5)
    with caplog.at_level(logging.INFO, 'absl'):
        conclusion.say(config, one_device(), loop.Result(reason, 5, metrics, None))
    assert caplog.messages == expected


def test_the_conclusion_is_about_some_images_of_both_splits(records_dir, monkeypatch):
    detected, advised = {}, []

    def run_inference(predict, data_dir, split, batch_size, thresholds, workers, numbers):
        detected[split] = numbers.tolist()
        return split, {}, None

    monkeypatch.setattr(conclusion, 'MOST_IMAGES', 3)
    monkeypatch.setattr(model_folder, 'load_trained', lambda folder: (None, None, None))
    monkeypatch.setattr(conclusion.graph, 'make_predict', lambda *about: None)
    monkeypatch.setattr(conclusion.inference, 'run_inference', run_inference)
    measured = {'train': 0.75, 'test': 0.5}
    monkeypatch.setattr(conclusion.summary, 'mean_ap', lambda split, iou: {'map_area': measured[split]})
    evaluation = conclusion.summary.Evaluation({'map_area': measured['test']}, None, None, None)
    monkeypatch.setattr(conclusion.summary, 'evaluate', lambda split, iou, about: split == 'test' and evaluation)
    monkeypatch.setattr(tensorboard, 'read_curve', lambda folder: [(4, 0.5)])
    monkeypatch.setattr(conclusion.advice, 'advise', lambda *about: advised.append(about))
    settings = {'num_steps': 9, 'base_recipe': 'finetune', 'init_weights': 'a', 'folds': 4, 'fold': 1, 'model_dir': 'b'}
    config = recipes.apply('auto', data_dir=records_dir, train_split='train', eval_split='test', **settings)
    conclusion.conclude(config, one_device())
    assert detected['test'] == [0, 3, 6]
    assert detected['train'] == folds.trained_on(8, 1, 4, config.seed)[::2].tolist()
    sides = facts.read_data({'data_dir': records_dir, 'train_split': 'train'}).sides
    training = conclusion.advice.Training(0.75, [(4, 0.5)], 9, 'finetune', True, sides)
    assert advised == [({'map_area': 0.5}, training)]


@pytest.mark.slow
def test_shapes_without_any_other_flag(call, tmp_path, monkeypatch):  # noqa: F811
    """Trains, says how good it is and what to try; again with the same command; timed steps leave no trace."""
    call('shapes', f'--out_dir={tmp_path}/VOC', '--num_train=24', '--num_test=8', check=True)
    source = (f'--voc_dir={tmp_path}/VOC', '--splits=trainval,test', '--image_size=96')
    call('preprocess', *source, f'--out_dir={tmp_path}/data', check=True)
    monkeypatch.setattr(plan, 'AT_LEAST', 160)
    monkeypatch.setattr(plan, 'FOR_EACH_CLASS', 0)
    monkeypatch.setattr(plan, 'AT_LEAST_EPOCHS', 1)
    monkeypatch.setattr(plan, 'PATIENCE', {False: 0, True: 0})
    words = (f'--data_dir={tmp_path}/data', f'--model_dir={tmp_path}/run', '--recipe=auto', '--width=0.1')
    _, said = call('train', *words, '--strategy=one_device', check=True)
    lines = [line for line in said.splitlines() if line.startswith('auto: ')]
    assert 5 + 1 <= len(lines) <= 5 + 3
    for part in ('auto: steps: 40 of 4 images', 'auto: time: ', 'recipe auto (modern)', 'auto: Most is lost by'):
        assert part in said, part
    config = config_file.read_config(f'{tmp_path}/run')
    assert (config.recipe, config.num_steps, config.eval_split) == ('auto', 40, 'test')

    _, again = call('train', *words, '--strategy=one_device', check=True)
    assert 'as at the start of the run' in again
    assert 'finished already' in again
    assert 'auto: Most is lost by' in again

    plain = dataclasses.replace(config, model_dir=f'{tmp_path}/plain', recipe='modern', base_recipe='')
    loop.train(plain, one_device())
    ends = [model_folder.checksum(f'{tmp_path}/{name}/checkpoints/ckpt-40') for name in ('run', 'plain')]
    assert ends[0] == ends[1]
    assert 'not known' in conclusion.conclude(dataclasses.replace(config, eval_split=''), one_device())[0]
