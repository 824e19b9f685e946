"""All that a run is at a step, and its checkpoints: what has to be kept for it to go on as if it had never stopped."""

import dataclasses
import zlib

import keras
import tensorflow as tf

from yolo.models import model_folder
from yolo.models.build import DarknetModel
from yolo.training import network
from yolo.training.config import TrainConfig
from yolo.training.optimizer import make_optimizer


@dataclasses.dataclass
class State:
    """A run at a step. Input, augmentation and image size follow from the step and need no keeping."""

    model: DarknetModel  # what is trained
    averaged: DarknetModel | None  # its averaged weights
    optimizer: keras.optimizers.Optimizer
    step: tf.Variable  # steps done
    seen: tf.Variable  # images seen
    best: tf.Variable  # best value of what is monitored, the larger the better
    stale: tf.Variable  # evaluations since it was better
    waited: tf.Variable  # of these, since the rate was last lowered
    rate_factor: tf.Variable  # what the plateaus left of the rate
    loss_sum: tf.Variable  # of the steps since the last evaluation
    loss_count: tf.Variable
    evaluated: tf.Variable  # the step of the last evaluation
    split: tf.Variable  # checksum of the name of the split that `best` is of

    @property
    def published(self) -> DarknetModel:
        """The model to use: averaged, if there are averages."""
        return self.averaged or self.model

    def reached(self, step: int, seen: int) -> None:
        """Notes how far it has come, in steps and images."""
        self.step.assign(step)
        self.seen.assign(seen)
        for model in filter(None, (self.model, self.averaged)):
            model.seen = seen

    def checkpoint(self) -> tf.train.Checkpoint:
        """Everything, with the model to use as `model`."""
        parts = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        if self.averaged is not None:
            parts['trained'] = self.model
        del parts['averaged']
        return tf.train.Checkpoint(**{**parts, 'model': self.published})


def make_state(config: TrainConfig, strategy: tf.distribute.Strategy) -> State:
    """A run before its first step."""

    def variable(value, dtype) -> tf.Variable:
        return tf.Variable(value, trainable=False, dtype=dtype)

    with strategy.scope():
        rate_factor = variable(1.0, tf.float32)  # every step reads it
        model = network.make_model(config)
        averaged = network.make_model(config) if config.ema else None
        optimizer = make_optimizer(config, rate_factor)
        optimizer.build(model.trainable_variables)
    return State(
        model,
        averaged,
        optimizer,
        variable(0, tf.int64),
        model_folder.new_seen(),
        variable(-float('inf'), tf.float64),
        variable(0, tf.int64),
        variable(0, tf.int64),
        rate_factor,
        variable(0.0, tf.float64),
        variable(0, tf.int64),
        variable(-1, tf.int64),
        variable(zlib.crc32(config.eval_split.encode()), tf.int64),
    )
