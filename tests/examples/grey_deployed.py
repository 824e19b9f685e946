"""The small network of `deployed` for grey images, in files of every kind, and what its detector finds in photos."""

import dataclasses
import functools

import numpy as np
import random_networks
from deployed import CLASSES, LIMITS, SIZE

from yolo.data import grey
from yolo.detection import exported
from yolo.detection.detector import Backend, Detector, PhotoDetections
from yolo.export import calibration, draft, exporting
from yolo.models import weights
from yolo.models.build import DarknetModel
from yolo.models.folding import fold
from yolo.models.model_folder import ModelInfo


@functools.cache
def network() -> DarknetModel:
    """The network of the other tests of examples, for grey images."""
    colour = random_networks.randomized('yolov2-tiny')
    one = DarknetModel(dataclasses.replace(colour.network, channels=1), seen=77)
    weights.copy(colour, one)
    return one


def images_of(number: int) -> np.ndarray:
    """Images (number, *SIZE, 1) uint8."""
    return np.stack([grey.to_channels(each, 1) for each in random_networks.images(SIZE, number)])


def export(folder, kind: str, output: str) -> str:
    """Exports the network; returns the path of the file."""
    options = draft.Options(output, SIZE, 1, LIMITS.score, LIMITS.suppression_iou, LIMITS.max_detections)
    shown = calibration.Calibration(images_of(16)) if kind == exported.TFLITE_INT8 else None
    exporting.export(fold(network()), ModelInfo(CLASSES, 'stretch'), {kind: options}, str(folder), None, shown)
    return str(folder / exported.FILES[kind])


def expected(photo: str, resize: str) -> PhotoDetections:
    """What the network itself finds in a photo."""
    computed = Backend(lambda batch: {'raw': network()(batch).numpy()}, 'tensorflow')
    return Detector(computed, CLASSES, random_networks.ANCHORS, SIZE, resize, limits=LIMITS, channels=1)(photo)
