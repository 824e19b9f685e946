"""The full state of a run at one step, and its checkpoints: all that a restart needs to continue bit for bit."""

import dataclasses
import zlib

import keras
import tensorflow as tf

from yolo.models import model_folder
from yolo.models.build import DarknetModel, check_finite
from yolo.training import network
from yolo.training.config import TrainConfig
from yolo.training.optimizer import make_optimizer

# The keys in a checkpoint are those of version 0.1, so that its runs can be continued: key -> attribute of State.
CHECKPOINT_KEYS = {
    'model': 'export_model',
    'optimizer': 'optimizer',
    'step': 'step',
    'seen': 'seen',
    'best': 'best_value',
    'stale': 'evals_since_best',
    'waited': 'evals_since_decay',
    'rate_factor': 'rate_factor',
    'loss_sum': 'loss_sum',
    'loss_count': 'loss_count',
    'evaluated': 'evaluated_step',
    'split': 'split_checksum',
}
TRAINED_KEY = 'trained'  # the model that is trained, where `model` is its average


@dataclasses.dataclass
class State:
    """A run at a step. Input, augmentation and image size follow from the step and need not be saved."""

    model: DarknetModel  # the model that is trained
    averaged: DarknetModel | None  # the moving average of its weights
    optimizer: keras.optimizers.Optimizer
    step: tf.Variable  # steps done
    seen: tf.Variable  # training images so far, Darknet's counter
    best_value: tf.Variable  # best value of the monitored quantity; larger is better
    evals_since_best: tf.Variable  # evaluations since the best one
    evals_since_decay: tf.Variable  # evaluations since the best one or the last plateau
    rate_factor: tf.Variable  # product of all plateau factors so far, on the learning rate
    loss_sum: tf.Variable  # over the steps since the last evaluation
    loss_count: tf.Variable  # number of these steps
    evaluated_step: tf.Variable  # step of the last evaluation, -1 before the first
    split_checksum: tf.Variable  # of the name of the split that `best_value` was measured on

    @property
    def export_model(self) -> DarknetModel:
        """The model to evaluate and to use: the averaged one if weights are averaged."""
        return self.averaged or self.model

    def set_progress(self, step: int, seen: int) -> None:
        """Sets the number of steps and of training images done so far, here and in the models."""
        self.step.assign(step)
        self.seen.assign(seen)
        for model in filter(None, (self.model, self.averaged)):
            model.seen = seen

    def check_finite(self) -> None:
        """FloatingPointError, naming the first, if weights or the optimizer's variables are not finite."""
        for model in filter(None, (self.model, self.averaged)):
            try:
                model.check_finite()
            except FloatingPointError as error:
                raise FloatingPointError(f'{error}{" in their average" if model is self.averaged else ""}') from error
        check_finite(self.optimizer.variables)

    def checkpoint(self) -> tf.train.Checkpoint:
        """A checkpoint object over everything here, with the keys of CHECKPOINT_KEYS."""
        parts = {key: getattr(self, attribute) for key, attribute in CHECKPOINT_KEYS.items()}
        if self.averaged is not None:
            parts[TRAINED_KEY] = self.model
        return tf.train.Checkpoint(**parts)


def make_state(config: TrainConfig, strategy: tf.distribute.Strategy) -> State:
    """The state of a run before its first step, with random weights."""

    def variable(value, dtype) -> tf.Variable:
        return tf.Variable(value, trainable=False, dtype=dtype)

    with strategy.scope():
        rate_factor = variable(1.0, tf.float32)  # under the scope: every step reads it
        model = network.make_model(config)
        averaged = network.make_model(config) if config.ema else None
        optimizer = make_optimizer(config, rate_factor)
        optimizer.build(model.trainable_variables)
    return State(
        model=model,
        averaged=averaged,
        optimizer=optimizer,
        step=variable(0, tf.int64),
        seen=model_folder.new_seen(),
        best_value=variable(-float('inf'), tf.float64),
        evals_since_best=variable(0, tf.int64),
        evals_since_decay=variable(0, tf.int64),
        rate_factor=rate_factor,
        loss_sum=variable(0.0, tf.float64),
        loss_count=variable(0, tf.int64),
        evaluated_step=variable(-1, tf.int64),
        split_checksum=variable(zlib.crc32(config.eval_split.encode()), tf.int64),
    )
