"""Sizes of images: those of multi-scale training, and the larger one that records may hold for it."""

import math
from collections.abc import Sequence

STRIDE = 32  # pixels per grid cell, in every network that can be trained
SMALL_SIDE = 24  # pixels: typical objects (root of the area) under it need larger images
RANGE = (10 / 13, 19 / 13)  # smallest and largest training size relative to the network's: 320 and 608 for 416


def training_sizes(image_size: tuple[int, int], smallest: int, largest: int) -> tuple[tuple[int, int], ...]:
    """The sizes (height, width) of multi-scale training of a network for images of `image_size` pixels.

    smallest, largest: of the longer side; every multiple of 32 between them is one. The other side keeps the ratio, as
    nearly as multiples of 32 can. ValueError if one of the two is not a multiple of 32, or they are not in order.
    """
    if smallest % STRIDE or largest % STRIDE or not 0 < smallest <= largest:
        raise ValueError(f'--sizes={smallest},{largest}: two multiples of {STRIDE}, the smaller first, as 320,608')
    longer = max(image_size)

    def scaled(side: int, size: int) -> int:
        return max(STRIDE, round(side * size / longer / STRIDE) * STRIDE)

    return tuple(
        (scaled(image_size[0], size), scaled(image_size[1], size)) for size in range(smallest, largest + 1, STRIDE)
    )


def usual_sizes(image_size: tuple[int, int]) -> tuple[int, int]:
    """The smallest and the largest training size of the recipe yolov2-voc for a network of `image_size` pixels."""
    smallest, largest = (max(1, round(max(image_size) * share / STRIDE)) * STRIDE for share in RANGE)
    return smallest, largest


def better_size(image_size: tuple[int, int], side: float) -> tuple[int, int] | None:
    """Height, width of images in which objects of `side` pixels in those of `image_size` are large enough.

    At most twice as large; None if they are large enough already.
    """
    if side >= SMALL_SIDE:
        return None
    times = 2.0 if side <= SMALL_SIDE / 2 else SMALL_SIDE / side
    longer = math.ceil(times * max(image_size) / STRIDE) * STRIDE
    height, width = (math.ceil(each * longer / max(image_size) / STRIDE) * STRIDE for each in image_size)
    return height, width


def of_longer_side(image_size: tuple[int, int], longer: int | None) -> tuple[int, int]:
    """Height, width of stored images for a network of `image_size` pixels, in its ratio, to the pixel.

    longer: their longer side; None for `image_size` itself. ValueError if it is the shorter one of the two.
    """
    if longer is None:
        return image_size
    if longer < max(image_size):
        raise ValueError(
            f'--store_size={longer}: less than the {max(image_size)} pixels of --image_size; records hold images of '
            'that size or larger ones'
        )
    height, width = (round(side * longer / max(image_size)) for side in image_size)
    return height, width


def longer_side_over(image_size: tuple[int, int], wanted: tuple[int, int]) -> int:
    """The longer side with which an image in the ratio of `image_size` covers `wanted`; all height, width.

    The sizes of training are multiples of 32, so that their ratio is another one: 704 x 928 for a network of 480 x 640,
    which images of 704 x 939 cover.
    """
    return max(-(-side * max(image_size) // own) for side, own in zip(wanted, image_size, strict=True))


def format_size(size: Sequence[int]) -> str:
    """A size (height, width) as --image_size takes it: '416', or '640x480' with the width first."""
    height, width = size
    return f'{width}' if height == width else f'{width}x{height}'
