"""Named recipes: values of train.py's flags, which any flag overrides.

Every setting of training is in the first, which is the default. `None` follows from the data or another setting.
"""

from typing import Any

YOLOV2_VOC: dict[str, Any] = {
    'loss': 'region',
    'batch_size': 64,
    'num_steps': 80200,
    'optimizer': 'sgd',
    'learning_rate': 1e-3,
    'lr_schedule': 'steps',
    'decay_steps': None,  # at 40,000 and 60,000 of 80,200
    'burn_in': None,  # 1,000, or a tenth of fewer than 10,000 steps
    'momentum': 0.9,
    'weight_decay': 5e-4,
    'augment': True,
    'jitter': 0.3,
    'scale': ['1', '1'],
    'hue': 0.1,
    'saturation': 1.5,
    'exposure': 1.5,
    'mosaic': 0.0,
    'multi_scale': True,
    'sizes': None,  # 320 to 608 for 416
    'ema': 0.0,
    'monitor': 'map',
    'early_stopping': 0,
    'plateau': 0,
    'plateau_factor': 0.1,
}


RECIPES: dict[str, dict[str, Any]] = {
    # The paper's, as Darknet's cfg/yolov2-voc.cfg has it.
    'yolov2-voc': YOLOV2_VOC,
    # What the Keras notebook did.
    'notebook': {
        **YOLOV2_VOC,
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
    'finetune': {
        **YOLOV2_VOC,
        'batch_size': 8,
        'num_steps': 2000,
        'optimizer': 'adam',
        'learning_rate': 3e-4,
        'lr_schedule': 'cosine',
        'jitter': 0.2,
        'scale': ['0.8', '1.25'],
        'ema': 0.998,
    },
    # A few hundred images, from nothing.
    'small-data': {
        **YOLOV2_VOC,
        'batch_size': 8,
        'num_steps': 8000,
        'optimizer': 'adam',
        'lr_schedule': 'cosine',
        'jitter': 0.2,
        'scale': ['0.8', '1.25'],
        'ema': 0.998,
    },
}
