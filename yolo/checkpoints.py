"""Checkpoints of a run: the newest few with all that training needs, and the best model."""

import posixpath

import keras
import tensorflow as tf

from yolo import files, network
from yolo.config import TrainConfig, read_config


def make_model(config: TrainConfig) -> keras.Model:
    """The network of a run with fresh weights: images (B, H, W, 3) 0..1 -> raw (B, GH, GW, A, 5 + C)."""
    return network.build_model(config.model, len(config.classes), config.anchors, config.width)


def best_folder(model_dir: str) -> str:
    """Where the model with the best mAP is kept."""
    return posixpath.join(model_dir, 'best')


def latest_folder(model_dir: str) -> str:
    """Where the newest checkpoints are kept."""
    return posixpath.join(model_dir, 'checkpoints')


def find(model_dir: str, which: str = '') -> str:
    """The path of a checkpoint: 'best', 'latest', a path of its own, or '' for the best if there is one, else latest.

    ValueError if there is none.
    """
    best = tf.train.latest_checkpoint(best_folder(model_dir))
    latest = tf.train.latest_checkpoint(latest_folder(model_dir))
    path = {'': best or latest, 'best': best, 'latest': latest}.get(which, which)
    if path is None or not files.exists(path + '.index'):
        raise ValueError(f'no {which or "best or latest"} checkpoint in {model_dir!r}; train with this --model_dir '
                         'first (a best one is only kept with --eval_split)')
    return path


def load_trained(model_dir: str, which: str = '') -> tuple[keras.Model, TrainConfig, str]:
    """The trained model of a run's folder, its settings, and the path of the checkpoint, chosen as by `find`."""
    config = read_config(model_dir)
    path = find(model_dir, which)
    model = make_model(config)
    status = tf.train.Checkpoint(model=model).restore(path)
    status.assert_existing_objects_matched().expect_partial()
    return model, config, path
