"""The model that an evaluation is of, and whether it fits the records and the devices."""

import dataclasses
from typing import Any

from yolo.backends import loading
from yolo.backends.model import Model
from yolo.backends.runtimes import TENSORFLOW
from yolo.data import grey
from yolo.data.records import Description
from yolo.detection import host
from yolo.detection.detector import Backend
from yolo.evaluation.settings import EvalSettings
from yolo.geometry.box_convention import choose


def load(asked: EvalSettings, description: Description, thresholds: host.Thresholds, strategy: Any = None) -> Model:
    """The model that the settings name, on the devices of a strategy, see `loading.load`, with their box_convention.

    ValueError if its classes, channels or resizing differ from the records'.
    """
    path = asked.model_dir or asked.model or asked.cfg
    model = loading.load(path, asked.checkpoint, asked.backend, asked.weights, asked.batch_size, strategy)
    loading.warn_of_limits(model, thresholds)
    _check_classes(asked, description, model.classes, model.num_classes)
    _check_channels(asked, description, model)
    _check_resize(asked, description, model.resize or asked.resize or description.resize)
    convention = choose(asked.box_convention, model.box_convention, model.convention_doubt, model.path)
    return dataclasses.replace(model, box_convention=convention)


def _check_classes(asked: EvalSettings, description: Description, trained_on: tuple[str, ...], number: int) -> None:
    recorded = ','.join(description.classes)
    if trained_on and description.classes != trained_on:
        names = ','.join(trained_on)
        raise ValueError(
            f'{asked.data_dir!r} has the classes {recorded}, but the model was trained on {names}; '
            f'preprocess with --labels={names}'
        )
    if number != len(description.classes):
        raise ValueError(
            f'{asked.data_dir!r} has {len(description.classes)} classes ({recorded}), the network {number}'
        )


def _check_channels(asked: EvalSettings, description: Description, model: Model) -> None:
    is_known = model.resize != ''  # of Darknet's and .keras files it is not
    of_data = description.channels, description.grey_range
    grey.check_same(asked.data_dir, of_data, model.path, (model.channels, model.grey_range if is_known else None))


def _check_resize(asked: EvalSettings, description: Description, trained_with: str) -> None:
    wanted = asked.resize or trained_with
    if wanted != description.resize:
        raise ValueError(
            f'the images of {asked.data_dir!r} were resized by {description.resize}, '
            f'{"--resize" if asked.resize else "the model was trained"} says {wanted}; preprocess with '
            f'--resize={wanted}, or evaluate as they are with --resize={description.resize}'
        )


def check_devices(strategy: str, cpu_devices: int, backend: Backend, model: Model) -> None:
    """ValueError if several devices are asked for by name, and one computes this model."""
    asks_for_several = strategy in ('mirrored', 'tpu') or cpu_devices > 1
    if asks_for_several and (model.inside or backend.name != TENSORFLOW):
        raise ValueError(
            f'{model.path} by {backend.name} is computed on one device of each machine: --strategy={strategy} and '
            f'--cpu_devices={cpu_devices} are for trained networks in TensorFlow'
        )
