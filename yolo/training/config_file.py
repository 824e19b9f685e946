"""The file `config.json` of a run: written, read, and compared with the settings with which the run goes on."""

import dataclasses
import json
import posixpath

from absl import logging

from yolo import descriptions, settings, storage
from yolo.training.config import LOCAL, TrainConfig

CONFIG = 'config.json'
# Settings with may_change that may not change with --plateau, because evaluations then lower the rate.
_WITH_PLATEAU = frozenset({'eval_split', 'eval_every'})
# What changes the order in which numbers are added up, and nothing else, as long as images_normalised stays.
_ROUNDING = ('replicas', 'jit_compile', 'steps_per_loop', 'batch_norm', 'subdivisions')


def write_config(config: TrainConfig) -> None:
    """Writes `config.json` into the run's folder."""
    storage.make_folder(config.model_dir)
    text = json.dumps(dataclasses.asdict(config), indent=1) + '\n'
    storage.write(posixpath.join(config.model_dir, CONFIG), text)


def read_config(model_dir: str) -> TrainConfig:
    """Reads the settings of the run in a folder; ValueError if there is none or it is not understood.

    A setting that an older version did not have takes its default.
    """
    path = posixpath.join(model_dir, CONFIG)
    if not storage.exists(path):
        raise ValueError(f'{model_dir!r} has no {CONFIG}: no run of train.py was started there; check --model_dir')
    advice = 'restore it, or use another --model_dir'
    return descriptions.read(path, TrainConfig, 'a configuration', advice)


def check_same_run(config: TrainConfig, step: int = 0) -> None:
    """ValueError, with the differences, if the run that has begun in the folder has other settings.

    step: of its newest checkpoint. A run may be given more steps where its learning rate stays what it was. Logs what
    differs by rounding alone: the number of devices, and how they compute.
    """
    ignored = settings.may_change(TrainConfig) - (_WITH_PLATEAU if config.plateau else frozenset())
    before = _with_images_normalised(read_config(config.model_dir))
    config = _with_images_normalised(config)
    if before.images_normalised < before.batch_size:
        ignored -= {'batch_norm'}  # each kind makes other groups of images
    without_effect = _without_effect(before, config, step)
    if settings.differences(before, config, ignored | without_effect):
        differences = settings.differences(before, config, ignored | without_effect - {'num_steps'})
        ways_out = _same_groups(before, config) + _longer(before, config, without_effect)
        raise ValueError(
            f'{config.model_dir!r} holds a run with other settings ({"; ".join(differences)}); '
            f'{ways_out}use its settings to go on with it, or another --model_dir'
        )
    compared = set(_ROUNDING) - (set() if before.replicas else {'replicas'})  # older versions did not write them
    moved = settings.differences(before, config, {field.name for field in dataclasses.fields(config)} - compared)
    if moved:
        logging.info('the run goes on otherwise than it began (%s): the numbers differ by rounding', '; '.join(moved))
    if before.subdivisions != config.subdivisions:
        logging.info(
            "batch norm's moving statistics follow %d times a step, before %d times",
            config.subdivisions,
            before.subdivisions,
        )


def _with_images_normalised(config: TrainConfig) -> TrainConfig:
    return dataclasses.replace(config, images_normalised=config.images_normalised or config.batch_size)


def _without_effect(before: TrainConfig, config: TrainConfig, step: int) -> set[str]:
    """The settings whose differences change no step from `step` on, since they follow from the number of steps."""
    names = set()
    if before.freeze == config.freeze == 0:
        names.add('unfreeze_at')
    if not _is_longer(before, config):
        return names
    if 'cosine' not in (before.lr_schedule, config.lr_schedule):
        names.add('num_steps')
    if _is_burned_in(before, step) and _is_burned_in(config, step):
        names.add('burn_in')
    if _stays_frozen(before) and _stays_frozen(config):
        names.add('unfreeze_at')
    return names


def _is_longer(before: TrainConfig, config: TrainConfig) -> bool:
    return config.num_steps > before.num_steps


def _is_burned_in(config: TrainConfig, step: int) -> bool:
    return config.burn_in is not None and config.burn_in <= step


def _stays_frozen(config: TrainConfig) -> bool:
    return config.unfreeze_at is not None and config.unfreeze_at >= config.num_steps


def _same_groups(before: TrainConfig, config: TrainConfig) -> str:
    """How batch norm would be over as many images as in the run that has begun."""
    if before.images_normalised == config.images_normalised or before.batch_size != config.batch_size:
        return ''
    by_replicas = (
        ', and by the devices with --batch_norm=local' if LOCAL in (before.batch_norm, config.batch_norm) else ''
    )
    return (
        f'batch norm is over --batch_size divided by --subdivisions{by_replicas}: choose them so that it is over '
        f'{before.images_normalised} images; '
    )


def _longer(before: TrainConfig, config: TrainConfig, without_effect: set[str]) -> str:
    """How the run could be trained for longer, if that is what was asked and its learning rate forbids it."""
    if not _is_longer(before, config) or before.lr_schedule != config.lr_schedule:
        return ''
    anew = f'train on from its weights with another --model_dir and --init_weights={config.model_dir}; '
    if config.lr_schedule == 'cosine':
        return f'its cosine schedule ends with its steps: {anew}'
    rate = [name for name in ('decay_steps', 'burn_in') if name not in without_effect]
    names = [name for name in rate if getattr(before, name) != getattr(config, name)]
    if not names:
        return ''
    flags = ' '.join(f'--{name}={settings.format_value(getattr(before, name))}' for name in names)
    return f'for more steps keep its learning rate with {flags}, or {anew}'
