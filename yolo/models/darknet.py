"""Darknet's networks as Keras models and back."""

import logging

import keras

from yolo import storage
from yolo.models import cfg, weights
from yolo.models.build import DarknetModel

log = logging.getLogger(__name__)


def load_darknet(cfg_path: str, weights_path: str | None = None) -> keras.Model:
    """The Keras model of a Darknet .cfg of the YOLOv2 family, with the weights of a .weights file.

    The model takes images (B, H, W, 3) RGB 0..1 and gives raw (B, GH, GW, A, 5 + C), the channels of the last
    convolution by anchor; for a classifier, its probabilities (B, C). It keeps what the .cfg says as `model.network`
    and the images of its training as `model.seen`. Without a .weights file, or after the end of one that holds only the
    first convolutions (which is logged as a warning), weights are drawn.

    ValueError, with file and line, for sections or options that are not understood and would change the result; and,
    with the layer, for .weights that do not fit. (Darknet src/parser.c, load_weights_upto.)
    """
    model = DarknetModel(cfg.read(cfg_path))
    if weights_path is not None:
        loaded = weights.read(model, weights_path)
        if loaded.drawn:
            log.warning('%s: %s', weights_path, loaded)
    return model


def load_whole(cfg_path: str, weights_path: str) -> DarknetModel:
    """The same of a .weights file that must hold all of the network; ValueError if it is only a beginning."""
    model = DarknetModel(cfg.read(cfg_path))
    loaded = weights.read(model, weights_path)
    if loaded.drawn:
        raise ValueError(
            f'{weights_path} is only a beginning of the network: {loaded}; train with --init_weights to use it'
        )
    return model


def save_darknet(model: keras.Model, cfg_path: str, weights_path: str, num_convolutions: int | None = None) -> None:
    """Writes a model as Darknet's .cfg and .weights (version 0.2.0, a header of 20 bytes).

    model: of `build_model` or `load_darknet`, or loaded from a .keras file of one; num_convolutions: how many
    convolutions to write from the start, as a backbone to begin a training with; all if None. ValueError for other
    models.
    """
    if not isinstance(model, DarknetModel):
        raise ValueError(f'{type(model).__name__} is not a model of build_model or load_darknet')
    storage.write(cfg_path, cfg.write(model.network))
    weights.write(model, weights_path, num_convolutions)
