"""The network of a run."""

import keras

from yolo.models import cfg, spec
from yolo.models.build import DarknetModel
from yolo.models.spec import Network
from yolo.training.config import TrainConfig

# What a .cfg may say of its loss: `region_loss` knows only these.
LOSS = {
    'bias_match': 1,
    'rescore': 1,
    'object_scale': 5,
    'noobject_scale': 1,
    'class_scale': 1,
    'coord_scale': 1,
    'thresh': 0.6,
}
# What Darknet takes where a .cfg says nothing. (src/parser.c, parse_region)
DARKNETS = {
    'bias_match': 0,
    'rescore': 0,
    'object_scale': 1,
    'noobject_scale': 1,
    'class_scale': 1,
    'coord_scale': 1,
    'thresh': 0.5,
}


def make_network(config: TrainConfig) -> Network:
    """The network of a run: by name or from a .cfg, for the classes, anchors and image size of its data."""
    if config.model in spec.MODELS:
        return spec.build_spec(config.model, len(config.classes), config.anchors, config.width, config.image_size)
    if not config.model.endswith('.cfg'):
        raise ValueError(f'--model={config.model}: not one of {", ".join(spec.MODELS)}, nor the path of a .cfg')
    if config.width != 1:
        raise ValueError(f'--width={config.width:g} goes with a network by name, not with {config.model}')
    built = cfg.read(config.model)
    options: dict = {**DARKNETS, **dict(built.region.options)}
    for name, value in options.items():
        if name in LOSS and float(value) != LOSS[name] and config.loss == 'region':
            raise ValueError(
                f'{config.model}: [region] {name}={value}: such a network is used, but not trained: the '
                f'loss here has {name}={LOSS[name]:g}; change the .cfg to accept that'
            )
    return spec.adapt(built, len(config.classes), config.anchors, config.image_size)


def make_model(config: TrainConfig) -> DarknetModel:
    """The network of a run with fresh weights: images (B, H, W, 3) 0..1 -> raw (B, GH, GW, A, 5 + C)."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(config.precision)
    try:
        return DarknetModel(make_network(config))
    finally:
        keras.config.set_dtype_policy(before)
