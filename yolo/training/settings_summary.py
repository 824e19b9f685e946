"""The settings of a run in a few lines, for the log; `config.json` has all of them."""

import tensorflow as tf

from yolo.data import records
from yolo.geometry import image_sizes
from yolo.geometry.letterbox import GREY
from yolo.training import memory
from yolo.training.config import BALANCED, TrainConfig
from yolo.training.distribution import describe


def summarize_settings(config: TrainConfig, strategy: tf.distribute.Strategy, num_images: int) -> list[str]:
    """Six lines: data, network, training, devices, memory, output. num_images: of the split to train on."""
    return [
        f'data: {_data(config, num_images)}',
        f'network: {_network(config)}',
        f'training: {_training(config, num_images)}',
        f'devices: {describe(strategy)}, {config.precision}, {"" if config.jit_compile else "not "}compiled with XLA',
        f'memory: {memory.describe(config, strategy)}',
        f'output: {config.model_dir}, a checkpoint every {config.checkpoint_every:,} steps',
    ]


def _data(config: TrainConfig, num_images: int) -> str:
    text = f'{num_images:,} images of {config.train_split} in {config.data_dir}, {len(config.classes)} classes'
    if not config.eval_split:
        return f'{text}; no evaluation (no --eval_split)'
    when = f'every {config.eval_every:,} steps' if config.eval_every else 'at the end'
    return f'{text}; evaluation on {config.eval_split} {when}'


def _network(config: TrainConfig) -> str:
    height, width = config.image_size
    kind = 'grey pixels' if config.channels == GREY else 'pixels'
    parts = [f'{config.model}, {width} x {height} {kind}']
    if config.width != 1:
        parts[0] = f'{config.model} of width {config.width:g}, {width} x {height} {kind}'
    if config.stored_size and len(config.sizes) == 1:
        parts[0] += _source(config)
    if len(config.sizes) > 1:
        longer_sides = [max(size) for size in config.sizes]
        parts.append(f'in training {min(longer_sides)} to {max(longer_sides)}{_source(config)}')
    parts.append(f'{len(config.anchors)} anchors')
    parts.append(f'weights from {config.init_weights}' if config.init_weights else 'random weights')
    if config.freeze:
        end = '' if config.unfreeze_at >= config.num_steps else f' until step {config.unfreeze_at:,}'
        parts.append(f'first {config.freeze} convolutions frozen{end}')
    return ', '.join(parts)


def _source(config: TrainConfig) -> str:
    """What the images of these sizes are made of, and what to do if some are enlarged."""
    height, width = config.stored_size or config.image_size
    largest = memory.largest_size(config)
    if largest[0] <= height and largest[1] <= width:
        return f' (cut from stored images of {width} x {height})'
    first = next(iter(records.read_description(config.data_dir).splits))
    of_first = '' if first == config.train_split else f' of the first split; that is {first}, not {config.train_split}'
    return (
        f' (those larger than the stored {width} x {height} are enlarged; preprocess '
        f'--store_size={image_sizes.longer_side_over(config.image_size, largest)} stores larger ones{of_first})'
    )


def _training(config: TrainConfig, num_images: int) -> str:
    epochs = config.num_steps * config.batch_size / num_images
    sampling = ', balanced sampling' if config.sampling == BALANCED else ''
    weights = ', balanced class weights' if config.class_weights == BALANCED else ''
    recipe = f'{config.recipe} ({config.base_recipe})' if config.base_recipe else config.recipe
    grey = ', of the colours only brightness changes' if config.channels == GREY and config.augment else ''
    return (
        f'recipe {recipe}, {config.loss} loss, {config.optimizer} at rate {config.learning_rate:g} '
        f'({config.lr_schedule}), {config.num_steps:,} steps of {config.batch_size} images ({epochs:,.1f} epochs)'
        f'{sampling}{weights}{grey}'
    )
