"""The rules of --recipe=auto: from what is known of data and device to the settings of a run, each with its reason.

They are made to be simple, and to ask for more where there is more: images, classes, speed. What a rule does not choose
has the value of the recipe that the choice is built on. A setting that is given is kept by every rule.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from yolo import settings
from yolo.geometry.image_sizes import SMALL_SIDE, STRIDE
from yolo.training import schedule, splits
from yolo.training.choice import Choice, Data, Device
from yolo.training.config import AUGMENTATION, TrainConfig

# The recipes that the choice is built on: from random weights; from --init_weights; and from these with many images, on
# a GPU or TPU.
FROM_SCRATCH, FROM_WEIGHTS, MANY_IMAGES = 'small-data', 'finetune', 'yolov2-voc'
MANY = 8000  # images
LARGE_NETWORK_IMAGES = 2000  # from which on yolov2 is worth its time

IMAGES_PER_BATCH = 125  # images of the data for each of a batch
SMALLEST_BATCH, LARGEST_BATCH = 8, 64
FEW_STEPS = 2000  # with less, a smaller batch gives more

# How many images a network sees in its training.
AT_LEAST, FOR_EACH_CLASS, AT_LEAST_EPOCHS, MOST_EPOCHS = 10_000, 2000, 40, 300
SHARE_FROM_WEIGHTS = 0.5  # of these, where the first weights are trained ones
HOUR = 3600  # seconds
PATIENCE = {False: 0.5 * HOUR, True: 8 * HOUR}  # for more than the least: without and with a GPU or TPU
LIMIT = {False: 4 * HOUR, True: 24 * HOUR}  # for the least
SHARE_OF_MAX_HOURS = 0.9  # of --max_hours; the rest is for the start and an estimate that was too low
SHARE_OF_STEPS = 0.5  # of that, at least; beside them sizes are compiled, and the run is evaluated
SHARE_OF_EVALUATIONS = 0.1  # of that, at most, where there are several
IMAGES_EVALUATED = 3  # in the time of one that is trained on

MULTI_SCALE_STEPS = 1500  # from which on another size every ten steps helps
AUGMENT_STEPS = 750  # from which on augmentation helps a network with random weights
OF_AUGMENTATION = {
    field.name for field in dataclasses.fields(TrainConfig) if settings.of(field).group == AUGMENTATION
} - {'augment'}
EVALUATIONS = 8  # of a run, on a split for validation


def choose_network(data: Data, device: Device, weights_of: Sequence, given: Mapping[str, Any]) -> Choice:
    """Recipe, splits, network and batch: all that is chosen before the time of a step is known.

    weights_of: name and width of the network that --init_weights is of, () if that is not known.
    """
    if not given.get('init_weights'):
        base, why = FROM_SCRATCH, 'random weights'
    elif device.is_accelerator and data.num_images >= MANY:
        base, why = MANY_IMAGES, f'trained weights, {MANY:,} images or more, and a GPU or TPU'
    else:
        base, why = FROM_WEIGHTS, 'trained weights'
    choice = Choice(base, {}, {'recipe': why})
    choice = _with_splits(choice, data, given)
    if weights_of and given.get('model', weights_of[0]) == weights_of[0]:
        model, why = weights_of[0], 'the network of --init_weights'
        choice = choice.adding('width', weights_of[1], why, given)
    elif not device.is_accelerator:
        model, why = 'yolov2-tiny', 'no GPU or TPU'
    elif data.num_images < LARGE_NETWORK_IMAGES:
        model, why = 'yolov2-tiny', f'fewer than {LARGE_NETWORK_IMAGES:,} images'
    else:
        model, why = 'yolov2', f'{LARGE_NETWORK_IMAGES:,} images or more on a GPU or TPU'
    choice = choice.adding('model', model, why, given)
    return choice.adding('batch_size', batch_size(data.num_images, device.replicas), 'by the number of images', given)


def _with_splits(choice: Choice, data: Data, given: Mapping[str, Any]) -> Choice:
    """The split to train on, and one to evaluate on: for validation during the run, or another once, at its end."""
    train = splits.to_train_on(data.splits, given.get('train_split'))
    choice = choice.adding('train_split', train, 'by its name', given)
    return choice.adding('eval_split', splits.to_evaluate_on(data.splits, train), 'by its name', given)


def batch_size(num_images: int, replicas: int = 1) -> int:
    """Images a step: 8 for few images, up to 64 for 8,000; the same number for each replica."""
    least = _smallest_batch(replicas)
    batch = least
    while 2 * batch <= max(least, LARGEST_BATCH) and 2 * batch * IMAGES_PER_BATCH <= num_images:
        batch *= 2
    return batch


def _smallest_batch(replicas: int) -> int:
    return math.ceil(SMALLEST_BATCH / replicas) * replicas


def least_images(data: Data, from_weights: bool) -> int:
    """How many images a network has to see at least in its training.

    10,000 and 2,000 for each class, or each image 40 times if that is more; half of it from trained weights.
    """
    least = max(AT_LEAST + FOR_EACH_CLASS * data.num_classes, AT_LEAST_EPOCHS * data.num_images)
    return int(least * SHARE_FROM_WEIGHTS) if from_weights else least


def images_to_see(data: Data, from_weights: bool, patience: float, limit: float) -> int:
    """How many images a network sees in its training.

    The least; twice, four times ... as many where these are no more than `patience`, and show no image more than 300
    times; no more than `limit`.
    """
    seen = least_images(data, from_weights)
    most = min(max(seen, MOST_EPOCHS * data.num_images), patience)
    while 2 * seen <= most:
        seen *= 2
    return max(1, min(seen, int(limit)))


def choose_steps(
    choice: Choice,
    data: Data,
    device: Device,
    speeds: Mapping[bool, float],
    compiling: Mapping[bool, float],
    given: Mapping[str, Any],
) -> Choice:
    """Steps, their batch, image sizes, augmentation and evaluations, once the speed of the device is known.

    speeds: images/s without (False) and with (True) multi-scale training; compiling: seconds for all sizes of these.
    Neither is needed where the steps are given.
    """
    evaluations = _num_evaluations(choice, data, math.inf, given)
    if are_steps_given(given):
        steps, why = _given_steps(choice, data, given)
        choice = choice.adding('num_steps', steps, why, {})
        is_multi_scale = given.get('multi_scale', steps >= MULTI_SCALE_STEPS)
    else:
        plans = {kind: _plan(choice, data, device, speed, compiling[kind], given) for kind, speed in speeds.items()}
        is_multi_scale = given.get('multi_scale', True in plans and plans[True][1] >= MULTI_SCALE_STEPS)
        batch, steps, evaluations, why = plans[is_multi_scale]
        choice = choice.adding('batch_size', batch, choice.reasons['batch_size'], given)
        choice = choice.adding('num_steps', steps, why, given)
    choice = choice.adding('multi_scale', is_multi_scale, _why_sizes(is_multi_scale, steps), given)
    if choice.base == FROM_SCRATCH and steps < AUGMENT_STEPS and not OF_AUGMENTATION & given.keys():
        choice = choice.adding('augment', False, f'fewer than {AUGMENT_STEPS:,} steps from random weights', given)
    every = steps // EVALUATIONS if evaluations == EVALUATIONS and steps >= 10 * EVALUATIONS else 0
    return choice.adding('eval_every', every, 'several for validation, else one at the end', given)


def are_steps_given(given: Mapping[str, Any]) -> bool:
    """Whether there is nothing to choose about the number of steps."""
    return 'num_steps' in given or 'epochs' in given


def _given_steps(choice: Choice, data: Data, given: Mapping[str, Any]) -> tuple[int, str]:
    if 'num_steps' in given:
        return given['num_steps'], 'as --num_steps says'
    steps = schedule.steps_of_epochs(given['epochs'], data.num_images, choice.values['batch_size'])
    return steps, 'as --epochs says'


def _why_sizes(is_multi_scale: bool, steps: int) -> str:
    if is_multi_scale:
        return f'{MULTI_SCALE_STEPS:,} steps or more'
    if steps < MULTI_SCALE_STEPS:
        return f'several sizes need {MULTI_SCALE_STEPS:,} steps or more'
    return f'with several, there is time for fewer than {MULTI_SCALE_STEPS:,} steps'


def _plan(
    choice: Choice, data: Data, device: Device, speed: float, compiling: float, given: Mapping[str, Any]
) -> tuple[int, int, float, str]:
    """Batch, steps, evaluations and why so many steps; speed: images/s; compiling: seconds for all sizes."""
    from_weights, times = bool(given.get('init_weights')), _times(device, given.get('max_hours', 0))
    patience, limit = (seconds * speed for seconds in times)  # in images that are trained on
    evaluations = _num_evaluations(choice, data, math.inf, given)
    if given.get('max_hours'):
        left = max(0.0, limit - compiling * speed)
        evaluations = _num_evaluations(choice, data, left, given)
        limit = max(SHARE_OF_STEPS * limit, left - evaluations * _cost_of_evaluation(choice, data))
    seen = images_to_see(data, from_weights, min(patience, limit), limit)
    batch, steps = _in_steps(seen, choice.values['batch_size'], device.replicas, given)
    up = _in_two_digits(math.ceil(seen / batch), math.ceil)
    is_up = seen == least_images(data, from_weights) and up * batch <= limit
    why = _why_so_many(data, from_weights, seen, times)
    return batch, up if is_up else _in_two_digits(steps, math.floor), evaluations, why


def _times(device: Device, max_hours: float) -> tuple[float, float]:
    """Patience and limit in seconds."""
    if max_hours:
        return SHARE_OF_MAX_HOURS * max_hours * HOUR, SHARE_OF_MAX_HOURS * max_hours * HOUR
    return PATIENCE[device.is_accelerator], LIMIT[device.is_accelerator]


def _cost_of_evaluation(choice: Choice, data: Data) -> float:
    """In images that are trained on in the same time."""
    return data.splits.get(choice.values['eval_split'], 0) / IMAGES_EVALUATED


def _num_evaluations(choice: Choice, data: Data, left: float, given: Mapping[str, Any]) -> float:
    """How many evaluations a run has, with time for `left` images to train on and to evaluate on."""
    split, cost = choice.values['eval_split'], _cost_of_evaluation(choice, data)
    if given.get('eval_every'):
        return max(1.0, left / (choice.values['batch_size'] * given['eval_every'] + cost))
    is_validated = split in splits.VALIDATION or 'eval_split' in given
    are_cheap = EVALUATIONS * cost <= SHARE_OF_EVALUATIONS * left
    return EVALUATIONS if split and is_validated and are_cheap and 'eval_every' not in given else 1


def _in_steps(seen: int, batch: int, replicas: int, given: Mapping[str, Any]) -> tuple[int, int]:
    """Batch and steps for so many images: the batch is halved, down to 8, where there would be few steps."""
    parts = replicas * given.get('subdivisions', 1)
    while 'batch_size' not in given and seen // batch < FEW_STEPS:
        half = batch // 2
        if half < _smallest_batch(replicas) or half % parts:
            break
        batch = half
    return batch, max(1, seen // batch)


def _in_two_digits(number: int, rounded: Callable[[float], int]) -> int:
    """2,190 -> 2,100 or 2,200."""
    unit = 10 ** max(0, len(str(number)) - 2)
    return rounded(number / unit) * unit


def _why_so_many(data: Data, from_weights: bool, seen: int, times: tuple[float, float]) -> str:
    least = least_images(data, from_weights)
    if seen < least:
        return f'as many as fit into {times[1] / HOUR:.3g} h; {least:,} images would be better'
    is_by_images = AT_LEAST_EPOCHS * data.num_images > AT_LEAST + FOR_EACH_CLASS * data.num_classes
    by_classes = f'{AT_LEAST:,} images, and {FOR_EACH_CLASS:,} more for each class'
    why = f'each {AT_LEAST_EPOCHS} times' if is_by_images else by_classes
    why = f'half of {why}, from trained weights' if from_weights else why
    times_as_many = seen // least
    return (
        why
        if times_as_many == 1
        else f'{why}; {times_as_many} times that, since it takes under {times[0] / HOUR:.3g} h'
    )


def better_size(data: Data) -> int:
    """The longer side of images in which typical objects of every class are large enough; 0 if they are."""
    side = data.sides.get(data.smallest, SMALL_SIDE)
    if side >= SMALL_SIDE:
        return 0
    longer = max(data.image_size)
    return math.ceil(min(2.0, SMALL_SIDE / side) * longer / STRIDE) * STRIDE
