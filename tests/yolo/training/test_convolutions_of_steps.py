"""Fast convolutions in a training step: taken where XLA compiles for the CPU alone, with the same gradients."""

import numpy as np
import pytest
import tensorflow as tf
from training_runs import make_config

from yolo.models import cfg, patches, winograd
from yolo.models.build import DarknetModel
from yolo.training.gradients import make_gradients, weights_of

CONVOLUTION = """
[convolutional]
batch_normalize=1
filters=64
size=3
stride=1
pad=1
activation=leaky
"""
POOL = """
[maxpool]
size=2
stride=2
"""
NETWORK = f"""
[net]
height=64
width=64
channels=3
{CONVOLUTION}{POOL}{CONVOLUTION}{POOL}{POOL}{CONVOLUTION}
[convolutional]
filters=14
size=1
stride=1
activation=linear
[region]
anchors=1,2, 3,3
classes=2
num=2
softmax=1
"""


def recorded(convolve, calls: list[str]):
    """The function, with the name of its module added to the calls."""
    name = convolve.__module__.split('.')[-1]
    return lambda *args: calls.append(name) or convolve(*args)


@pytest.mark.slow
def test_compiled_steps_take_them(records_dir, tmp_path, monkeypatch):
    model = DarknetModel(cfg.parse(NETWORK, 'network.cfg'))
    rng = np.random.default_rng(0)
    corners = np.sort(rng.random((2, 3, 2, 2), np.float32), 2)
    batch = {
        'image': tf.constant(rng.integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)),
        'boxes': tf.constant(corners.reshape(2, 3, 4)),
        'labels': tf.constant([[0, 1, -1], [1, 0, 0]]),
    }
    calls = []
    for module in (winograd, patches):
        monkeypatch.setattr(module, 'convolve', recorded(module.convolve, calls))

    def gradients(jit_compile: bool) -> list[tf.Tensor]:
        config = make_config(records_dir, tmp_path, augment=False, jit_compile=jit_compile, anchors=((1, 2), (3, 3)))
        function = make_gradients(model, config, (64, 64), 1)
        values = weights_of(model).read()
        return tf.function(function, jit_compile=jit_compile)(values, batch, tf.constant(0, tf.int64), 1.0).gradients

    plain = gradients(False)
    assert not calls
    compiled = gradients(True)
    assert calls == ['winograd', 'patches']  # at 32 x 32 and 8 x 8; not the first, of 3 channels
    for value, expected in zip(compiled, plain, strict=True):
        scale = float(tf.reduce_max(tf.abs(expected)))
        np.testing.assert_allclose(value, expected, atol=1e-4 * scale)
