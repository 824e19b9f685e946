"""Which algorithm is the fastest for a convolution of 3 x 3 in a training step that XLA compiles for CPUs."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator

import tensorflow as tf

from yolo.models import patches, winograd

MIN_CHANNELS = 64  # with less a plain convolution is as fast
# Winograd's filtering against a product over patches, forward and backward, as measured (benchmarks/convolutions.py):
# what one of its multiplications costs, and for how many tiles' multiplications its transforms of the kernel stand.
MULTIPLICATION, TRANSFORMS = 1.2, 65
_ENABLED = contextvars.ContextVar('fast_convolutions', default=False)


def serve(jit_compile: bool) -> bool:
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
        or (height, width) != (patches.SIDE, patches.SIDE)
        or inputs.dtype != tf.float32
        or not shape.is_fully_defined()
        or min(channels, filters) < MIN_CHANNELS
    ):
        return None
    return winograd.convolve if _transforms_pay(*shape[:3]) else patches.convolve


def _transforms_pay(batch: int, height: int, width: int) -> bool:
    """Whether Winograd's filtering, with fewer multiplications, is faster for so many images of this size."""
    tiles = MULTIPLICATION * winograd.num_tiles(batch, height, width) + TRANSFORMS
    return winograd.PRODUCTS * tiles < patches.SIDE**2 * batch * height * width
