"""Checks of a run's settings before it begins: against the records, the devices, each other, the other processes."""

import dataclasses
import json
import math
import zlib

import tensorflow as tf

from yolo.data import records
from yolo.data.mosaic import GROUP
from yolo.geometry.letterbox import STRETCH
from yolo.recipes import AUTO
from yolo.training.config import BALANCED, PHOTO, STORED, SYNCHRONIZED, TrainConfig
from yolo.training.distribution import HostCollective, num_workers
from yolo.training.memory import check_memory

RESOLVED = ('decay_steps', 'burn_in', 'sizes', 'unfreeze_at', 'jit_compile')


def check_config(config: TrainConfig, strategy: tf.distribute.Strategy) -> None:
    """ValueError, with the way out, for settings that do not fit the records, the devices or each other."""
    unresolved = [name for name in RESOLVED if getattr(config, name) is None]
    if unresolved:
        raise ValueError(f'{", ".join(unresolved)}: None; call yolo.training.resolve.resolve(config) before train')
    if config.recipe == AUTO and not config.base_recipe:
        raise ValueError(
            f'recipe={AUTO!r}: call yolo.training.auto.choose({{"data_dir": ...}}, strategy) before resolve'
        )
    if config.class_weights == BALANCED and not config.class_loss_weights:
        raise ValueError('class_loss_weights: none; call yolo.training.resolve.resolve(config) before train')
    if config.mosaic and not config.augment:
        raise ValueError(f'--mosaic={config.mosaic} needs --augment; or use --mosaic=0')
    if config.copy_paste and not config.augment:
        raise ValueError(f'--copy_paste={config.copy_paste} needs --augment; or use --copy_paste=0')
    if config.copy_paste and config.resize != STRETCH:
        raise ValueError(
            f'--copy_paste={config.copy_paste} goes with records of --resize={STRETCH}; in those of '
            f'--resize={config.resize} it would paste objects on the grey bars: use --copy_paste=0'
        )
    check_groups(config, num_workers(strategy), strategy.num_replicas_in_sync)
    if config.jitter_around == PHOTO and not config.augment:
        raise ValueError(f'--jitter_around={PHOTO} needs --augment; or use --jitter_around={STORED}')
    if config.jitter_around == PHOTO and config.resize != STRETCH:
        raise ValueError(
            f'--jitter_around={PHOTO} goes with records of --resize={STRETCH}; in those of --resize={config.resize} '
            f'the photos have their own shape already: use --jitter_around={STORED}'
        )
    if config.jitter_around == PHOTO and config.mosaic == 1:
        raise ValueError(
            f'--jitter_around={PHOTO} does nothing with --mosaic=1, since a mosaic has no shape of its own; use a '
            f'smaller --mosaic, or --jitter_around={STORED}'
        )
    if config.sampling_threshold is not None and config.sampling != BALANCED:
        raise ValueError(f'--sampling_threshold={config.sampling_threshold} goes with --sampling=balanced')
    check_memory(config, strategy)
    _check_splits(config)
    check_replicas(config, strategy.num_replicas_in_sync)
    _check_evaluations(config)
    _check_profile(config)


def check_same_settings(config: TrainConfig, collective: HostCollective) -> None:
    """ValueError, in every process of the run, if one was started with settings that differ from the first one's."""
    # Paths and the time limit may differ from machine to machine.
    comparable = dataclasses.replace(config, data_dir='', model_dir='', init_weights='', max_hours=0.0)
    checksum = zlib.crc32(json.dumps(dataclasses.asdict(comparable)).encode())
    differs = checksum != collective.from_chief(checksum)
    if collective.sum(float(differs)):
        raise ValueError(
            'the processes of this run were started with different flags'
            + ('; this one with others than the first' if differs else '')
        )


def check_same_step(step: int, model_dir: str, collective: HostCollective) -> None:
    """ValueError if this process restored another step than the first one did."""
    first = collective.from_chief(step)
    if first != step:
        raise ValueError(
            f'this process begins at step {step}, the first one at {first:.0f}: all have to read the same '
            f'--model_dir={model_dir}'
        )


def _check_splits(config: TrainConfig) -> None:
    """ValueError for a split without images, and one whose files are not those of the manifest."""
    description = records.read_description(config.data_dir)
    for split in filter(None, (config.train_split, config.eval_split)):
        if not description.split(split).num_images:
            raise ValueError(f'split {split!r} of {config.data_dir!r} has no images')
        records.shard_files(config.data_dir, split, description)


def check_groups(config: TrainConfig, processes: int, replicas: int) -> None:
    """ValueError for a batch of which a process makes no whole groups, where images take parts of each other."""
    on = {name: getattr(config, name) for name in ('mosaic', 'copy_paste') if getattr(config, name)}
    if not on or config.batch_size % (GROUP * processes) == 0:
        return
    unit = math.lcm(GROUP * processes, replicas * config.subdivisions)
    flags = ' and '.join(f'--{name}={value}' for name, value in on.items())
    off = ' and '.join(f'--{name}=0' for name in on)
    ways = [f'--batch_size={math.ceil(config.batch_size / unit) * unit}', off]
    if processes > 1:
        ways.append('fewer processes')
    raise ValueError(
        f'--batch_size={config.batch_size}: for {flags} each of the processes (here {processes}) has to make groups of '
        f'{GROUP} images; use {" or ".join(ways)}'
    )


def check_replicas(config: TrainConfig, replicas: int) -> None:
    """ValueError for a batch that does not divide by the replicas and its parts, and for what XLA cannot compile."""
    if config.batch_size % replicas:
        raise ValueError(f'--batch_size={config.batch_size} is over all replicas and must divide by their {replicas}')
    if config.batch_size // replicas % config.subdivisions:
        of = f' of each of {replicas} replicas' if replicas > 1 else ''
        raise ValueError(
            f'--subdivisions={config.subdivisions}: the {config.batch_size // replicas} images{of} of '
            f'--batch_size={config.batch_size} must divide by it'
        )
    if config.jit_compile and replicas > 1 and config.batch_norm == SYNCHRONIZED:
        raise ValueError(
            f'--jit_compile does not work with batch norm over {replicas} replicas; use --nojit_compile or '
            '--batch_norm=local'
        )


def _check_evaluations(config: TrainConfig) -> None:
    if not (config.early_stopping or config.plateau):
        return
    if config.monitor == 'map' and not config.eval_split:
        raise ValueError(
            '--early_stopping and --plateau look at the mAP on --eval_split, which is not given: '
            'give it, or use --monitor=loss'
        )
    if not config.eval_every:
        raise ValueError(
            '--early_stopping and --plateau compare evaluations, but --eval_every=0 makes only one, at the end'
        )


def _check_profile(config: TrainConfig) -> None:
    if config.profile_steps and config.profile_steps[1] >= config.num_steps:
        first, last = config.profile_steps
        raise ValueError(
            f'--profile_steps={first},{last}: the last of {config.num_steps} steps is {config.num_steps - 1}'
        )
