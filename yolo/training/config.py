"""The settings of a training run, frozen; stored beside its checkpoints, from where evaluation rebuilds the model."""

import dataclasses
import json
import posixpath

from yolo import storage

CONFIG = 'config.json'


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """One training run. `classes` and `anchors` are the data folder's, written down for use without it."""

    data_dir: str
    train_split: str
    eval_split: str  # '' for none
    model_dir: str
    classes: tuple[str, ...]
    anchors: tuple[tuple[float, float], ...]  # w, h in grid cells
    image_size: tuple[int, int]  # height, width in pixels
    model: str  # a name, or the path of a .cfg
    width: float
    loss: str
    batch_size: int  # over all replicas
    num_steps: int
    optimizer: str
    learning_rate: float
    lr_schedule: str
    burn_in: int  # steps
    decay_steps: tuple[int, ...]  # the rate is multiplied by 0.1 at each
    momentum: float
    weight_decay: float  # L2 on the kernels, in the gradient
    augment: bool
    jitter: float
    scale: tuple[float, float]
    hue: float
    saturation: float
    exposure: float
    seed: int
    jit_compile: bool
    eval_every: int  # steps; 0 for the end alone
    checkpoint_every: int  # steps
    log_every: int  # steps
    keep: int  # checkpoints
    resize: str = 'stretch'  # how the data's images came to their size; for prediction
    init_weights: str = ''  # what the first weights are taken from
    freeze: int = 0  # so many convolutions from the start stay as they are ...
    unfreeze_at: int = 0  # ... until this step
    recipe: str = ''
    sizes: tuple[tuple[int, int], ...] = ()  # height, width in training, of which one is drawn every 10 steps
    mosaic: float = 0.0  # share of the images that are put together from four
    ema: float = 0.0  # how much of the averaged weights a step keeps; 0 for no averaging
    precision: str = 'float32'
    monitor: str = 'map'  # what says which weights are the best: map or loss
    early_stopping: int = 0  # evaluations without a better one that end the run; 0 for never
    plateau: int = 0  # evaluations without a better one after which the rate is lowered; 0 for never
    plateau_factor: float = 0.1
    max_hours: float = 0.0  # since it was started, or taken up again; 0 for no limit
    steps_per_loop: int = 1
    pictures_every: int = 0  # steps
    profile_steps: tuple[int, ...] = ()  # first and last
    deterministic: bool = False
    data_checksum: str = ''


# What may differ when a run is taken up again: it does not change what the steps compute.
_FREE = frozenset(
    {
        'data_dir',
        'model_dir',
        'eval_split',
        'eval_every',
        'checkpoint_every',
        'log_every',
        'keep',
        'recipe',
        'max_hours',
        'early_stopping',
        'steps_per_loop',
        'pictures_every',
        'profile_steps',
    }
)
# ... unless evaluations have a say in it.
_WITH_PLATEAU = frozenset({'eval_split', 'eval_every'})


def write_config(config: TrainConfig, begun: bool) -> None:
    """Writes `config.json` into the run's folder; ValueError, with the differences, if another run has begun there."""
    path = posixpath.join(config.model_dir, CONFIG)
    if begun:
        before = dataclasses.asdict(read_config(config.model_dir))
        now = dataclasses.asdict(config)
        free = _FREE - _WITH_PLATEAU if config.plateau else _FREE
        differences = [
            f'{name}: {before[name]} there, {now[name]} now'
            for name in now
            if name not in free and before[name] != now[name]
        ]
        if differences:
            raise ValueError(
                f'{config.model_dir!r} holds a run with other settings ({"; ".join(differences)}); '
                'use its settings to go on with it, or another --model_dir'
            )
    storage.make_folder(config.model_dir)
    storage.write(path, json.dumps(dataclasses.asdict(config), indent=1) + '\n')


def read_config(model_dir: str) -> TrainConfig:
    """Reads the settings of the run in a folder; ValueError if there is none or it is not understood."""
    path = posixpath.join(model_dir, CONFIG)
    if not storage.exists(path):
        raise ValueError(f'{model_dir!r} has no {CONFIG}: no run of train.py was started there; check --model_dir')
    try:
        fields = {name: _frozen(value) for name, value in json.loads(storage.read(path)).items()}
        return TrainConfig(**fields)
    except (ValueError, TypeError) as error:
        raise ValueError(f'{path}: not a configuration that this version reads ({error})') from error


def _frozen(value):
    return tuple(_frozen(part) for part in value) if isinstance(value, list) else value
