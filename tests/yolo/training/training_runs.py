"""Small runs for the tests of training: their settings, devices, and steps without files."""

import dataclasses

import keras
import numpy as np
from conftest import DATA, SMALL

from yolo.data import records
from yolo.models import model_folder
from yolo.training import distribution, state, step
from yolo.training.batches import distribute_batches
from yolo.training.config import TrainConfig
from yolo.training.update import METRICS

TWO_CONVOLUTIONS = str(DATA / 'two_convolutions.cfg')  # the smallest network that has every kind of weight


def make_config(data_dir, model_dir, **changes) -> TrainConfig:
    """Settings of a run of four steps with a network of four convolutions."""
    description = records.read_description(data_dir)
    config = TrainConfig(
        data_dir=data_dir,
        train_split='train',
        eval_split='',
        model_dir=str(model_dir),
        classes=description.classes,
        anchors=description.anchors,
        image_size=description.image_size,
        model=SMALL,
        loss='region',
        batch_size=4,
        num_steps=4,
        optimizer='sgd',
        learning_rate=1e-3,
        lr_schedule='steps',
        burn_in=2,
        decay_steps=(3,),
        momentum=0.9,
        weight_decay=5e-4,
        augment=True,
        jitter=0.3,
        scale=(0.8, 1.25),
        hue=0.1,
        saturation=1.5,
        exposure=1.5,
        seed=1,
        sizes=(),
        unfreeze_at=0,
        jit_compile=False,
        eval_every=0,
        checkpoint_every=100,
        log_every=1,
        keep=3,
    )
    return dataclasses.replace(config, **changes)


def make_small_config(data_dir, model_dir, **changes) -> TrainConfig:
    """The same with two convolutions, whose graph is built faster."""
    return make_config(data_dir, model_dir, **{'model': TWO_CONVOLUTIONS, **changes})


def one_device():
    return distribution.make_strategy('one_device', ['CPU:0'])


def two_devices():
    return distribution.make_strategy('mirrored', ['CPU:0', 'CPU:1'])


def weights_of(model_dir):
    model, _, _ = model_folder.load_trained(str(model_dir), 'latest')
    return model.get_weights()


def check_two_devices_take_the_steps_of_one(config):
    """The metrics of three steps and the weights after them, which are the same on both devices."""
    metrics, (weights,) = run_steps(config, one_device())
    metrics_of_two, (first, second) = run_steps(config, two_devices())
    for name in METRICS:
        np.testing.assert_allclose(metrics_of_two[name], metrics[name], rtol=1e-4, atol=1e-6, err_msg=name)
    for one, a, b in zip(weights, first, second, strict=True):
        np.testing.assert_allclose(a, one, rtol=1e-3, atol=1e-5)
        np.testing.assert_array_equal(a, b)  # moving statistics too


def run_steps(config, strategy, count=3, size=(96, 96)):
    """The metrics of a few steps, by name, and the weights after them on every replica; without files."""
    keras.utils.set_random_seed(0)
    run_state = state.make_state(config, strategy)
    accumulators = step.make_accumulators(run_state, config, strategy)
    steps = step.make_steps(run_state, config, strategy, size, accumulators)
    iterator = iter(distribute_batches(config, strategy, 0))
    metrics = steps(iterator, 0, count)[0].numpy()
    replicas = [
        [strategy.experimental_local_results(v.value)[i].numpy() for v in run_state.export_model.variables]
        for i in range(strategy.num_replicas_in_sync)
    ]
    return dict(zip(METRICS, metrics.T, strict=True)), replicas
