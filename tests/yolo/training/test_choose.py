"""The rules of --recipe=auto on constructed data and devices."""

import dataclasses
import math

import pytest

from yolo.geometry.image_sizes import better_size
from yolo.training import choose, plan
from yolo.training.choose import Choice, Data, Device, choose_network, choose_steps
from yolo.training.config import TrainConfig
from yolo.training.explain import explain

CPU, GPU = Device('1 CPU'), Device('1 GPU', is_accelerator=True)
BCCD = Data(292, 3941, (256, 256), 3, {'trainval': 292, 'test': 72}, {'Platelets': 17.4, 'RBC': 52.0, 'WBC': 93.0})
RACCOONS = Data(160, 173, (320, 320), 1, {'train': 160, 'test': 40}, {'raccoon': 180.0})
VOC = Data(16551, 40058, (416, 416), 20, {'trainval': 16551, 'test': 4952}, {'bottle': 61.0, 'cat': 240.0})
TINY = Data(12, 20, (256, 256), 2, {'train': 12, 'val': 4, 'test': 4}, {'a': 40.0})


def chosen(data: Data, device: Device, speed: float = 14.0, weights_of=(), compiling: float = 0.0, **given) -> Choice:
    """What the rules choose where the device takes `speed` images/s, and three quarters of that with multi-scale."""
    choice = choose_network(data, device, weights_of, given)
    kinds = [given['multi_scale']] if 'multi_scale' in given else [False, True]
    speeds = {kind: speed * (0.75 if kind else 1) for kind in kinds}
    return choose_steps(choice, data, device, speeds, {kind: compiling * (7 if kind else 1) for kind in kinds}, given)


def test_blood_cells_on_two_cores():
    choice = chosen(BCCD, CPU)
    assert choice.base == choose.USUAL
    assert choice.values == {
        'train_split': 'trainval',
        'eval_split': 'test',
        'eval_every': 0,  # a single one, so that test images choose nothing
        'model': 'yolov2-tiny',
        'batch_size': 4,
        'num_steps': 4000,
        'multi_scale': True,
    }


def test_the_values_are_settings():
    names = {field.name for field in dataclasses.fields(TrainConfig)}
    for data, device, given in ((BCCD, CPU, {}), (VOC, GPU, {}), (TINY, CPU, {'max_hours': 0.01})):
        choice = chosen(data, device, **given)
        assert set(choice.values) <= names
        assert set(choice.values) <= set(choice.reasons)
        TrainConfig(**choice.values)


def test_raccoons_from_scratch_and_from_weights():
    assert chosen(RACCOONS, CPU, 9.0).values['num_steps'] == 3000  # 12,000 images
    choice = chosen(RACCOONS, CPU, 4.0, ('yolov2-tiny', 0.5), init_weights='runs/bccd')
    assert choice.base == choose.USUAL
    assert choice.values['num_steps'] == 1500  # 6,000 images
    assert not choice.values['multi_scale']
    assert 'augment' not in choice.values  # the weights know already what an image is
    assert (choice.values['model'], choice.values['width']) == ('yolov2-tiny', 0.5)
    assert choice.values['train_split'] == 'train'  # there is no trainval


def test_voc_on_a_gpu():
    choice = chosen(VOC, GPU, 500.0)
    assert (choice.values['model'], choice.values['batch_size'], choice.values['multi_scale']) == ('yolov2', 64, True)
    seen = choice.values['num_steps'] * 64
    assert 40 * VOC.num_images < seen <= 300 * VOC.num_images
    assert seen <= 8 * 3600 * 500
    # The paper's recipe detects nothing where it begins with random weights and has few steps.
    assert choice.base == choose.USUAL
    assert chosen(VOC, GPU, 500.0, init_weights='darknet19.conv.23').base == choose.MANY_IMAGES
    assert chosen(VOC, CPU, init_weights='darknet19.conv.23').base == choose.USUAL


def test_voc_on_two_cores_takes_what_fits():
    choice = chosen(VOC, CPU)
    assert choice.values['model'] == 'yolov2-tiny'
    assert choice.values['num_steps'] * choice.values['batch_size'] <= 4 * 3600 * 14 * 0.75
    assert choice.reasons['num_steps'] == 'as many as fit into 4 h; 662,040 images would be better'


def test_a_gpu_trains_few_images_for_longer():
    choice = chosen(BCCD, GPU, 2000.0)
    assert choice.values['num_steps'] == 16_000  # four times 16,000 images; eight times would be 438 epochs
    assert choice.values['model'] == 'yolov2-tiny'


