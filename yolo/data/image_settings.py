"""The settings of reading image files that several commands share."""

from typing import Any

from yolo.data.images import DAMAGED, KEEP, LEAVE_OUT, MAX_PIXELS
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
