"""First convolutions for images of another number of channels: grey photos by a network for colours, and back."""

import numpy as np

from yolo.geometry.letterbox import GREY


def kernel_for_channels(kernel: np.ndarray, channels: int) -> tuple[np.ndarray, str]:
    """A first kernel (h, w, inputs, filters) for images of `channels`, and what was done to it, in words.

    The output for a grey image is the same, whether it has one channel or three equal ones: for one channel the kernels
    of the colours are summed up; for three, each colour gets a third.
    """
    if channels == GREY:
        return kernel.sum(2, keepdims=True), 'its kernel was summed over them, which gives the same for grey images'
    return (
        np.repeat(kernel / channels, channels, 2),
        f'its kernel was divided among {channels}, which gives the same for grey images',
    )
