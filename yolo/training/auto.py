"""--recipe=auto: reads the records, times ten steps, and chooses the settings of a run by the rules of `choose`.

The choice is made before the run begins, and `config.json` has it as any other setting: a run that goes on, on whatever
device, takes what was chosen at its start.
"""

import dataclasses
import json
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
from absl import logging

from yolo import settings, storage
from yolo.data import records
from yolo.recipes import AUTO, RECIPES
from yolo.training import checks, distribution, errors, facts, memory, recipes, resolve, time_estimate
from yolo.training.choice import Choice, Data, Device
from yolo.training.choose import are_steps_given, choose_network, choose_steps
from yolo.training.config import TrainConfig
from yolo.training.config_file import CONFIG, read_config
from yolo.training.explain import explain

# What the rules may choose beside the values of a recipe.
CHOSEN = (
    'train_split',
    'eval_split',
    'eval_every',
    'model',
    'width',
    'batch_size',
    'subdivisions',
    'num_steps',
    'multi_scale',
    'augment',
    'copy_paste',
)
MOST_PARTS = 16  # of a batch


def choose(
    given: Mapping[str, Any], strategy: tf.distribute.Strategy, on_tpu: bool = False, overwrite: bool = False
) -> TrainConfig:
    """The settings of a run of --recipe=auto, not resolved yet; says in five lines of the log why.

    given: settings by name, which are kept as they are; data_dir is needed. overwrite: whether a run that is in
    model_dir is to be removed; else what was chosen for it is taken again. All processes of a run call this.
    """
    if not given.get('data_dir'):
        raise ValueError(f'--recipe={AUTO} chooses by the records: give --data_dir')
    collective = distribution.HostCollective(strategy)
    before = None if overwrite or not collective.is_chief else _chosen_before(given.get('model_dir') or '')
    if collective.from_chief(float(before is not None)):
        chosen, lines = before or {}, [_say_before(before or {})]
    else:
        chosen, lines = _choose(given, strategy, collective, on_tpu)
    chosen, lines = json.loads(collective.gather(json.dumps([chosen, lines]).encode())[0])  # the first process', in all
    for line in lines:
        logging.info('%s: %s', AUTO, line)
    chosen = {name: tuple(value) if isinstance(value, list) else value for name, value in chosen.items()}
    base = chosen.pop('base_recipe')
    values = {**chosen, **given, 'recipe': AUTO, 'base_recipe': base}
    return dataclasses.replace(recipes.apply(base), **values)


def _chosen_before(model_dir: str) -> dict[str, Any] | None:
    """What was chosen for the run in a folder; None if there is none, or one of another recipe."""
    if not model_dir or not storage.exists(posixpath.join(model_dir, CONFIG)):
        return None
    config = read_config(model_dir)
    if config.recipe != AUTO:
        return None
    names = {'base_recipe', *CHOSEN, *RECIPES.get(config.base_recipe, {})}
    return {name: getattr(config, name) for name in sorted(names)}


def _say_before(chosen: Mapping[str, Any]) -> str:
    values = ', '.join(f'{name}={settings.format_value(chosen.get(name))}' for name in CHOSEN)
    return f'as at the start of the run, chosen or given then ({values}); --overwrite begins anew'


def _choose(
    given: Mapping[str, Any], strategy: tf.distribute.Strategy, collective: distribution.HostCollective, on_tpu: bool
) -> tuple[dict, list[str]]:
    """The chosen settings by name, with base_recipe, and five lines that say why."""
    device = facts.read_device(strategy)
    description = records.read_description(given['data_dir'])
    data = facts.read_data(given)
    weights_of = facts.network_of_weights(given, description)
    if 'sizes' in given and 'multi_scale' not in given:
        given = {**given, 'multi_scale': True}  # with which these sizes go
    choice = choose_network(data, device, weights_of, given)
    about = data, device, strategy, collective, on_tpu
    chosen, sizes, speed = _choose_by_time(choice, given, *about)
    batch = int(collective.from_chief(chosen.values['batch_size']))  # another --max_hours may give another one
    if speed and batch < choice.values['batch_size']:  # a step has a cost beside that of its images
        choice = dataclasses.replace(choice, values={**choice.values, 'batch_size': batch})
        chosen, sizes, speed = _choose_by_time(choice, given, *about)
    lines = explain(chosen, data, device, [max(size) for size in sizes], speed)
    return {**RECIPES[chosen.base], **chosen.values, 'base_recipe': chosen.base}, lines


