"""The settings of a run as given -> with every value that follows from the records or from other settings filled in."""

import dataclasses
import math
from typing import Any

from yolo import settings
from yolo.data import folds, records
from yolo.geometry import image_sizes
from yolo.models import architectures, spec
from yolo.training import network, schedule
from yolo.training.config import BALANCED, LOCAL, TrainConfig

VOC_STEPS, VOC_DECAY_STEPS = 80200, (40000, 60000)  # Darknet's cfg/yolov2-voc.cfg


def resolve(config: TrainConfig, num_replicas: int = 1, on_tpu: bool = False) -> TrainConfig:
    """The settings with the records' classes, anchors and sizes, and with a value for every None.

    ValueError for settings that have no meaning without another one, or do not fit the records or the network.
    """
    description = records.read_description(config.data_dir)
    num_images = description.split(config.train_split).num_images
    if not num_images:
        raise ValueError(f'split {config.train_split!r} of {config.data_dir!r} has no images to train on')
    num_images = folds.num_trained_on(num_images, config.fold, config.folds)
    if config.unfreeze_at is not None and str(config.freeze) == '0':
        raise ValueError('--unfreeze_at goes with --freeze')
    config = dataclasses.replace(
        config,
        classes=description.classes,
        anchors=description.anchors,
        image_size=description.image_size,
        stored_size=description.split(config.train_split).stored_size,
        resize=description.resize,
        channels=description.channels,
        grey_range=description.grey_range,
        sizes=_sizes(config, description.image_size),
        num_steps=_num_steps(config, num_images),
        class_loss_weights=_class_loss_weights(config, description),
    )
    config = dataclasses.replace(
        config,
        burn_in=burn_in(config),
        decay_steps=decay_steps(config, num_images),
        unfreeze_at=config.num_steps if config.unfreeze_at is None else config.unfreeze_at,
        jit_compile=_jit_compile(config, num_replicas, on_tpu),
        images_normalised=_images_normalised(config, num_replicas),
        replicas=num_replicas,
    )
    return dataclasses.replace(config, freeze=_freeze(config))


def _jit_compile(config: TrainConfig, num_replicas: int, on_tpu: bool) -> bool:
    if config.jit_compile is not None:
        return config.jit_compile
    return not on_tpu and (num_replicas == 1 or config.batch_norm == LOCAL)


def _images_normalised(config: TrainConfig, num_replicas: int) -> int:
    """How many images batch norm is over; `checks` refuses what does not divide."""
    groups = config.subdivisions * (num_replicas if config.batch_norm == LOCAL else 1)
    return max(1, config.batch_size // groups)


def _class_loss_weights(config: TrainConfig, description: records.Description) -> tuple[float, ...]:
    """The weight of each class in the class loss, by the inverse square root of its number of objects; () for none.

    The mean over the objects of the split is 1.
    """
    if config.class_weights != BALANCED:
        return ()
    objects = description.split(config.train_split).objects_per_class
    roots = [math.sqrt(objects[name]) for name in description.classes]
    mean = sum(roots) / max(1, sum(objects.values()))  # of 1 / root over the objects
    return tuple(1 / (root * mean) if root else 1.0 for root in roots)


def burn_in(config: TrainConfig) -> int:
    """Steps of burn-in: as given, or the paper's 1,000, but at most a tenth of the steps."""
    return min(1000, config.num_steps // 10) if config.burn_in is None else config.burn_in


def decay_steps(config: TrainConfig, num_images: int) -> tuple[int, ...]:
    """The steps at which the rate is multiplied by 0.1; ValueError where they are given and the schedule has none."""
    if config.decay_steps is not None and config.lr_schedule != 'steps':
        raise ValueError(f'--decay_steps goes with --lr_schedule=steps, not with {config.lr_schedule}')
    if config.lr_schedule == 'notebook':
        return schedule.notebook_decay_steps(num_images, config.batch_size)
    if config.lr_schedule != 'steps':
        return ()
    return voc_decay_steps(config.num_steps) if config.decay_steps is None else config.decay_steps


def voc_decay_steps(num_steps: int) -> tuple[int, ...]:
    """The paper's 40,000 and 60,000 of 80,200 steps, for another number of steps."""
    return tuple(num_steps * step // VOC_STEPS for step in VOC_DECAY_STEPS)


def _sizes(config: TrainConfig, image_size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    if not config.multi_scale:
        if config.sizes is not None:
            raise ValueError('--sizes goes with --multi_scale')
        return (image_size,)
    given: Any = config.sizes  # smallest and largest, as the flag gives them
    smallest, largest = given or image_sizes.usual_sizes(image_size)
    return image_sizes.training_sizes(image_size, smallest, largest)


def _num_steps(config: TrainConfig, num_images: int) -> int:
    if config.epochs is None:
        return config.num_steps
    steps = schedule.steps_of_epochs(config.epochs, num_images, config.batch_size)
    if steps > settings.MOST_STEPS:
        raise ValueError(
            f'--epochs={config.epochs:g} of {num_images:,} images are {steps:,} steps of {config.batch_size}; '
            f'{settings.MOST_STEPS:,} are allowed'
        )
    return steps


def _freeze(config: TrainConfig) -> int:
    built, given = network.make_network(config), str(config.freeze)
    if given == 'backbone':
        return architectures.num_backbone_convolutions(built)
    most = sum(isinstance(section, spec.Convolution) for section in built.sections)
    if not (given.isdigit() and int(given) < most):
        raise ValueError(
            f'--freeze={given}: neither backbone nor a number below the {most} convolutions of the network'
        )
    return int(given)


def unresolved(config: TrainConfig) -> dict[str, str]:
    """In words or numbers, what each setting that is None will be, by name."""
    unset = [field for field in dataclasses.fields(config) if getattr(config, field.name) is None]
    texts = {field.name: settings.of(field).unset or 'not given' for field in unset}
    known = {}
    if config.epochs is None:
        known['burn_in'] = str(burn_in(config))
        known['decay_steps'] = ','.join(map(str, voc_decay_steps(config.num_steps)))
    if config.lr_schedule != 'steps':
        known['decay_steps'] = 'by --lr_schedule and the number of steps'
    if not config.multi_scale:
        known['sizes'] = 'not given'
    return {name: known.get(name, text) for name, text in texts.items()}
