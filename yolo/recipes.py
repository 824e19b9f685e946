"""Named recipes of training: the values of settings in which each differs from the defaults.

The defaults are the paper's recipe, as in Darknet's cfg/yolov2-voc.cfg; `yolo.training.config` has them. The names and
values alone are here, so that preprocessing knows the sizes of the images that a recipe trains on.
"""

from typing import Any

from yolo.geometry import image_sizes

AUTO, SMALL_DATA, MODERN = 'auto', 'small-data', 'modern'
FROM_SCRATCH = SMALL_DATA, MODERN  # for a few hundred images from random weights
MULTI_SCALE = True  # the default: another image size every 10 steps
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
    SMALL_DATA: {**_FEW_IMAGES, 'num_steps': 8000},
    # The same, with what later detectors learn by. (The batch is for few images; steps for as many images as above.)
    MODERN: {**_FEW_IMAGES, 'loss': 'ciou', 'copy_paste': 4, 'batch_size': 4, 'num_steps': 16000},
    # Nothing of its own: `yolo.training.auto` takes another one and chooses by the records and the devices.
    AUTO: {},
}
NAMES = tuple(RECIPES)


def largest_size(recipe: str, image_size: tuple[int, int]) -> tuple[int, int]:
    """Height, width of the largest images that a recipe trains a network of `image_size` (height, width) on."""
    if RECIPES[recipe].get('multi_scale', MULTI_SCALE):
        return image_sizes.training_sizes(image_size, *image_sizes.usual_sizes(image_size))[-1]
    return image_size
