"""The settings of a run by a named recipe."""

import dataclasses
from typing import Any

from yolo.recipes import RECIPES
from yolo.training.config import TrainConfig


def apply(recipe: str, **changes: Any) -> TrainConfig:
    """The settings of a recipe, with those of `changes` in place of its own. ValueError for an unknown name."""
    if recipe not in RECIPES:
        raise ValueError(f'recipe={recipe!r}: not one of {", ".join(RECIPES)}')
    return dataclasses.replace(TrainConfig(), recipe=recipe, **{**RECIPES[recipe], **changes})
