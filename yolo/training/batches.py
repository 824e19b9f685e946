"""The training batches of a run, distributed over its devices."""

import numpy as np
import tensorflow as tf
from absl import logging

from yolo.data import augment, folds, label_reading, pipeline, records, sampling
from yolo.training.config import BALANCED, PHOTO, TrainConfig

NAMED_CLASSES = 5  # rarest ones, in the line about sampling


def distribute_batches(config: TrainConfig, strategy: tf.distribute.Strategy, first_step: int):
    """The batches of a run from a step on, as a distributed dataset; each process makes its own shard of them."""
    ranges = augmentation_ranges(config) if config.augment else None
    repeats, numbers = read_repeats(config, log=True), trained_on(config)

    def dataset(context: tf.distribute.InputContext) -> tf.data.Dataset:
        shard = pipeline.InputShard(context.input_pipeline_id, context.num_input_pipelines)
        batches = pipeline.training_batches(
            config.data_dir,
            config.train_split,
            config.batch_size,
            config.seed,
            ranges,
            first_step,
            shard,
            config.shuffle_mb,
            repeats,
            numbers,
        )
        of_replicas = batches.rebatch(context.get_per_replica_batch_size(config.batch_size), drop_remainder=True)
        # If they might end, TensorFlow would have several processes ask at every batch whether all have one.
        return of_replicas.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))

    return strategy.distribute_datasets_from_function(dataset)


def augmentation_ranges(config: TrainConfig) -> augment.Ranges:
    """The ranges from which the augmentation of a run is drawn."""
    return augment.Ranges(
        jitter=config.jitter,
        scale=config.scale,
        hue=config.hue,
        saturation=config.saturation,
        exposure=config.exposure,
        mosaic=config.mosaic,
        copy_paste=config.copy_paste,
        flip=config.flip,
        around_photo=config.jitter_around == PHOTO,
    )


def trained_on(config: TrainConfig) -> np.ndarray | None:
    """The numbers (n,) of the records that a run trains on, ascending; None for all of the split."""
    if config.folds == 1:
        return None
    num_images = records.read_description(config.data_dir).split(config.train_split).num_images
    return folds.trained_on(num_images, config.fold, config.folds, config.seed)


def read_repeats(config: TrainConfig, log: bool = False) -> np.ndarray | None:
    """The repeat factors (N,) of the records of a run with balanced sampling; None of others. log: says so."""
    if config.sampling != BALANCED:
        return None
    repeats, of_classes = label_reading.read_repeats(config.data_dir, config.train_split, config.sampling_threshold)
    if log:
        _log_sampling(config, repeats, of_classes)
    return repeats


def _log_sampling(config: TrainConfig, repeats: np.ndarray, of_classes: np.ndarray) -> None:
    """How often images come; repeats: of the records (N,), of_classes: of the classes (C,)."""
    rare = [k for k in np.argsort(-of_classes, kind='stable').tolist() if of_classes[k] > 1][:NAMED_CLASSES]
    named = ', '.join(f'{config.classes[k]} {of_classes[k]:.2g} times as often' for k in rare)
    logging.info(
        'balanced sampling: an epoch has %.2f times the images of the split; rarest classes: %s',
        repeats.mean() / sampling.ONE,
        named or 'none is rare',
    )
