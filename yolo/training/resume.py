"""What a run's folder holds when training starts: a run to go on with, nothing yet, or one that is not to be lost."""

import os
import posixpath
import re

from absl import logging

from yolo import storage
from yolo.models import checkpoint_files, model_folder
from yolo.models.checkpoint_files import HINT, Checkpoints
from yolo.models.spec import Network
from yolo.training import network, run_folder
from yolo.training.config import TrainConfig
from yolo.training.config_file import CONFIG, check_same_run, read_config

# What a run writes in its folder, beside the two of checkpoints: what --overwrite removes.
DESCRIPTION = (CONFIG, model_folder.NETWORK, model_folder.MODEL, run_folder.RUN)
TENSORBOARD = 'tensorboard'
EVENTS = re.compile(r'events\.out\.tfevents\..+')
PROFILES = 'plugins'


def prepare_folder(config: TrainConfig, overwrite: bool) -> str | None:
    """The checkpoint from which a run goes on, None if it begins; cleans up what killed saves left.

    The newest checkpoint that reads whole is taken, and a warning names those that do not. ValueError, with nothing
    changed, if the folder holds a run with other settings, or one of which no checkpoint is whole. overwrite: removes
    any run that is in the folder, also one that could go on.
    """
    if storage.exists(config.model_dir) and not storage.is_folder(config.model_dir):
        raise ValueError(f'--model_dir={config.model_dir} is a file; give the folder of the run')
    if overwrite:
        _remove_run(config)
        return None
    folders = (model_folder.latest_folder(config.model_dir), model_folder.best_folder(config.model_dir))
    latest, best = (checkpoint_files.read(folder) for folder in folders)
    try:
        _check(config, network.make_network(config), latest, best)
    except (ValueError, FileNotFoundError) as error:
        raise ValueError(f'{error}; or give --overwrite to remove that run and begin anew') from error
    _warn(latest, best)
    for folder, found in zip(folders, (latest, best), strict=True):
        removed = checkpoint_files.remove_leftovers(folder, found)
        if removed:
            logging.info('removed what a killed save left in %s: %s', folder, ', '.join(removed))
        if found.whole:
            checkpoint_files.write_hint(folder, found.whole)
    return latest.newest


def _check(config: TrainConfig, built: Network, latest: Checkpoints, best: Checkpoints) -> None:
    """ValueError if the folder holds another run, or one of which no newest checkpoint is whole."""
    if latest.newest:
        check_same_run(config, checkpoint_files.step_of(latest.newest))
        model_folder.check_network(config.model_dir, built)
        return
    traces = _traces(config, latest, best)
    if traces:
        way_out = f', with --init_weights={best.newest}' if best.newest else ''
        raise ValueError(
            f'{config.model_dir!r} holds a run, but no newest checkpoint that reads whole: {"; ".join(traces)}. '
            f'Nothing was changed; use another --model_dir{way_out}'
        )


def _traces(config: TrainConfig, latest: Checkpoints, best: Checkpoints) -> list[str]:
    """What shows that a run had saved in a folder without a whole newest checkpoint; nothing if it had not yet.

    A run that was killed in its first save leaves one checkpoint, without its index or with one that ends too early,
    and no file `checkpoint`; and nothing in `best`, which follows.
    """
    traces = []
    for folder, found in (
        (model_folder.latest_folder(config.model_dir), latest),
        (model_folder.best_folder(config.model_dir), best),
    ):
        has_saved = checkpoint_files.was_saved(folder)
        if found is best or has_saved or not _is_first_save(config, folder, latest):
            traces += [f'{path} is damaged ({reason})' for path, reason in found.damaged.items()]
            lone = checkpoint_files.list_names(folder).lone
            traces += [f'{posixpath.join(folder, name)} has no partner' for name in lone]
        traces += [f'{path} is whole' for path in found.whole[-1:]]
        if has_saved:
            traces.append(f'{posixpath.join(folder, HINT)} is there')
    step = _recorded_step(config.model_dir)
    return [*traces, step] if step else traces


def _is_first_save(config: TrainConfig, folder: str, latest: Checkpoints) -> bool:
    """Whether what is in the folder of the newest checkpoints may be of a run that was killed in its first save."""
    names = checkpoint_files.list_names(folder)
    steps = {int(name.split('.')[0].removeprefix('ckpt-')) for name in names.lone} | set(names.pairs)
    if len(steps) != 1 or not all(checkpoint_files.is_unfinished(path) for path in latest.damaged):
        return False
    if not storage.exists(posixpath.join(config.model_dir, CONFIG)):
        return True
    recorded = read_config(config.model_dir)
    due = (recorded.num_steps, recorded.checkpoint_every, recorded.eval_every or recorded.num_steps)
    return steps.pop() <= min(due)


def _recorded_step(model_dir: str) -> str:
    """What run.json says about steps that were taken; '' if nothing."""
    path = posixpath.join(model_dir, run_folder.RUN)
    if not storage.exists(path):
        return ''
    try:
        step = run_folder.read_run(path).step
    except ValueError:
        return f'{path} is damaged'
    return f'{path} says that step {step} was reached' if step else ''


def _warn(latest: Checkpoints, best: Checkpoints) -> None:
    for found in (latest, best):
        if found.damaged:
            logging.warning(
                'damaged: %s; kept until a save of the same step replaces it; the newest whole one is %s',
                found.describe_damage(),
                found.newest or 'not there yet',
            )


def _remove_run(config: TrainConfig) -> None:
    """Removes what a run writes in its folder, and nothing else; ValueError if this run is to be made from it."""
    paths = [posixpath.join(config.model_dir, name) for name in DESCRIPTION]
    for folder in (model_folder.latest_folder(config.model_dir), model_folder.best_folder(config.model_dir)):
        paths += checkpoint_files.list_files(folder)
    events = posixpath.join(config.model_dir, TENSORBOARD)
    names = storage.names(events) if storage.is_folder(events) else []
    paths += [posixpath.join(events, name) for name in names if EVENTS.fullmatch(name) or name == PROFILES]
    for name in ('init_weights', 'model'):
        _check_stays(name, getattr(config, name), config.model_dir, paths)
    there = [path for path in paths if storage.exists(path)]
    for path in there:
        if storage.is_folder(path):
            storage.remove_folder(path)
        else:
            storage.remove(path)
    if there:
        logging.warning('--overwrite: the run in %s was removed', config.model_dir)


def _check_stays(name: str, value: str, model_dir: str, paths: list[str]) -> None:
    """ValueError if what a setting names would be removed: the folder itself, a file, or a checkpoint."""

    def real(path: str) -> str:
        return path if '://' in path else os.path.realpath(path)

    removed = {real(path) for path in paths}
    if value and (real(value) == real(model_dir) or any(f'{path}.'.startswith(f'{real(value)}.') for path in removed)):
        raise ValueError(f'--{name}={value} is part of what --overwrite would remove; copy it to another folder first')
