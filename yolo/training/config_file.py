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


def check_same_run(config: TrainConfig) -> None:
    """ValueError, with the differences, if the run that has begun in the folder has other settings.

    Logs what differs by rounding alone: the number of devices, and how they compute.
    """
    ignored = settings.may_change(TrainConfig) - (_WITH_PLATEAU if config.plateau else frozenset())
    before = _with_images_normalised(read_config(config.model_dir))
    config = _with_images_normalised(config)
    if before.freeze == config.freeze == 0:
        ignored |= {'unfreeze_at'}  # follows from num_steps and changes nothing
    if before.images_normalised < before.batch_size:
        ignored -= {'batch_norm'}  # each kind makes other groups of images
    differences = settings.differences(before, config, ignored)
    if differences:
        raise ValueError(
            f'{config.model_dir!r} holds a run with other settings ({"; ".join(differences)}); '
            f'{_way_out(before, config)}use its settings to go on with it, or another --model_dir'
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


def _way_out(before: TrainConfig, config: TrainConfig) -> str:
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
