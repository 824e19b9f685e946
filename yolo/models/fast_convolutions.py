"""Which algorithm is the fastest for a convolution of 3 x 3 in a training step that XLA compiles for CPUs."""

import contextlib
import contextvars
import math
from collections.abc import Callable, Iterator

import tensorflow as tf

from yolo.models import patches, winograd

MIN_CHANNELS = 64  # with less a plain convolution is as fast
# Winograd's filtering against a product over patches, forward and backward, on one core (benchmarks/convolutions.py):
# what a multiplication takes, its share of transforms included; and the kernel's transforms, in tiles' multiplications.
MULTIPLICATION_COST, KERNEL_TILES = 1.2, 65
_ENABLED = contextvars.ContextVar('fast_convolutions', default=False)


def available(jit_compile: bool) -> bool:
    """Whether the training steps of this process take them: they are compiled by XLA, for CPUs."""
    return jit_compile and all(device.device_type == 'CPU' for device in tf.config.list_logical_devices())


@contextlib.contextmanager
def enabled(value: bool = True) -> Iterator[None]:
    """Whether `layers.Conv2D` takes what `choose` says, while a step is traced that XLA compiles for a CPU.

    Elsewhere that is slower: without XLA nothing is fused, and GPUs' libraries choose their algorithm by themselves.
    """
    token = _ENABLED.set(value)
    try:
        yield
    finally:
        _ENABLED.reset(token)


def choose(inputs: tf.Tensor, kernel: tf.Tensor) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None:
    """The faster of `winograd.convolve` and `patches.convolve`; None: not enabled here, or neither is faster."""
    shape, (height, width, channels, filters) = inputs.shape, kernel.shape
    if (
        not _ENABLED.get()
        or (height, width) != (3, 3)
        or inputs.dtype != tf.float32
        or not shape.is_fully_defined()
        or min(channels, filters) < MIN_CHANNELS
    ):
        return None
    tiles = MULTIPLICATION_COST * winograd.num_tiles(shape[:3], channels, filters) + KERNEL_TILES
    is_worth_transforms = winograd.PRODUCTS * tiles < height * width * math.prod(shape[:3])
    return winograd.convolve if is_worth_transforms else patches.convolve
