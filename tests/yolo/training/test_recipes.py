"""The recipe: sizes by step, the pull to the anchors, averaged weights, presets."""

import configparser
import dataclasses
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from conftest import ANCHORS, ROOT
from training_runs import make_small_config, one_device, run_steps

from yolo.data import augment, pipeline, records
from yolo.evaluation.voc_ap import Detections, Truth, voc_average_precision
from yolo.geometry import image_sizes
from yolo.geometry.targets import encode_targets
from yolo.models import layers, model_folder
from yolo.recipes import RECIPES
from yolo.training import (
    batches,
    config,
    loop,
    loss_parts,
    losses,
    network,
    optimizer,
    recipes,
    resolve,
    schedule,
    state,
    step,
    tensorboard,
)
from yolo.training.config import TrainConfig


def test_sizes_are_the_recipes():
    sizes = image_sizes.training_sizes((416, 416), *image_sizes.usual_sizes((416, 416)))
    assert [height for height, _ in sizes] == list(range(320, 609, 32))
    assert image_sizes.usual_sizes((256, 256)) == (192, 384)
    assert image_sizes.training_sizes((416, 608), 320, 608)[0] == (224, 320)
    for smallest, largest in ((300, 608), (608, 320), (0, 32)):
        with pytest.raises(ValueError, match=f'--sizes={smallest},{largest}: two multiples of 32'):
            image_sizes.training_sizes((416, 416), smallest, largest)


def test_a_new_size_every_ten_steps():
    sizes = image_sizes.training_sizes((416, 416), 320, 608)
    drawn = [schedule.size_at(sizes, 1, step) for step in range(4000)]
    assert all(len(set(drawn[i : i + 10])) == 1 for i in range(0, 4000, 10))
    counts = [drawn[::10].count(size) for size in sizes]
    assert min(counts) > 20  # of 400 over 10 sizes
    assert drawn[::10] != [schedule.size_at(sizes, 2, step) for step in range(0, 4000, 10)]
    assert schedule.size_at(((96, 96),), 1, 7) == (96, 96)


