"""The network of a run."""

import keras

from yolo.models import architectures, cfg, spec
from yolo.models.build import DarknetModel
from yolo.models.spec import Network
from yolo.training.config import NOTEBOOK, TrainConfig

# The only values of these [region] options with which `region_loss` and `ciou_loss` can train.
REGION_LOSS = {
    'bias_match': 1,
    'rescore': 1,
    'object_scale': 5,
    'noobject_scale': 1,
    'class_scale': 1,
    'coord_scale': 1,
    'thresh': 0.6,
}
# The values that Darknet takes for options that a .cfg does not have. (src/parser.c, parse_region)
DARKNET_DEFAULTS = {
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
    if config.model in architectures.MODELS:
        return architectures.build_spec(
            config.model, len(config.classes), config.anchors, config.width, config.image_size, config.channels
        )
    if not config.model.endswith('.cfg'):
        raise ValueError(
            f'--model={config.model}: not one of {", ".join(architectures.MODELS)}, nor the path of a .cfg'
        )
    if config.width != 1:
        raise ValueError(
            f'--width={config.width:g}: only named networks have a width; change the filters in {config.model}'
        )
    built = cfg.read(config.model)
    if config.loss != NOTEBOOK:
        _check_region_options(config.model, {**DARKNET_DEFAULTS, **dict(built.region.options)})
    return spec.adapt(built, len(config.classes), config.anchors, (*config.image_size, config.channels))


def _check_region_options(path: str, options: dict) -> None:
    """ValueError for options of [region] with which Darknet would compute another loss than `region_loss`."""
    for name, value in options.items():
        if name in REGION_LOSS and float(value) != REGION_LOSS[name]:
            raise ValueError(
                f'{path}: [region] {name}={value}: such a network can be used but not trained, because the '
                f'loss here has {name}={REGION_LOSS[name]:g}; change the .cfg to accept that'
            )


def make_model(config: TrainConfig) -> DarknetModel:
    """The network of a run with fresh weights: images (B, H, W, C) 0..1 -> raw (B, GH, GW, A, 5 + C)."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(config.precision)
    try:
        return DarknetModel(make_network(config))
    finally:
        keras.config.set_dtype_policy(before)
