"""How long a run of --recipe=auto is to be: the images that it sees, their batch, its steps and its evaluations."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from yolo.data.mosaic import GROUP
from yolo.recipes import RECIPES
from yolo.training import splits
from yolo.training.choice import Choice, Data, Device

IMAGES_PER_BATCH = 125  # images of the data for each of a batch
SMALL_BATCH, LARGEST_BATCH = 8, 64
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
EVALUATIONS = 8  # of a run, on a split for validation


def batch_size(data: Data, base: str, device: Device, given: Mapping[str, Any]) -> int:
    """Images a step: for few images as many as the recipe has, up to 64 for 8,000; as many for each replica."""
    least = _smallest_batch(data, base, device, given)
    batch = least
    while 2 * batch <= max(least, LARGEST_BATCH) and 2 * batch * IMAGES_PER_BATCH <= data.num_images:
        batch *= 2
    return batch


def _smallest_batch(data: Data, base: str, device: Device, given: Mapping[str, Any]) -> int:
    """That of the recipe, or 8 for one with larger batches; more where replicas, parts and groups of images need it.

    With many processes, the recipe's own copy-paste is not worth the fewer steps of a batch in groups for each.
    """
    unit, groups = device.replicas * given.get('subdivisions', 1), GROUP * device.processes
    may_paste = 'copy_paste' not in given and not obstacle_to_pasting(data, given.get('augment', True))
    pastes = RECIPES[base].get('copy_paste') and may_paste and groups <= SMALL_BATCH
    if pastes or given.get('copy_paste') or given.get('mosaic'):
        unit = math.lcm(unit, groups)
    least = min(RECIPES[base].get('batch_size', SMALL_BATCH), SMALL_BATCH)
    return math.ceil(least / unit) * unit


def obstacle_to_pasting(data: Data, is_augmented: bool) -> str:
    """Why no objects can be pasted into images, in words; '' if they can."""
    if not is_augmented:
        return 'not augmented'
    return '' if data.is_stretched else 'grey bars'


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


def make(
    choice: Choice, data: Data, device: Device, speed: float, compiling: float, given: Mapping[str, Any]
) -> tuple[int, int, float, str]:
    """Batch, steps, evaluations and why so many steps; speed: images/s; compiling: seconds for all sizes."""
    from_weights, times = bool(given.get('init_weights')), _times(device, given.get('max_hours', 0))
    patience, limit = (seconds * speed for seconds in times)  # in images that are trained on
    evaluations = num_evaluations(choice, data, math.inf, given)
    if given.get('max_hours'):
        left = max(0.0, limit - compiling * speed)
        evaluations = num_evaluations(choice, data, left, given)
        limit = max(SHARE_OF_STEPS * limit, left - evaluations * _cost_of_evaluation(choice, data))
    seen = images_to_see(data, from_weights, min(patience, limit), limit)
    batch, steps = _in_steps(seen, choice, data, device, given)
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


def num_evaluations(choice: Choice, data: Data, left: float, given: Mapping[str, Any]) -> float:
    """How many evaluations a run has, with time for `left` images to train on and to evaluate on."""
    split, cost = choice.values['eval_split'], _cost_of_evaluation(choice, data)
    if given.get('eval_every'):
        return max(1.0, left / (choice.values['batch_size'] * given['eval_every'] + cost))
    is_validated = split in splits.VALIDATION or 'eval_split' in given
    are_cheap = EVALUATIONS * cost <= SHARE_OF_EVALUATIONS * left
    return EVALUATIONS if split and is_validated and are_cheap and 'eval_every' not in given else 1


def _in_steps(seen: int, choice: Choice, data: Data, device: Device, given: Mapping[str, Any]) -> tuple[int, int]:
    """Batch and steps for so many images: the batch is halved, down to the recipe's, where there would be few steps."""
    batch, least = choice.values['batch_size'], _smallest_batch(data, choice.base, device, given)
    while 'batch_size' not in given and seen // batch < FEW_STEPS and batch // 2 >= least:
        batch //= 2
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
