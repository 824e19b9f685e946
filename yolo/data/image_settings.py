"""The settings of reading image files that several commands share."""

import re
from typing import Any

from yolo.data.grey import MOST_VALUE
from yolo.data.images import DAMAGED, KEEP, LEAVE_OUT, MAX_PIXELS
from yolo.geometry.letterbox import MOST_SIDE
from yolo.settings import setting

MOST_PIXELS = 1 << 30  # of an image that OpenCV reads


def damaged_setting(group: str = '') -> Any:
    """What becomes of damaged images."""
    help = (
        f'Images whose decoder says that their pixels are damaged: {LEAVE_OUT}, or {KEEP} as far as they can be '
        'decoded. Either way the reason is reported.'
    )
    return setting(LEAVE_OUT, help, group=group, choices=DAMAGED)


def max_pixels_setting(group: str = '') -> Any:
    """The largest image that is decoded."""
    help = 'Leave out images with more pixels than this, by their header. A pixel takes up to 9 bytes of memory.'
    return setting(MAX_PIXELS, help, group=group, low=1, high=MOST_PIXELS)


def grey_range_setting(help: str, group: str, unset: str) -> Any:
    """The values of 16 bits that become 0 and 255."""
    return setting((), help, group=group, low=0, high=MOST_VALUE, count=2, ascending=True, unset=unset)


def parse_image_size(text: str) -> tuple[int, int]:
    """Height, width of '416' or '640x480' (width first); ValueError if they are not multiples of 32, or too large."""
    numbers = re.fullmatch(r'([0-9]{1,9})(?:[xX]([0-9]{1,9}))?', text)
    width = int(numbers[1]) if numbers else 0
    height = int(numbers[2] or width) if numbers else 0
    if min(height, width) < 32 or height % 32 or width % 32:
        raise ValueError(f'--image_size={text[:60]}: not a multiple of 32 or WIDTHxHEIGHT of such, as 640x480')
    if max(height, width) > MOST_SIDE:
        raise ValueError(f'--image_size={text}: at most {MOST_SIDE:,} pixels a side')
    return height, width
