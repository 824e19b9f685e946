"""--store_size and --recipe: the first split may hold larger images than the network's, for multi-scale training."""

from typing import Any

from yolo import recipes
from yolo.geometry import image_sizes
from yolo.geometry.letterbox import MOST_SIDE
from yolo.settings import setting


def store_size_setting(group: str) -> Any:
    """The longer side of the stored images of the first split."""
    help = (
        'Pixels of the longer side of the stored images of the first split, from which training then cuts images of '
        'every size. Those of the other splits have --image_size, as the images that prediction sees.'
    )
    unset = 'that of --image_size, or the largest that --recipe trains on'
    return setting(None, help, group=group, low=32, high=MOST_SIDE, unset=unset)


def recipe_setting(group: str) -> Any:
    """The recipe of the training that will follow."""
    help = (
        'Recipe of train.py for these records, for --store_size: the largest size that it trains on. --store_size wins.'
    )
    return setting(None, help, group=group, choices=recipes.NAMES, unset='none')


def of_recipe(recipe: str, image_size: tuple[int, int]) -> int | None:
    """The --store_size of a recipe for a network of `image_size` height, width; None where that is enough.

    ValueError for one that cannot be stored.
    """
    largest = image_sizes.longer_side_over(image_size, recipes.largest_size(recipe, image_size))
    if largest > MOST_SIDE:
        raise ValueError(
            f'--recipe={recipe} stores images of {largest:,} pixels for --image_size={max(image_size)}, and '
            f'{MOST_SIDE:,} are allowed; give --store_size={MOST_SIDE} too, or a smaller --image_size'
        )
    return largest if largest > max(image_size) else None
