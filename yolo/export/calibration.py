"""The images that show an int8 model the range of its numbers."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What an int8 model is made with: images (N, H, W, 3) uint8 RGB of its size, and the type that it takes."""

    images: np.ndarray
    input_type: str = 'uint8'
