"""Colour images to grey ones and back, by one formula in preprocessing, prediction and exported models.

Grey = (9798 R + 19235 G + 3735 B + 2^14) >> 15: 0.299 R + 0.587 G + 0.114 B, rounded. (ITU-R BT.601; OpenCV's
cvtColor.) A grey pixel, R = G = B, stays as it is. Darknet takes (77 R + 150 G + 29 B) >> 8, which is the same or 1
less. (stb_image.h, stbi__compute_y)
"""

import cv2
import numpy as np

from yolo.geometry.letterbox import CHANNELS, COLOUR

RED, GREEN, BLUE, BITS = 9798, 19235, 3735, 15


def check(channels: int) -> None:
    """ValueError for a number of channels that neither records nor networks have."""
    if channels not in CHANNELS:
        raise ValueError(f'channels={channels}: 1 (grey) or 3 (colour)')


def to_channels(image: np.ndarray, channels: int, is_bgr: bool = False) -> np.ndarray:
    """An image (H, W, 3) uint8, or one that is grey already (H, W, 1), as (H, W, channels) of letterbox.CHANNELS.

    is_bgr: the order of the colours is BGR, as in OpenCV, and not RGB. Grey becomes three equal channels.
    """
    if image.shape[2] == channels:
        return image
    if channels == COLOUR:
        return np.repeat(image, COLOUR, 2)
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY if is_bgr else cv2.COLOR_RGB2GRAY)[..., None]