def test_a_split_for_validation_is_evaluated_during_the_run():
    values = chosen(TINY, CPU).values
    assert (values['train_split'], values['eval_split']) == ('train', 'val')
    assert values['eval_every'] == values['num_steps'] // 8
    assert chosen(dataclasses.replace(TINY, splits={'all': 12}), CPU).values['eval_split'] == ''
    assert chosen(BCCD, CPU, eval_split='test').values['eval_every'] == 500  # as it was asked for
    assert chosen(BCCD, CPU, eval_split='').values['eval_every'] == 0


@pytest.mark.parametrize(
    ('names', 'train', 'evaluation'),
    [
        (('train', 'val', 'trainval', 'test'), 'trainval', 'test'),  # VOC's own: trainval has the images of both
        (('train', 'trainval', 'test'), 'trainval', 'test'),
        (('train', 'val', 'trainval'), 'trainval', ''),
        (('test', 'train'), 'train', 'test'),
        (('val', 'train'), 'train', 'val'),
        (('test', 'val'), 'val', 'test'),
        (('test',), 'test', ''),
        (('a', 'test', 'b', 'dev'), 'a', 'dev'),
    ],
)
def test_no_image_is_trained_and_evaluated_on(names, train, evaluation):
    values = chosen(dataclasses.replace(TINY, splits=dict.fromkeys(names, 12)), CPU).values
    assert (values['train_split'], values['eval_split']) == (train, evaluation)


@pytest.mark.parametrize(('train', 'evaluation'), [('train', 'val'), ('val', 'train'), ('test', 'val')])
def test_a_split_to_train_on_that_is_given_shares_no_image(train, evaluation):
    data = dataclasses.replace(TINY, splits=dict.fromkeys(('trainval', 'train', 'val', 'test'), 12))
    assert chosen(data, CPU, train_split=train).values['eval_split'] == evaluation


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('model', 'yolov2'),
        ('batch_size', 3),
        ('num_steps', 123),
        ('multi_scale', False),
        ('eval_every', 7),
        ('train_split', 'test'),
        ('eval_split', 'trainval'),
    ],
)
def test_a_flag_wins_and_the_reason_says_so(name, value):
    choice = chosen(BCCD, CPU, **{name: value})
    assert choice.values[name] == value
    assert choice.reasons[name] == f'as --{name} says'


def test_a_short_run_is_neither_multi_scale_nor_augmented():
    short = chosen(BCCD, CPU, max_hours=0.05).values
    assert short['num_steps'] * 4 <= 0.05 * 3600 * 14
    assert (short['multi_scale'], short['augment'], short['copy_paste']) == (False, False, 0)
    assert chosen(BCCD, CPU, max_hours=0.05, augment=True).values['augment']
    assert not chosen(BCCD, CPU, max_hours=0.05, augment=False).values['augment']
    assert 'copy_paste' not in chosen(BCCD, CPU, max_hours=0.05, augment=True).values
    longer = chosen(BCCD, CPU, epochs=40).values
    assert longer['num_steps'] == 2920
    assert 'augment' not in longer


@pytest.mark.parametrize(
    'given', [{'mosaic': 0.5}, {'jitter_around': 'photo'}, {'jitter': 0.1}, {'flip': 0.0}, {'scale': (0.9, 1.1)}]
)
def test_a_short_run_with_a_flag_of_augmentation_is_augmented(given):
    assert 'augment' not in chosen(BCCD, CPU, num_steps=20, **given).values
    assert 'augment' in chosen(BCCD, CPU, num_steps=20, learning_rate=0.1).values
    assert 'augment' in chosen(BCCD, CPU, num_steps=20, copy_paste=0, mosaic=0.0).values


@pytest.mark.parametrize('num_images', [20, 100, 1000])
@pytest.mark.parametrize('hours', [0.2, 1.0, 4.0])
@pytest.mark.parametrize('given', [{}, {'eval_split': 'test'}, {'eval_every': 100}])
def test_a_run_is_evaluated_within_max_hours(num_images, hours, given):
    """An evaluation takes a third of the time of as many images to train on, and every size is compiled."""
    data = dataclasses.replace(BCCD, splits={'train': 292, 'test': num_images})
    values = chosen(data, CPU, compiling=20.0, max_hours=hours, **given).values
    speed, sizes = (14.0 * 0.75, 7) if values['multi_scale'] else (14.0, 1)
    steps, every = values['num_steps'], values['eval_every']
    evaluations = math.ceil(steps / every) if every else 1
    seconds = (steps * values['batch_size'] + evaluations * num_images / 3) / speed + 20 * sizes
    is_possible = num_images / 3 / 14.0 + 20 < 0.4 * hours * 3600
    assert seconds <= 0.95 * hours * 3600 or not is_possible
    assert steps * values['batch_size'] / speed >= 0.4 * hours * 3600 or steps >= 2000  # and not too short


