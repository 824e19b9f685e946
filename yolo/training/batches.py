"""The training batches of a run, distributed over its devices."""

import tensorflow as tf

from yolo.data import augment, pipeline
from yolo.training.config import TrainConfig


def distribute_batches(config: TrainConfig, strategy: tf.distribute.Strategy, first_step: int):
    """The batches of a run from a step on, as a distributed dataset; each process makes its own shard of them."""
    ranges = augmentation_ranges(config) if config.augment else None

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
        flip=config.flip,
    )