@pytest.mark.slow
def test_one_trace_a_size_and_targets_for_its_grid(records_dir, tmp_path, monkeypatch):
    sizes = image_sizes.training_sizes((96, 96), 64, 128)
    config = make_small_config(records_dir, tmp_path, num_steps=30, seed=6, sizes=sizes, unfreeze_at=100)
    functions, grids = [], []
    make_steps, encode = loop.make_steps, encode_targets

    def counted(state, config, strategy, size, *accumulators):
        functions.append((size, make_steps(state, config, strategy, size, *accumulators)))
        return functions[-1][1]

    monkeypatch.setattr(loop, 'make_steps', counted)
    monkeypatch.setattr(loss_parts, 'encode_targets', lambda *args: grids.append(tuple(args[3])) or encode(*args))
    loop.train(config, one_device())
    used = {schedule.size_at(sizes, config.seed, step) for step in range(30)}
    assert len(used) > 1
    assert sorted(size for size, _ in functions) == sorted(used)
    assert set(grids) == {(height // 32, width // 32) for height, width in used}


def test_other_sizes_show_the_same_picture(records_dir):
    batch = next(iter(pipeline.training_batches(records_dir, 'train', 4, 0, augment.Ranges())))
    small, large = (pipeline.augment_images(batch, (size, size)) for size in (96, 192))
    np.testing.assert_allclose(tf.nn.avg_pool2d(large, 2, 2, 'VALID'), small, atol=0.35)
    assert float(tf.reduce_mean(tf.abs(tf.nn.avg_pool2d(large, 2, 2, 'VALID') - small))) < 0.02
    batch = next(iter(pipeline.training_batches(records_dir, 'train', 4, 0)))
    assert pipeline.augment_images(batch, (64, 64)).shape == (4, 64, 64, 3)


@pytest.mark.parametrize('loss', ['region', 'notebook'])
def test_without_augmentation_other_sizes_are_encoded_anew(records_dir, tmp_path, loss):
    """At 128 pixels the objects' places are of a 4 x 4 grid, not the records' of 3 x 3."""
    config = make_small_config(records_dir, tmp_path, augment=False, loss=loss)
    metrics, _ = run_steps(config, one_device(), size=(128, 128))
    batches = pipeline.training_batches(records_dir, 'train', 4, config.seed)
    for number, batch in zip(range(3), batches, strict=False):
        places = encode_targets(batch['boxes'], batch['labels'], ANCHORS, (4, 4)).numpy()
        expected = sum(len({tuple(place) for place in image if place[0] >= 0}) for image in places)
        assert metrics['num_with'][number] == expected


@pytest.mark.slow
def test_the_pull_ends_where_the_images_do(records_dir, tmp_path, monkeypatch):
    """Also when the run was stopped before: what counts are the images, not the steps since it was begun."""
    monkeypatch.setattr(losses, 'ANCHOR_PULL_IMAGES', 24)
    config = make_small_config(
        records_dir, tmp_path, num_steps=8, checkpoint_every=4, learning_rate=1e-9, burn_in=0, augment=False
    )
    pulled, region_terms = {}, losses.region_terms

    def with_and_without(raw, boxes, labels, anchors, seen, places, *others):
        terms = region_terms(raw, boxes, labels, anchors, seen, places)
        without = region_terms(raw, boxes, labels, anchors, losses.ANCHOR_PULL_IMAGES, places)
        difference = terms['box'] - without['box']
        tf.py_function(lambda n, value: pulled.__setitem__(int(n), float(value)), [seen, difference], [])
        return terms

    monkeypatch.setitem(losses.TERMS, 'region', with_and_without)
    loop.train(dataclasses.replace(config, num_steps=4), one_device())
    assert set(pulled) == {0, 4, 8, 12}
    path = tmp_path / 'config.json'
    path.write_text(path.read_text().replace('"num_steps": 4', '"num_steps": 8'))
    loop.train(config, one_device())
    assert [pulled[n] > 0 for n in range(0, 32, 4)] == [True] * 6 + [False] * 2


@pytest.mark.slow
def test_averaged_weights_are_the_average(records_dir, tmp_path):
    config = make_small_config(
        records_dir,
        tmp_path,
        num_steps=5,
        ema=0.5,
        checkpoint_every=1,
        keep=9,
        eval_split='test',
        learning_rate=0.01,
        burn_in=0,
    )
    loop.train(config, one_device())

    def at(number):
        """The weights that are used, and those that are trained."""
        models = [network.make_model(config) for _ in range(2)]
        checkpoint = tf.train.Checkpoint(model=models[0], trained=models[1])
        checkpoint.restore(f'{tmp_path}/checkpoints/ckpt-{number}').expect_partial()
        return [model.get_weights() for model in models]

    average = at(1)[0]
    for number in range(2, 6):
        got, trained = at(number)
        keep = min(0.5, number / (9 + number))  # steps are counted from 0
        average = [keep * a + (1 - keep) * t for a, t in zip(average, trained, strict=True)]
        for a, b in zip(got, average, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert max(np.abs(t - a).max() for t, a in zip(trained, average, strict=True)) > 1e-4
    for a, b in zip(model_folder.load_trained(str(tmp_path), 'latest')[0].get_weights(), got, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ('strides', 'padding', 'size'), [(2, 'valid', 8), (2, 'same', 8), (1, 'same', 5), (2, 'same', 7)]
)
def test_pairwise_pools_are_pools(strides, padding, size):
    x = tf.constant(np.random.default_rng(0).integers(0, 4, (2, size, size, 3)).astype(np.float32))  # many are equal
    pool = layers.MaxPool2D(2, strides, padding)
    results = []
    for pool.pairwise in (False, True):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = pool(x)
            target = tf.reduce_sum(y * tf.reshape(tf.range(tf.size(y), dtype=tf.float32), y.shape))
        results.append((y.numpy(), tape.gradient(target, x).numpy()))
    np.testing.assert_array_equal(results[1][0], results[0][0])
    np.testing.assert_array_equal(results[1][1], results[0][1])


def test_statistics_are_what_a_loop_counts():
    rng = np.random.default_rng(0)
    raw = rng.normal(0, 1, (2, 3, 3, 3, 7)).astype(np.float32)
    boxes = np.sort(rng.random((2, 4, 2, 2)).astype(np.float32), 2).reshape(2, 4, 4)
    labels = np.array([[0, 1, 0, -1], [1, -1, -1, -1]])
    got = {name: float(value) for name, value in losses.statistics(raw, boxes, labels, ANCHORS).items()}
    own = {}
    for b, n in np.argwhere(labels >= 0):
        row, column, anchor = encode_targets(boxes[b : b + 1], labels[b : b + 1], ANCHORS, (3, 3)).numpy()[0, n]
        own[b, row, column, anchor] = boxes[b, n] * 3
    sums = dict.fromkeys(losses.STATISTICS, 0.0)
    for at in np.ndindex(2, 3, 3, 3):
        x, y = 1 / (1 + np.exp(-raw[at][:2])) + [at[2], at[1]]
        w, h = np.exp(raw[at][2:4]) * ANCHORS[at[3]]
        objectness = 1 / (1 + np.exp(-raw[at][4]))
        if at not in own:
            sums['objectness_without'] += objectness
            sums['num_without'] += 1
            continue
        x0, y0, x1, y1 = own[at]
        shared = max(min(x + w / 2, x1) - max(x - w / 2, x0), 0) * max(min(y + h / 2, y1) - max(y - h / 2, y0), 0)
        iou = shared / (w * h + (x1 - x0) * (y1 - y0) - shared)
        counted = {'overlap': iou, 'recalled': iou > 0.5, 'objectness_with': objectness, 'num_with': 1}
        for name, value in counted.items():
            sums[name] += value
    assert got == pytest.approx(sums, rel=1e-4)


def test_tensorboards_curve_counts_by_score():
    boxes = np.array([[1.0, 1, 10, 10], [21, 21, 30, 30], [41, 41, 50, 50]])
    truth = Truth(np.array([0, 0, 0]), np.array([0, 0, 0]), boxes, np.zeros(3, bool))
    detections = Detections(
        np.array([0, 0, 0]),
        np.zeros(3, int),
        np.array([0.9, 0.5, 0.2]),
        np.array([boxes[0], [60, 60, 70, 70], boxes[1]]),
    )
    true_positives, false_positives, true_negatives, false_negatives, precision, recall = (
        tensorboard.precision_recall_table(voc_average_precision(truth, detections, 1), 0)
    )
    for score, expected in ((0.0, (2, 1)), (0.2, (2, 1)), (0.3, (1, 1)), (0.5, (1, 1)), (0.6, (1, 0)), (0.95, (0, 0))):
        at = round(score * 200)
        assert (true_positives[at], false_positives[at], false_negatives[at]) == (*expected, 3 - expected[0])
        assert precision[at] == pytest.approx(expected[0] / sum(expected) if sum(expected) else 1)
        assert recall[at] == pytest.approx(expected[0] / 3)
    assert not true_negatives.any()


@pytest.mark.slow
def test_time_spent_waiting_for_input_is_measured(records_dir, tmp_path):
    config = make_small_config(records_dir, tmp_path)
    run_state = state.make_state(config, one_device())
    steps = step.make_steps(run_state, config, one_device(), (96, 96))
    batch = next(iter(pipeline.training_batches(records_dir, 'train', 4, 0, augment.Ranges())))

    def slowly(batch):
        with tf.control_dependencies([tf.py_function(lambda: time.sleep(0.2), [], [])]):
            return {name: tf.identity(value) for name, value in batch.items()}

    slow = tf.data.Dataset.from_tensors(batch).repeat().map(slowly)
    batches = iter(one_device().distribute_datasets_from_function(lambda _: slow))
    # Some are ready from the time in which the step was compiled.
    assert any(steps(batches, number, 1)[1] > 0.1 for number in range(1, 100))


def printed(*args):
    done = subprocess.run(
        [sys.executable, 'train.py', '--print_config', *args], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout.splitlines()


@pytest.mark.slow
def test_recipes_are_printed_in_full_and_read_back(tmp_path):
    status, lines = printed('--recipe=notebook', '--learning_rate=0.25')
    assert status == 0
    assert '--learning_rate=0.25' in lines  # a flag overrides
    for name, value in RECIPES['notebook'].items():
        if name != 'learning_rate' and value is not None and not isinstance(value, tuple):
            assert f'--{name}={value}' in lines
    (tmp_path / 'flags').write_text('\n'.join(lines))
    assert printed(f'--flagfile={tmp_path}/flags')[1][1:] == lines[1:]  # all but the name of the recipe


def test_every_choice_of_the_settings_exists(records_dir, tmp_path):
    assert tuple(losses.TERMS) == config.LOSSES
    given = TrainConfig(data_dir=records_dir, train_split='train', model_dir=str(tmp_path), num_steps=1000)
    resolved = resolve.resolve(given)
    kinds = [
        type(optimizer.make_optimizer(dataclasses.replace(resolved, optimizer=name))) for name in config.OPTIMIZERS
    ]
    assert kinds == [optimizer.MomentumSGD, optimizer.Adam]
    rates = set()
    for name in config.SCHEDULES:
        rate = optimizer.make_rate(resolve.resolve(dataclasses.replace(given, lr_schedule=name)))
        rates.add(tuple(float(rate(step)) for step in range(0, 1000, 10)))
    assert len(rates) == len(config.SCHEDULES)
    for field, values in (('recipe', 'x'), ('loss', 'x'), ('optimizer', 'x'), ('lr_schedule', 'x'), ('batch_size', 0)):
        with pytest.raises(ValueError, match=f'{field}='):
            dataclasses.replace(given, **{field: values})


# The options of Darknet's cfg/yolov2-voc.cfg that say how it is trained.
YOLOV2_VOC_CFG = """
[net]
batch=64
momentum=0.9
decay=0.0005
saturation=1.5
exposure=1.5
hue=.1
learning_rate=0.001
burn_in=1000
max_batches=80200
policy=steps
steps=40000,60000
scales=.1,.1
[region]
jitter=.3
object_scale=5
noobject_scale=1
class_scale=1
coord_scale=1
thresh=.6
random=1
"""


def darknet_rate(net, batches: int) -> float:
    """Darknet src/network.c, get_current_rate, for policy=steps; `power` of the burn-in is 4 where a .cfg has none."""
    rate, burn_in = float(net['learning_rate']), int(net['burn_in'])
    if batches < burn_in:
        return rate * (batches / burn_in) ** 4
    for decay_step, scale in zip(net['steps'].split(','), net['scales'].split(','), strict=True):
        if int(decay_step) > batches:
            return rate
        rate *= float(scale)
    return rate


def test_every_range_of_the_augmentation_is_a_setting():
    given = {
        'jitter': 0.1,
        'scale': (0.5, 2.0),
        'hue': 0.2,
        'saturation': 2.0,
        'exposure': 3.0,
        'mosaic': 0.25,
        'copy_paste': 3,
        'flip': 0.75,
    }
    config = TrainConfig(**given, jitter_around='photo')
    assert vars(batches.augmentation_ranges(config)) == {**given, 'around_photo': True}
    assert vars(batches.augmentation_ranges(TrainConfig())) == vars(augment.Ranges())


def test_a_split_without_images_is_refused_before_anything_follows_from_it(records_dir, tmp_path, monkeypatch):
    description = records.read_description(records_dir)
    empty = dataclasses.replace(description.split('train'), num_images=0)
    description = dataclasses.replace(description, splits={'train': empty})
    monkeypatch.setattr(records, 'read_description', lambda data_dir: description)
    given = recipes.apply('small-data', data_dir=records_dir, model_dir=str(tmp_path), train_split='train')
    with pytest.raises(ValueError, match=r"split 'train' of .* has no images to train on"):
        resolve.resolve(given)


def test_the_default_recipe_is_the_papers(records_dir, tmp_path):
    """Against the text of Darknet's .cfg and a transcription of its learning rate."""
    cfg = configparser.ConfigParser()
    cfg.read_string(YOLOV2_VOC_CFG)
    net, region = cfg['net'], cfg['region']
    config = resolve.resolve(TrainConfig(data_dir=records_dir, train_split='train', model_dir=str(tmp_path)))
    rate = optimizer.make_rate(config)
    for number in (1, 10, 500, 999, 1000, 1001, 39999, 40000, 59999, 60000, 80200):
        assert float(rate(number - 1)) == pytest.approx(darknet_rate(net, number), rel=1e-5), number
    assert (config.loss, config.optimizer, config.recipe) == ('region', 'sgd', 'yolov2-voc')
    for name, value in (
        ('batch_size', net['batch']),
        ('num_steps', net['max_batches']),
        ('momentum', net['momentum']),
        ('weight_decay', net['decay']),
        ('saturation', net['saturation']),
        ('exposure', net['exposure']),
        ('hue', net['hue']),
        ('jitter', region['jitter']),
        ('multi_scale', region['random']),
    ):
        assert getattr(config, name) == float(value), name
    assert config.augment
    assert config.mosaic == config.ema == 0  # Darknet has neither
    assert config.scale == (1, 1)  # nor a scale beside what jitter does
    assert float(region['object_scale']) == loss_parts.OBJECT_SCALE
    assert float(region['noobject_scale']) == loss_parts.NOOBJECT_SCALE
    assert float(region['coord_scale']) == losses.COORD_SCALE
    assert float(region['class_scale']) == loss_parts.CLASS_SCALE
    assert float(region['thresh']) == loss_parts.IGNORE_IOU