def test_long_evaluations_are_made_once_where_time_is_limited():
    data = dataclasses.replace(BCCD, splits={'train': 292, 'val': 1000})
    assert chosen(data, CPU, max_hours=0.5).values['eval_every'] == 0
    assert chosen(data, CPU).values['eval_every'] > 0
    few = dataclasses.replace(data, splits={'train': 292, 'val': 20})
    assert chosen(few, CPU, max_hours=0.5).values['eval_every'] > 0


def test_more_time_gives_more_steps_up_to_300_times_each_image():
    steps = [chosen(BCCD, CPU, max_hours=hours).values['num_steps'] for hours in (0.05, 0.1, 0.5, 1, 2, 8, 100)]
    assert steps == sorted(steps)
    assert steps[0] < steps[-1] <= 300 * 292 / 4


def test_more_images_or_classes_never_give_fewer_images_to_see():
    seen = [
        plan.least_images(dataclasses.replace(VOC, num_images=n, num_classes=c), False)
        for n, c in ((10, 1), (10, 2), (292, 3), (640, 5), (4000, 20), (16551, 20))
    ]
    assert seen == sorted(seen)
    assert seen[2] == 16_000  # what is known to be good for blood cells


@pytest.mark.parametrize(
    ('num_images', 'replicas', 'usual', 'many'),
    [
        (1, 1, 4, 8),
        (999, 1, 4, 8),
        (1000, 1, 8, 8),
        (2000, 1, 16, 16),
        (8000, 1, 64, 64),
        (10**6, 1, 64, 64),
        (292, 3, 6, 9),
        (292, 16, 16, 16),
    ],
)
def test_batches_grow_with_the_data_and_divide_by_the_replicas(num_images, replicas, usual, many):
    device = Device('CPUs', replicas=replicas)
    data = dataclasses.replace(BCCD, num_images=num_images)
    assert plan.batch_size(data, choose.USUAL, device, {'copy_paste': 0}) == usual
    assert plan.batch_size(data, choose.MANY_IMAGES, device, {}) == many


@pytest.mark.parametrize(
    ('device', 'given', 'expected'),
    [
        (Device('3 CPUs', replicas=3), {}, 12),  # one process makes groups of four
        (Device('2 CPUs', replicas=2, processes=2), {}, 8),
        (Device('2 CPUs', replicas=2, processes=2), {'copy_paste': 0}, 4),
        (Device('2 CPUs', replicas=2, processes=2), {'copy_paste': 0, 'mosaic': 0.5}, 8),
        (Device('2 CPUs', replicas=2, processes=2), {'augment': False}, 4),
        (Device('6 CPUs', replicas=6, processes=6), {}, 6),  # steps are worth more than pasting
        (Device('6 CPUs', replicas=6, processes=6), {'copy_paste': 4}, 24),
        (CPU, {'subdivisions': 8}, 8),
        (CPU, {'subdivisions': 3}, 12),
    ],
)
def test_a_batch_has_whole_groups_and_parts(device, given, expected):
    assert plan.batch_size(BCCD, choose.USUAL, device, given) == expected
    assert chosen(BCCD, device, max_hours=0.01, **given).values['batch_size'] == expected
    letterboxed = dataclasses.replace(BCCD, is_stretched=False)
    assert plan.batch_size(letterboxed, choose.USUAL, Device('CPUs', replicas=2, processes=2), {}) == 4


def test_a_large_batch_is_halved_rather_than_take_few_steps():
    data = dataclasses.replace(VOC, num_images=4000)
    values = chosen(data, CPU, max_hours=1).values
    assert (values['batch_size'], values['num_steps']) == (16, 2000)  # and 4,952 images are evaluated in that hour
    values = chosen(data, CPU, max_hours=1, batch_size=32).values  # too few steps for several image sizes
    assert (values['multi_scale'], values['num_steps']) == (False, 1300)


@pytest.mark.parametrize(('replicas', 'parts', 'expected'), [(1, 16, 16), (1, 1, 4), (2, 4, 8), (2, 8, 16), (1, 3, 12)])
def test_a_batch_stays_one_of_the_parts_that_are_given(replicas, parts, expected):
    data, device = dataclasses.replace(VOC, num_images=4000), Device('CPUs', replicas=replicas)
    values = chosen(data, device, max_hours=0.1, subdivisions=parts).values
    assert values['batch_size'] == expected


def test_larger_images_for_objects_of_less_than_24_pixels():
    assert better_size((256, 256), 17.4) == (384, 384)
    assert better_size((256, 256), 24.0) is None
    assert better_size((192, 256), 2.0) == better_size((192, 256), 0.0) == (384, 512)  # no more than twice as large


