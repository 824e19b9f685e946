"""The gradient of one part of a batch on one replica: pixels, network and loss, as a function of tensors alone."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from yolo.data import pipeline
from yolo.models import fast_convolutions
from yolo.models.build import DarknetModel
from yolo.models.layers import BatchNorm
from yolo.training import losses
from yolo.training.config import NOTEBOOK, SYNCHRONIZED, TrainConfig

TERMS = ('loss', 'box', 'objectness', 'class')
SUMS = (*TERMS, *losses.STATISTICS)  # of a part: its share of the loss and its parts, sums over its predictions

Batch = dict[str, tf.Tensor]


class Values(NamedTuple):
    """What a network computes with: trained weights, batch norm's moving statistics in one vector, all the rest."""

    weights: list[tf.Tensor]
    moving: tf.Tensor
    fixed: list[tf.Tensor]


class Gradients(NamedTuple):
    """Of a part of a batch: gradients of the trained weights, the moving statistics after it, SUMS in one vector."""

    gradients: list[tf.Tensor]
    moving: tf.Tensor
    sums: tf.Tensor


class Weights(NamedTuple):
    """The variables of a model by what a step does with them, in the order of `Values`."""

    trained: list[keras.Variable]
    moving: list[keras.Variable]
    fixed: list[keras.Variable]

    def read(self) -> Values:
        """Their values."""
        trained, fixed = (list(map(tf.convert_to_tensor, variables)) for variables in (self.trained, self.fixed))
        return Values(trained, self.read_moving(), fixed)

    def read_moving(self) -> tf.Tensor:
        """All moving statistics in one vector."""
        return tf.concat([[], *map(tf.convert_to_tensor, self.moving)], 0)

    def split(self, moving: tf.Tensor) -> list[tf.Tensor]:
        """The vector of all moving statistics -> the value of each variable."""
        return tf.split(moving, [math.prod(each.shape) for each in self.moving]) if self.moving else []


def weights_of(model: keras.Model) -> Weights:
    """The variables of a model, some of whose layers may be frozen."""
    norms = [layer for layer in model.layers if isinstance(layer, BatchNorm) and layer.trainable]
    moving = [weight for layer in norms for weight in (layer.mean, layer.variance)]
    paths = {weight.path for weight in moving}
    fixed = [weight for weight in model.non_trainable_variables if weight.path not in paths]
    return Weights(list(model.trainable_variables), moving, fixed)


def make_gradients(model: DarknetModel, config: TrainConfig, size: tuple[int, int], num_groups: int) -> Callable:
    """A function: Values, batch, seen, scale of the loss -> Gradients.

    A batch (B, ...) is one part of what a replica has of a training batch. The loss is this part's share: its sum over
    the images, divided by the size of the whole batch; that of the notebook: its mean over the images that are
    normalised together, divided by num_groups, the number of such groups. So gradients are to be summed over parts and
    replicas. seen: training images before this part (int64).
    """
    variables = weights_of(model)

    def gradients(values: Values, batch: Batch, seen: tf.Tensor, loss_scale) -> Gradients:
        images = pipeline.augment_images(batch, size)  # (B, H, W, 3 or 1) float32
        places = _stored_places(config, batch, size)
        with tf.GradientTape() as tape:
            tape.watch(values.weights)
            with fast_convolutions.enabled(fast_convolutions.available(config.jit_compile)):
                raw, moving = _call(model, variables, values, images)  # (B, GH, GW, A, 5 + C)
            terms = _loss_terms(config, raw, batch, places, seen, num_groups)
            scaled_loss = terms['loss'] * loss_scale
        sums = terms | losses.statistics(raw, batch['boxes'], batch['labels'], config.anchors, places)
        return Gradients(
            gradients=tape.gradient(scaled_loss, values.weights),
            moving=tf.concat([[], *moving], 0),
            sums=tf.stack([sums[name] for name in SUMS]),
        )

    return gradients


def _call(
    model: DarknetModel, variables: Weights, values: Values, images: tf.Tensor
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """The network's output in training with such values, and the moving statistics afterwards."""
    others = [*variables.moving, *variables.fixed]
    value_of = {
        each.path: value for each, value in zip(others, [*variables.split(values.moving), *values.fixed], strict=True)
    }
    non_trainable = model.non_trainable_variables
    raw, after = model.stateless_call(
        values.weights, [value_of[each.path] for each in non_trainable], images, training=True
    )
    after_of = dict(zip((each.path for each in non_trainable), after, strict=True))
    return raw, [after_of[each.path] for each in variables.moving]


def part_of(batch: Batch, number: tf.Tensor, count: int, neighbours: bool) -> Batch:
    """The images of a batch (B, ...) that are its part `number` of `count`: (B / count, ...).

    neighbours: images that follow each other, so that n parts on one replica are those that n replicas would have; else
    every count-th image, so that part k of one replica is what the parts k of any number of replicas are together.
    """

    def take(value: tf.Tensor) -> tf.Tensor:
        rows = value.shape[0] // count
        if neighbours:
            return tf.reshape(value, (count, rows, *value.shape[1:]))[number]
        return tf.reshape(value, (rows, count, *value.shape[1:]))[:, number]

    return batch if count == 1 else {name: take(value) for name, value in batch.items()}


def add_weight_decay(gradients: Sequence[tf.Tensor], weights: Sequence[keras.Variable], decay) -> list[tf.Tensor]:
    """Adds the gradient of L2 to that of the convolution kernels; biases and batch norms have no weight decay."""
    return [
        gradient + decay * weight if weight.name == 'kernel' else gradient
        for gradient, weight in zip(gradients, weights, strict=True)
    ]


def _stored_places(config: TrainConfig, batch: Batch, size: tuple[int, int]) -> tf.Tensor | None:
    """The responsible cells and anchors that the records hold; None at another size, where they are not valid."""
    return batch.get('places') if tuple(size) == tuple(config.image_size) else None


def _loss_terms(
    config: TrainConfig, raw: tf.Tensor, batch: Batch, places, seen: tf.Tensor, num_groups: int
) -> dict[str, tf.Tensor]:
    """The parts of the loss and `loss`, their sum: scalars, this part's share."""
    terms = losses.TERMS[config.loss](
        raw,
        batch['boxes'],
        batch['labels'],
        config.anchors,
        seen,
        places,
        config.batch_norm == SYNCHRONIZED,
        config.class_loss_weights,
        batch.get('regions'),
    )
    divisor = num_groups if config.loss == NOTEBOOK else config.batch_size
    terms = {name: term / divisor for name, term in terms.items()}
    return {**terms, 'loss': tf.add_n(list(terms.values()))}
