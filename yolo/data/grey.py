"""Colour images to grey ones and back, by one formula in preprocessing, prediction and exported models.

Grey = (9798 R + 19235 G + 3735 B + 2^14) >> 15: 0.299 R + 0.587 G + 0.114 B, rounded. (ITU-R BT.601; OpenCV's
cvtColor.) A grey pixel, R = G = B, stays as it is. Darknet takes (77 R + 150 G + 29 B) >> 8, which is the same or 1
less. (stb_image.h, stbi__compute_y)
"""

import cv2
import numpy as np

from yolo.geometry.letterbox import CHANNELS, COLOUR, GREY

RED, GREEN, BLUE, BITS = 9798, 19235, 3735, 15
MOST_VALUE = (1 << 16) - 1  # of 16 bits
Kind = tuple[int, tuple[int, ...] | None]  # of images: channels, grey_range


def check(channels: int, grey_range: tuple[int, ...] = (), dashes: str = '') -> None:
    """ValueError for a number of channels that neither records nor networks have, or a range that is none.

    grey_range: the values of 16 bits that become 0 and 255; () for none; dashes: before the names in the error, if
    these are flags.
    """
    if channels not in CHANNELS:
        raise ValueError(f'{dashes}channels={channels}: 1 (grey) or 3 (colour)')
    if grey_range and channels != GREY:
        raise ValueError(f'{dashes}grey_range={_text(grey_range)} goes with {dashes}channels=1, not with {channels}')
    check_range(grey_range, dashes)


def check_range(grey_range: tuple[int, ...], dashes: str = '') -> None:
    """ValueError for a range that is none; () is right, too; dashes: as in `check`."""
    if grey_range and not (len(grey_range) == 2 and grey_range[0] < grey_range[1]):
        raise ValueError(f'{dashes}grey_range={_text(grey_range)}: two numbers are needed, the lower one first')


def check_same(data_dir: str, of_data: Kind, model: str, of_model: Kind) -> None:
    """ValueError if the records of a folder are of another kind than the images of a model, which has a name or path.

    Each kind: channels and grey_range; a grey_range of None is not known, and fits every other.
    """
    (channels, grey_range), (wanted, wanted_range) = of_data, of_model
    if channels != wanted:
        raise ValueError(
            f'the images of {data_dir!r} were made with --channels={channels}, those of {model} with '
            f'--channels={wanted}; preprocess with --channels={wanted}'
        )
    if None not in (grey_range, wanted_range) and grey_range != wanted_range:
        raise ValueError(
            f'the images of {data_dir!r} were made {_flag(grey_range)}, those of {model} {_flag(wanted_range)}; '
            f'preprocess {_flag(wanted_range)}'
        )


def _flag(grey_range: tuple[int, ...] | None) -> str:
    return f'with --grey_range={_text(grey_range)}' if grey_range else 'without --grey_range'


def _text(grey_range: tuple[int, ...]) -> str:
    return ','.join(map(str, grey_range))


def to_8_bits(image: np.ndarray, grey_range: tuple[int, ...]) -> np.ndarray:
    """Values of 16 bits (uint16, any shape) as uint8: the lower one of `grey_range` and all below it are 0, the upper
    one and all above it 255, rounded between."""
    low, high = grey_range
    values = np.clip(np.arange(MOST_VALUE + 1), low, high) - low
    table = (255 * values + (high - low) // 2) // (high - low)
    return table.astype(np.uint8)[image]


def to_channels(image: np.ndarray, channels: int, is_bgr: bool = False) -> np.ndarray:
    """An image (H, W, 3) uint8, or one that is grey already (H, W, 1), as (H, W, channels) of letterbox.CHANNELS.

    is_bgr: the order of the colours is BGR, as in OpenCV, and not RGB. Grey becomes three equal channels.
    """
    if image.shape[2] == channels:
        return image
    if channels == COLOUR:
        return np.repeat(image, COLOUR, 2)
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY if is_bgr else cv2.COLOR_RGB2GRAY)[..., None]
