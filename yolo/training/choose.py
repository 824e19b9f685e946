"""The rules of --recipe=auto: from what is known of data and device to the settings of a run, each with its reason.

They are made to be simple, and to ask for more where there is more: images, classes, speed. What a rule does not choose
has the value of the recipe that the choice is built on. A setting that is given is kept by every rule.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from yolo import settings
from yolo.data.mosaic import GROUP
from yolo.recipes import MODERN, RECIPES
from yolo.training import plan, schedule, splits
from yolo.training.choice import Choice, Data, Device
from yolo.training.config import AUGMENTATION, TrainConfig

# The recipes that the choice is built on: the second from --init_weights, with many images, on a GPU or TPU.
USUAL, MANY_IMAGES = MODERN, 'yolov2-voc'
MANY = 8000  # images
LARGE_NETWORK_IMAGES = 2000  # from which on yolov2 is worth its time

MULTI_SCALE_STEPS = 1500  # of 8 images or more, from which on another size every ten steps helps
AUGMENT_STEPS = 750  # from which on augmentation helps a network with random weights
OF_AUGMENTATION = {
    field.name for field in dataclasses.fields(TrainConfig) if settings.of(field).group == AUGMENTATION
} - {'augment'}


def choose_network(data: Data, device: Device, weights_of: Sequence, given: Mapping[str, Any]) -> Choice:
    """Recipe, splits, network and batch: all that is chosen before the time of a step is known.

    weights_of: name and width of the network that --init_weights is of, () if that is not known.
    """
    from_weights = bool(given.get('init_weights'))
    base, why = USUAL, 'trained weights' if from_weights else 'random weights'
    if from_weights and device.is_accelerator and data.num_images >= MANY:
        base, why = MANY_IMAGES, f'trained weights, {MANY:,} images or more, and a GPU or TPU'
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
    batch = plan.batch_size(data, choice.base, device, given)
    choice = choice.adding('batch_size', batch, 'by the number of images', given)
    return _without_pasting(choice, data, device, given)


def _with_splits(choice: Choice, data: Data, given: Mapping[str, Any]) -> Choice:
    """The split to train on, and one to evaluate on: for validation during the run, or another once, at its end."""
    train = splits.to_train_on(data.splits, given.get('train_split'))
    choice = choice.adding('train_split', train, 'by its name', given)
    return choice.adding('eval_split', splits.to_evaluate_on(data.splits, train), 'by its name', given)


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
    evaluations = plan.num_evaluations(choice, data, math.inf, given)
    if are_steps_given(given):
        steps, why = _given_steps(choice, data, given)
        choice = choice.adding('num_steps', steps, why, {})
        is_multi_scale = given.get('multi_scale', steps >= _steps_for_sizes(choice.values['batch_size']))
    else:
        plans = {kind: plan.make(choice, data, device, speed, compiling[kind], given) for kind, speed in speeds.items()}
        is_long = True in plans and plans[True][1] >= _steps_for_sizes(plans[True][0])
        is_multi_scale = given.get('multi_scale', is_long)
        batch, steps, evaluations, why = plans[is_multi_scale]
        choice = choice.adding('batch_size', batch, choice.reasons['batch_size'], given)
        choice = choice.adding('num_steps', steps, why, given)
    why = _why_sizes(is_multi_scale, steps, _steps_for_sizes(choice.values['batch_size']))
    choice = choice.adding('multi_scale', is_multi_scale, why, given)
    if not given.get('init_weights') and steps < AUGMENT_STEPS and not _asks_for_augmentation(given):
        choice = choice.adding('augment', False, f'fewer than {AUGMENT_STEPS:,} steps from random weights', given)
    choice = _without_pasting(choice, data, device, given)
    every = steps // plan.EVALUATIONS if evaluations == plan.EVALUATIONS and steps >= 10 * plan.EVALUATIONS else 0
    return choice.adding('eval_every', every, 'several for validation, else one at the end', given)


def _without_pasting(choice: Choice, data: Data, device: Device, given: Mapping[str, Any]) -> Choice:
    """Without the copy-paste of the recipe where it cannot be."""
    of_each = choice.values['batch_size'] // device.processes
    if not RECIPES[choice.base].get('copy_paste') or given.get('copy_paste'):
        return choice
    why = plan.obstacle_to_pasting(data, choice.values.get('augment', given.get('augment', True)))
    if not why and of_each % GROUP:
        why = f'{of_each} images of each process are no groups of {GROUP}'
    return choice.adding('copy_paste', 0, why, given) if why or 'copy_paste' in given else choice


def are_steps_given(given: Mapping[str, Any]) -> bool:
    """Whether there is nothing to choose about the number of steps."""
    return 'num_steps' in given or 'epochs' in given


def _given_steps(choice: Choice, data: Data, given: Mapping[str, Any]) -> tuple[int, str]:
    if 'num_steps' in given:
        return given['num_steps'], 'as --num_steps says'
    steps = schedule.steps_of_epochs(given['epochs'], data.num_images, choice.values['batch_size'])
    return steps, 'as --epochs says'


def _steps_for_sizes(batch: int) -> int:
    """The steps from which on a run has several image sizes; more of them where they are of few images."""
    return math.ceil(MULTI_SCALE_STEPS * max(1.0, plan.SMALL_BATCH / batch))


def _why_sizes(is_multi_scale: bool, steps: int, needed: int) -> str:
    if is_multi_scale:
        return f'{needed:,} steps or more'
    if steps < needed:
        return f'several sizes need {needed:,} steps or more'
    return f'with several, there is time for fewer than {needed:,} steps'


def _asks_for_augmentation(given: Mapping[str, Any]) -> bool:
    """Whether a flag says how images are to be augmented; --copy_paste=0 and --mosaic=0 say what not."""
    return any(name not in ('copy_paste', 'mosaic') or given[name] for name in OF_AUGMENTATION & given.keys())
