"""Darknet's networks as Keras models and back."""

import logging

import keras

from yolo import storage
from yolo.models import cfg, weights
from yolo.models.build import DarknetModel

log = logging.getLogger(__name__)


def load_darknet(cfg_path: str, weights_path: str | None = None) -> keras.Model:
    """The Keras model of a Darknet .cfg of the YOLOv2 family, with the weights of a .weights file.

    The model takes images (B, H, W, 3) RGB, or grey ones (B, H, W, 1) if its .cfg says channels=1, uint8 0..255 or
    float 0..1, and gives raw (B, GH, GW, A, 5 + C), the channels of the last convolution by anchor; for a classifier,
    its probabilities (B, C). `model.network` is what the .cfg says, `model.seen` the number of images of its training.
    Weights are random without a .weights file, and in the convolutions after the end of one that holds only the first
    ones (a warning is logged).

    ValueError, with file and line, for sections or options that are not understood and would change the result; and,
    with the layer, for .weights that do not fit. (Darknet src/parser.c, load_weights_upto.)
    """
    model = DarknetModel(cfg.read(cfg_path))
    if weights_path is not None:
        loaded = weights.read(model, weights_path)
        if loaded.random:
            log.warning('%s: %s', weights_path, loaded)
    return model


def load_whole(cfg_path: str, weights_path: str) -> DarknetModel:
    """The same with a .weights file that must hold the whole network; ValueError if it holds a backbone only."""
    model = DarknetModel(cfg.read(cfg_path))
    loaded = weights.read(model, weights_path)
    if loaded.random:
        raise ValueError(
            f'{weights_path} holds only the first layers of the network: {loaded}; train with --init_weights to use it'
        )
    return model


def save_darknet(model: keras.Model, cfg_path: str, weights_path: str, num_convolutions: int | None = None) -> None:
    """Writes a model as Darknet's .cfg and .weights (version 0.2.0, a header of 20 bytes).

    model: made by `build_model` or `load_darknet`, or loaded from a .keras file of one; num_convolutions: how many
    convolutions to write from the start, as a backbone for another training; None for all. ValueError for other models.
    """
    if not isinstance(model, DarknetModel):
        raise ValueError(f'{type(model).__name__} is not a model of build_model or load_darknet')
    with storage.writer(cfg_path) as file:  # there only with its weights
        file.write(cfg.write(model.network).encode())
        file.flush()
        weights.write(model, weights_path, num_convolutions)
