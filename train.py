"""Trains a YOLOv2 on a folder of records that `python -m preprocess` wrote.

  python train.py --data_dir=data/voc416 --train_split=trainval --model_dir=runs/voc
  python train.py --recipe=finetune --print_config

The same command continues a stopped run. Exit status: 0 when the run is finished (or stopped early, or its time
is over), 1 after an error, 75 after SIGTERM or SIGINT: it has saved, or had no step to save yet, and can be started
again.
"""

import dataclasses
import sys
from typing import Any

from absl import logging
from absl.flags import FlagValues

from yolo import settings
from yolo.cli import flags
from yolo.memory import keep_freed_memory
from yolo.recipes import AUTO
from yolo.settings import setting
from yolo.training import compiled, preemption, recipes
from yolo.training.config import TrainConfig
from yolo.training.devices import Devices


@dataclasses.dataclass(frozen=True)
class RunSettings(Devices):
    """What to train on, and what to do with the run."""

    overwrite: bool = setting(
        False,
        'Remove the run in --model_dir, if there is one, and begin anew. After a kill go on without this flag: with it '
        'everything is trained anew.',
        group='The run',
    )
    compiled_dir: str = setting(
        '',
        'Folder in which programs that XLA compiles are kept, so that the next start is faster.',
        group='Devices',
        unset='none',
    )
    print_config: bool = setting(False, 'Print all settings, as a file for --flagfile, and end.', group='The run')


def read_given(values: FlagValues) -> dict[str, Any]:
    """The settings that the flags give, by name, with the recipe in any case."""
    given = flags.given(values, TrainConfig)
    if 'epochs' in given and 'num_steps' in given:
        raise ValueError('give one of --num_steps and --epochs')
    return {'recipe': TrainConfig.recipe, **given}


def format_config(config: TrainConfig, devices: RunSettings) -> str:
    """All settings as lines for --flagfile; those that are not given and follow from others are comments."""
    from yolo.training.resolve import unresolved

    lines, follows = [f'# --recipe={config.recipe}'], unresolved(config)
    for values in (config, devices):
        for field in settings.with_flags(type(values)):
            name, value = field.name, getattr(values, field.name)
            is_replaced = name == 'num_steps' and config.epochs is not None
            if name in ('print_config', 'overwrite', 'recipe') or is_replaced:
                continue
            if value in (None, '', ()):
                lines.append(f'# --{name}: {follows.get(name, "not given")}')
            else:
                lines.append(f'--{name}={settings.format_value(value)}')
    return '\n'.join(lines)


def keep_compiled(values: FlagValues) -> None:
    """What --compiled_dir says, which TensorFlow reads when it is loaded."""
    folder = flags.read(values, RunSettings).compiled_dir
    if folder and not values['print_config'].value:
        compiled.keep_compiled(folder)


def train(values: FlagValues) -> int:
    """Flags to library; returns the exit status."""
    import tensorflow as tf

    from yolo.data import folds, records
    from yolo.training import auto, conclusion, loop, memory, resolve
    from yolo.training.settings_summary import summarize_settings

    given, devices = read_given(values), flags.read(values, RunSettings)
    config = recipes.apply(**given)
    if devices.print_config and config.recipe != AUTO:
        print(format_config(config, devices))
        return 0
    strategy = devices.make_strategy()
    on_tpu = devices.strategy == 'tpu' or devices.tpu != ''
    if config.recipe == AUTO:
        config = auto.choose(given, strategy, on_tpu, devices.overwrite)
    if devices.print_config:
        print(format_config(config, devices))
        return 0
    config = resolve.resolve(config, strategy.num_replicas_in_sync, on_tpu)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    memory.check_memory(config, strategy)
    num_images = records.read_description(config.data_dir).split(config.train_split).num_images
    num_images = folds.num_trained_on(num_images, config.fold, config.folds)
    for line in summarize_settings(config, strategy, num_images):
        logging.info('%s', line)
    result = loop.train(config, strategy, devices.overwrite)
    if config.recipe == AUTO:
        conclusion.say(config, strategy, result)
    return preemption.EXIT_STATUS if result.reason in preemption.REASONS else 0


COMMAND = flags.Command(
    'train.py',
    __doc__ or '',
    (TrainConfig, RunSettings),
    train,
    before_tensorflow=keep_compiled,
    prints_only='print_config',
    ended='ended before the first step, so there is nothing to save; the same command begins there again',
    ended_status=preemption.EXIT_STATUS,
)


def main() -> None:
    """The command line."""
    keep_freed_memory()
    flags.run(COMMAND, sys.argv)


if __name__ == '__main__':
    main()
