"""SGD by hand: with the momentum outside of the rate, and without momentum."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from training_runs import make_small_config, one_device, run_steps, two_devices

from yolo.training import loop, optimizer, state

GRADIENTS = ([1.0, -2.0], [0.5, 4.0], [0.0, -1.0])
RATES = (0.5, 0.25, 0.125)


class Rates(keras.optimizers.schedules.LearningRateSchedule):
    """The rates of RATES, by step."""

    def __call__(self, step):
        return tf.gather(RATES, step)


@pytest.mark.parametrize('momentum', [0.0, 0.9])
def test_sgd_is_the_formula(momentum):
    """velocity = momentum velocity + gradient; weight -= rate velocity; a momentum of 0 leaves the gradient."""
    weight = keras.Variable([10.0, 20.0])
    sgd = optimizer.MomentumSGD(Rates(), momentum=momentum)
    sgd.build([weight])
    expected, velocity = np.array([10.0, 20.0]), np.zeros(2)
    for gradient, rate in zip(GRADIENTS, RATES, strict=True):
        sgd.apply([tf.constant(gradient)])
        velocity = momentum * velocity + gradient
        expected -= rate * velocity
        np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-6)


@pytest.mark.slow
def test_momentum_0_trains_on_any_number_of_devices(records_dir, tmp_path):
    config = make_small_config(records_dir, tmp_path, momentum=0.0, burn_in=0)
    one, (weights,) = run_steps(config, one_device())
    two, (first, second) = run_steps(config, two_devices())
    np.testing.assert_allclose(two['loss'], one['loss'], rtol=1e-4)
    for single, a, b in zip(weights, first, second, strict=True):
        np.testing.assert_allclose(a, single, rtol=1e-3, atol=1e-5)
        np.testing.assert_array_equal(a, b)


def test_a_run_with_momentum_0_goes_on(records_dir, tmp_path):
    """The whole number 0 too, which is what a library user may give; Keras asks for a float."""
    config = make_small_config(records_dir, tmp_path, momentum=0, num_steps=4, checkpoint_every=2, keep=9)
    loop.train(config, one_device())
    keras.utils.set_random_seed(config.seed)
    run_state = state.make_state(config, one_device())
    run_state.checkpoint().restore(f'{tmp_path}/checkpoints/ckpt-2').assert_existing_objects_matched()
    assert int(run_state.optimizer.iterations.numpy()) == 2