def _choose_by_time(
    choice: Choice,
    given: Mapping[str, Any],
    data: Data,
    device: Device,
    strategy: tf.distribute.Strategy,
    collective: distribution.HostCollective,
    on_tpu: bool,
) -> tuple[Choice, Sequence[tuple[int, int]], float | None]:
    """With all that follows from the time of steps; image sizes in training; images/s, None if no steps were timed.

    All processes of a run call this, and choose by what the first one measured.
    """
    kinds = [given['multi_scale']] if 'multi_scale' in given else [False, True]
    configs = {kind: _resolved(choice, given, kind, device, on_tpu) for kind in kinds}
    largest = configs[kinds[-1]]
    checks.check_replicas(largest, device.replicas)
    checks.check_groups(largest, device.processes, device.replicas)
    with errors.clear_errors(largest, strategy):
        speed, parts = _measure(largest, strategy, collective, device, given)
    speeds, compiling = {}, {}
    if speed:
        speed = time_estimate.Speed(*(collective.from_chief(value) for value in speed))
        speeds = {kind: speed.pixels / time_estimate.mean_pixels(each) for kind, each in configs.items()}
        compiling = {kind: speed.compiling * len(each.sizes) for kind, each in configs.items()}
    before = choice.values['batch_size']
    choice = choose_steps(choice, data, device, speeds, compiling, given)
    parts = fewest_parts(choice.values['batch_size'] // device.replicas, before // device.replicas // parts)
    choice = choice.adding('subdivisions', parts, 'by the memory of a device', given)
    is_multi_scale = choice.values['multi_scale']
    return choice, configs[is_multi_scale].sizes, speeds.get(is_multi_scale)


def fewest_parts(images: int, at_once: int) -> int:
    """The fewest equal parts of so many images with no more than `at_once` in one."""
    return next(parts for parts in range(1, images + 1) if images % parts == 0 and images <= parts * at_once)


def _resolved(choice: Choice, given: Mapping[str, Any], multi_scale: bool, device: Device, on_tpu: bool) -> TrainConfig:
    """The settings so far, with every value filled in, for a step that is timed."""
    values = {**choice.values, **given, 'multi_scale': multi_scale, 'recipe': choice.base}
    return resolve.resolve(recipes.apply(**values), device.replicas, on_tpu)


def _measure(
    config: TrainConfig,
    strategy: tf.distribute.Strategy,
    collective: distribution.HostCollective,
    device: Device,
    given: Mapping[str, Any],
) -> tuple[time_estimate.Speed | None, int]:
    """The speed of training steps, and the parts of a batch with which one fits into the memory of a device.

    None where no steps are timed: where their number is given, and memory need not be tried.
    """
    of_each = config.batch_size // device.replicas
    counts = [number for number in range(1, min(of_each, MOST_PARTS) + 1) if of_each % number == 0]
    tried = [
        dataclasses.replace(config, subdivisions=n)
        for n in ([given['subdivisions']] if 'subdivisions' in given else counts)
    ]
    if device.is_accelerator:
        return _try(tried, strategy)
    there = min(int(each) for each in collective.gather(b'%d' % (memory.of_each_device(strategy) or 0)))
    fits = [each for each in tried if memory.on_each_device(each, strategy).likely <= there]
    chosen = (fits or tried[-1:])[0]
    if are_steps_given(given):
        return None, chosen.subdivisions
    _check_memory(chosen, strategy, collective)
    return time_estimate.measure_speed(chosen, strategy, config.image_size), chosen.subdivisions


def _check_memory(
    config: TrainConfig, strategy: tf.distribute.Strategy, collective: distribution.HostCollective
) -> None:
    """ValueError in all processes if one of them has too little memory: the others would wait for it."""
    said = ''
    try:
        memory.check_memory(config, strategy)
    except ValueError as error:
        said = str(error)
    for each in collective.gather(said.encode()):
        if each:
            raise ValueError(each.decode())


def _try(configs: Sequence[TrainConfig], strategy: tf.distribute.Strategy) -> tuple[time_estimate.Speed, int]:
    """The same with the first settings whose steps of the largest images a GPU or TPU has the memory for.

    How much it has is only known by trying.
    """
    size = memory.largest_size(configs[0])
    for config in configs[:-1]:
        try:
            return time_estimate.measure_speed(config, strategy, size), config.subdivisions
        except tf.errors.ResourceExhaustedError:
            if distribution.num_workers(strategy) > 1:  # the others go on
                raise
            logging.info('%s: a step in %d parts needs more memory than there is', AUTO, config.subdivisions)
    with errors.clear_errors(configs[-1], strategy):  # whose way out is not the parts that were tried
        return time_estimate.measure_speed(configs[-1], strategy, size), configs[-1].subdivisions
