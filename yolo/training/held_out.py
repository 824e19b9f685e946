"""The images that a run left out of its training, for evaluations."""

import numpy as np

from yolo.data import folds, records
from yolo.training.config_file import read_config


def numbers(model_dir: str, data_dir: str, split: str) -> np.ndarray:
    """The numbers (n,) int64 of the images of a split that the run in a folder left out (train.py --folds), ascending.

    ValueError if it left none out, or was trained on another split or on other records.
    """
    config = read_config(model_dir)
    if config.folds == 1:
        raise ValueError(
            f'the run in {model_dir!r} was trained on all of its images: --held_out goes with runs of train.py --folds'
        )
    if config.train_split != split:
        raise ValueError(
            f'the run in {model_dir!r} left images of {config.train_split!r} out, not of {split!r}: '
            f'use --split={config.train_split}'
        )
    if config.data_checksum != records.data_checksum(data_dir):
        raise ValueError(
            f'{data_dir!r} does not hold the records that the run in {model_dir!r} was trained on, so that the images '
            'that it left out are not known; give its records as --data_dir'
        )
    num_images = records.read_description(data_dir).split(split).num_images
    return folds.held_out(num_images, config.fold, config.folds, config.seed)