def test_five_lines_say_why():
    choice = chosen(BCCD, CPU).adding('subdivisions', 2, 'by the memory of a device', {})
    lines = explain(choice, BCCD, CPU, [192, 224, 384], 10.0)
    assert lines == [
        'data: 292 images of trainval, 3,941 objects of 3 classes, whose typical sides are 17 (Platelets) to 93 (WBC) '
        'pixels',
        'recipe: modern (random weights); evaluated on test',
        'network: yolov2-tiny (no GPU or TPU), 256 x 256 pixels as the records; --image_size=384 in preprocessing '
        'would be better for Platelets, at 2.2 times the time',
        'steps: 4,000 of 4 images (by the number of images), each image 54.8 times (10,000 images, and 2,000 more '
        'for each class); 192 to 384 pixels (3,000 steps or more), in 2 parts (by the memory of a device)',
        'time: about 27 min and the evaluations, at 10.0 images/s, by ten timed steps on 1 CPU',
    ]


def test_the_lines_of_a_short_run_of_one_class():
    choice = chosen(RACCOONS, CPU, num_steps=10).adding('subdivisions', 1, 'by the memory of a device', {})
    data, _, network, steps, time = explain(choice, RACCOONS, CPU, [320], None)
    assert data.endswith('173 objects of 1 class, whose typical sides are 180 (raccoon) pixels')
    assert network.endswith('320 x 320 pixels as the records')
    assert steps.startswith(
        'steps: 10 of 4 images (by the number of images), each image 0.25 times (as --num_steps says)'
    )
    assert steps.endswith(
        'one image size (several sizes need 3,000 steps or more), not augmented (fewer than 750 steps from random '
        'weights)'
    )
    assert time == 'time: said after ten steps'


def test_the_lines_of_a_single_image_of_no_class():
    data = dataclasses.replace(RACCOONS, num_images=1, num_objects=0, num_classes=0, sides={})
    choice = chosen(data, CPU, 100.0).adding('subdivisions', 1, 'by the memory of a device', {})
    said, _, _, steps, _ = explain(choice, data, CPU, [320], None)
    assert said == 'data: 1 images of train, 0 objects of 0 classes'
    assert 'each image 10,000 times (10,000 images, and 2,000 more for each class)' in steps


def test_why_there_is_one_size_though_the_steps_are_many():
    """At the slower speed of several sizes there would be fewer than 3,000."""
    data = dataclasses.replace(BCCD, splits={'trainval': 292})
    choice = chosen(data, CPU, max_hours=0.3)
    assert (choice.values['multi_scale'], choice.values['num_steps']) == (False, 3400)
    assert choice.reasons['multi_scale'] == 'with several, there is time for fewer than 3,000 steps'


@pytest.mark.parametrize(
    ('changes', 'device', 'given', 'why'),
    [
        ({}, CPU, {}, None),
        ({'is_stretched': False}, CPU, {}, 'without copy-paste (grey bars)'),
        ({}, Device('2 CPUs', replicas=2, processes=2), {}, None),  # 8 images
        (
            {},
            Device('2 CPUs', replicas=2, processes=2),
            {'batch_size': 4},
            'without copy-paste (2 images of each process',
        ),
        ({}, Device('2 CPUs', replicas=2), {}, None),  # one process makes the whole batch
        ({}, CPU, {'augment': False}, 'without copy-paste (not augmented)'),
        ({}, CPU, {'copy_paste': 0}, 'without copy-paste (as --copy_paste says)'),
        ({'is_stretched': False}, CPU, {'copy_paste': 2}, None),  # which is refused later
        ({'is_stretched': False, 'num_images': choose.MANY}, GPU, {'init_weights': 'a'}, None),  # of a recipe without
    ],
)
def test_objects_are_not_pasted_where_they_cannot_be(changes, device, given, why):
    data = dataclasses.replace(BCCD, **changes)
    choice = chosen(data, device, **given)
    assert choice.values.get('copy_paste') == (0 if why else None)
    steps = explain(choice.adding('subdivisions', 1, '', {}), data, device, [256], None)[3]
    assert (why or '') in steps
    assert ('copy-paste' in steps) == bool(why)


@pytest.mark.parametrize('num_classes', range(1, 20))
def test_the_steps_show_the_least_where_there_is_time(num_classes):
    data = dataclasses.replace(BCCD, num_classes=num_classes)
    values = chosen(data, CPU, 9.0).values
    assert values['num_steps'] * values['batch_size'] >= plan.least_images(data, False)


def test_larger_images_keep_their_shape():
    data = dataclasses.replace(BCCD, image_size=(192, 256))
    choice = chosen(data, CPU).adding('subdivisions', 1, 'by the memory of a device', {})
    network = explain(choice, data, CPU, [256], None)[2]
    assert '256 x 192 pixels as the records; --image_size=384x288 in preprocessing' in network
    assert network.endswith('at 2.2 times the time')
