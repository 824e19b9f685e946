"""What --recipe=auto knows before it chooses: of the records, of the devices, of the first weights."""

import itertools
import posixpath
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from yolo import storage
from yolo.data import folds, label_reading, records
from yolo.geometry.letterbox import CHANNELS, STRETCH
from yolo.models import architectures, model_folder, weights
from yolo.training import distribution, splits
from yolo.training.choice import Data, Device
from yolo.training.config_file import CONFIG, read_config


def read_data(given: Mapping[str, Any]) -> Data:
    """What the rules know of the records of a folder; given: data_dir, and train_split, folds, fold if they are."""
    folder = given['data_dir']
    description = records.read_description(folder)
    with_images = {name: split.num_images for name, split in description.splits.items() if split.num_images}
    if not with_images:
        raise ValueError(f'{folder!r} has no images to train on')
    name = splits.to_train_on(with_images, given.get('train_split'))
    split = description.split(name)
    sides = typical_sides(folder, name, description)
    return Data(
        folds.num_trained_on(split.num_images, given.get('fold', 0), given.get('folds', 1)),
        split.num_objects,
        description.image_size,
        len(sides),
        with_images,
        sides,
        description.resize == STRETCH,
    )


def typical_sides(folder: str, split: str, description: records.Description) -> dict[str, float]:
    """By class that has objects in a split: the median side (root of the area) in pixels of the network's images."""
    _, labels, boxes = label_reading.read_objects(folder, split)
    height, width = description.image_size
    sides = np.sqrt(
        np.maximum(0, boxes[:, 2] - boxes[:, 0]) * np.maximum(0, boxes[:, 3] - boxes[:, 1]) * width * height
    )
    return {
        name: float(np.median(sides[labels == k])) for k, name in enumerate(description.classes) if np.any(labels == k)
    }


def read_device(strategy: tf.distribute.Strategy) -> Device:
    """What the rules know of the devices of a run."""
    name = distribution.describe_devices(strategy)
    is_accelerator, replicas = distribution.has_accelerator(), strategy.num_replicas_in_sync
    return Device(name, is_accelerator, replicas, distribution.num_workers(strategy))


def network_of_weights(given: Mapping[str, Any], description: records.Description) -> tuple:
    """Name and width of the network that --init_weights is of; () if there is no such flag, or it does not show."""
    path = given.get('init_weights', '')
    if not path:
        return ()
    is_checkpoint = model_folder.CHECKPOINT.fullmatch(posixpath.basename(path))
    folder = posixpath.dirname(posixpath.dirname(path)) if is_checkpoint else path
    if storage.exists(posixpath.join(folder, CONFIG)):
        config = read_config(folder)
        return config.model, config.width
    if storage.is_folder(path):
        return ()
    about = len(description.classes), description.anchors, 1.0, description.image_size
    fitting = {
        name
        for name, channels in itertools.product(architectures.MODELS, CHANNELS)  # those of the weights may be others
        if weights.find_fit(architectures.build_spec(name, *about, channels), path)
    }
    return (*fitting, 1.0) if len(fitting) == 1 else ()
