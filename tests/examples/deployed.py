"""A small network in files of every kind, photos, and what its detector finds in them: for the tests of examples/."""

import dataclasses
import functools
import pathlib
import runpy
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import random_networks
from conftest import ROOT, turned_photo

from preprocess.demo import shapes
from yolo.data import images
from yolo.detection import exported, host
from yolo.detection.detector import Backend, Detector, PhotoDetections
from yolo.export import calibration, draft, exporting
from yolo.models.build import DarknetModel
from yolo.models.folding import fold
from yolo.models.model_folder import ModelInfo

CLASSES = ('bright', 'dark', 'grün')
SIZE = (160, 192)  # height, width
LIMITS = host.Thresholds(0.2, 0.3, 40)
Found = Sequence[tuple[str, float, Sequence[float]]]  # label, score, box in pixels of the photo


@functools.cache
def network() -> DarknetModel:
    """The network, with its batch norms."""
    return random_networks.randomized('yolov2-tiny')


def export(folder: pathlib.Path, kind: str, output: str, limits: host.Thresholds = LIMITS, batch_size: int = 1) -> str:
    """Exports the network; returns the path of the file, whose description says that photos are stretched."""
    options = draft.Options(
        output, SIZE, batch_size, limits.score, limits.suppression_iou, limits.max_detections, limits.nms_scope
    )
    shown = calibration.Calibration(random_networks.images(SIZE, 16)) if kind == exported.TFLITE_INT8 else None
    exporting.export(fold(network()), ModelInfo(CLASSES, 'stretch'), {kind: options}, str(folder), None, shown)
    return str(folder / exported.FILES[kind])


def describe_again(path: str, **changes) -> None:
    """Changes the description beside an exported file."""
    exported.write(path, dataclasses.replace(exported.read(path), **changes))


def detector(resize: str, limits: host.Thresholds = LIMITS) -> Detector:
    """The detector that has the network itself, in TensorFlow."""
    computed = Backend(lambda batch: {'raw': network()(batch).numpy()}, 'tensorflow')
    return Detector(computed, CLASSES, random_networks.ANCHORS, SIZE, resize, limits=limits)


@functools.cache
def expected(photo: str, resize: str, limits: host.Thresholds = LIMITS) -> PhotoDetections:
    """What the network itself finds in a photo."""
    return detector(resize, limits)(photo)


def draw_photos(folder: pathlib.Path) -> list[str]:
    """Four drawn pictures of different sizes: PNG, JPEG, and two that are turned by EXIF; and noise."""
    pictures = [shapes.draw_image(1, 1, i)[0] for i in range(4)]
    tall = cv2.resize(random_networks.images(SIZE, 1)[0], (90, 333))
    files = {
        'wide.png': images.encode_png(pictures[0][:180]),
        'tall.png': images.encode_png(tall),
        'usual.jpg': turned_photo(pictures[1], 1),
        'on_its_side.jpg': turned_photo(pictures[2], 6),
        'mirrored.jpg': turned_photo(pictures[3], 5),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [str(folder / name) for name in files]


def load_example(name: str) -> Callable[[str, str], Found]:
    """The function `detect` of a file in examples/."""
    return runpy.run_path(str(ROOT / 'examples' / f'{name}.py'))['detect']


def assert_same(found: Found, expected: PhotoDetections, pixels: float = 0.5, score: float = 1e-3) -> None:
    """The same labels, boxes within so many pixels and scores within `score`, in the order of their scores."""
    assert len(found) == len(expected)
    scores = [each[1] for each in found]
    assert scores == sorted(scores, reverse=True)
    left = list(found)
    for label, best, box in zip(expected.labels, expected.scores, expected.boxes, strict=True):
        same = [
            each
            for each in left
            if each[0] == label and abs(each[1] - best) <= score and np.abs(np.subtract(each[2], box)).max() <= pixels
        ]
        assert same, f'{label} {best} {box} is not among {left}'
        left.remove(same[0])
