"""The five lines that say what --recipe=auto chose, and why."""

import math

from yolo.geometry.image_sizes import better_size, format_size
from yolo.training.choice import Choice, Data, Device
from yolo.training.time_estimate import format_duration


def explain(choice: Choice, data: Data, device: Device, longer_sides: list[int], speed: float | None) -> list[str]:
    """Data, recipe, network, steps, time.

    longer_sides: of the image sizes in training, in pixels; speed: images/s, None if no steps were timed.
    """
    values, why = choice.values, choice.reasons
    height, width = data.image_size
    steps, batch = values['num_steps'], values['batch_size']
    seen = steps * batch
    times = _format_times(seen / data.num_images)
    evaluated = f'evaluated on {values["eval_split"]}' if values['eval_split'] else 'no other split to evaluate on'
    sizes = f'{min(longer_sides)} to {max(longer_sides)} pixels' if len(longer_sides) > 1 else 'one image size'
    network = f'{values["model"]} ({why["model"]}), {width} x {height} pixels as the records'
    details = [f'{sizes} ({why["multi_scale"]})']
    if values['subdivisions'] > 1:
        details.append(f'in {values["subdivisions"]} parts ({why["subdivisions"]})')
    if not values.get('augment', True):
        details.append(f'not augmented ({why["augment"]})')
    elif not values.get('copy_paste', True):
        details.append(f'without copy-paste ({why["copy_paste"]})')
    duration = 'said after ten steps'
    if speed:
        measured = f'{speed:.1f} images/s, by ten timed steps on {device.name}'
        duration = f'{format_duration(seen / speed)} and the evaluations, at {measured}'
    return [
        f'data: {data.num_images:,} images of {values["train_split"]}, {data.num_objects:,} objects of '
        f'{data.num_classes} class{"es" if data.num_classes != 1 else ""}{_say_sides(data)}',
        f'recipe: {choice.base} ({why["recipe"]}); {evaluated}',
        f'network: {network}{_say_better_size(data)}',
        f'steps: {steps:,} of {batch} images ({why["batch_size"]}), each image {times} times '
        f'({why["num_steps"]}); {", ".join(details)}',
        f'time: {duration}',
    ]


def _format_times(times: float) -> str:
    """As 0.5, 54.8 or 12,345."""
    return f'{times:,.0f}' if times >= 100 else f'{times:.3g}'


def _say_sides(data: Data) -> str:
    """Between which sizes the typical objects of the classes are."""
    if not data.sides:
        return ''
    largest = max(data.sides, key=lambda name: data.sides[name])
    ends = [f'{data.sides[name]:.0f} ({name})' for name in dict.fromkeys((data.smallest, largest))]
    return f', whose typical sides are {" to ".join(ends)} pixels'


def _say_better_size(data: Data) -> str:
    """Which images would be better, '' if these are large enough."""
    better = better_size(data.image_size, data.sides.get(data.smallest, math.inf))
    if not better:
        return ''
    times, size = math.prod(better) / math.prod(data.image_size), format_size(better)
    return f'; --image_size={size} in preprocessing would be better for {data.smallest}, at {times:.1f} times the time'
