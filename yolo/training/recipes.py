"""Named recipes: the values of settings in which each differs from the defaults of `TrainConfig`.

The defaults are the paper's recipe, as in Darknet's cfg/yolov2-voc.cfg.
"""

import dataclasses
from typing import Any

from yolo.training.config import TrainConfig

_FEW_IMAGES = {
    'batch_size': 8,
    'optimizer': 'adam',
    'lr_schedule': 'cosine',
    'jitter': 0.2,
    'scale': (0.8, 1.25),
    'ema': 0.998,
}
RECIPES: dict[str, dict[str, Any]] = {
    'yolov2-voc': {},
    # The settings of the Keras notebook.
    'notebook': {
        'loss': 'notebook',
        'batch_size': 16,
        'optimizer': 'adam',
        'learning_rate': 5e-5,
        'lr_schedule': 'constant',
        'burn_in': 0,
        'weight_decay': 0.0,
        'augment': False,
        'multi_scale': False,
        'monitor': 'loss',
        'early_stopping': 10,
    },
    # A few hundred images, from --init_weights.
    'finetune': {**_FEW_IMAGES, 'num_steps': 2000, 'learning_rate': 3e-4},
    # A few hundred images, from scratch.
    'small-data': {**_FEW_IMAGES, 'num_steps': 8000},
}


def apply(recipe: str, **changes: Any) -> TrainConfig:
    """The settings of a recipe, with those of `changes` in place of its own. ValueError for an unknown name."""
    if recipe not in RECIPES:
        raise ValueError(f'recipe={recipe!r}: not one of {", ".join(RECIPES)}')
    return dataclasses.replace(TrainConfig(), recipe=recipe, **{**RECIPES[recipe], **changes})
