"""Darknet's .cfg and .weights by OpenCV's own reader of them, which shares no code with ours but the checks."""

import dataclasses
import threading

import cv2
import numpy as np

from yolo import storage
from yolo.backends import onnx_values
from yolo.backends.model import Model, Size
from yolo.detection.detector import Backend
from yolo.models import cfg
from yolo.models import weights as weights_file
from yolo.models.spec import Network, shapes


def load(path: str, weights: str) -> Model:
    """The model of a .cfg and its .weights; ValueError if they are damaged, or it is no detector."""
    network = cfg.read(path)
    region = network.region
    weights_file.check_whole(network, weights)
    data = storage.read(weights)

    def backend_at(size: Size) -> Backend:
        return _backend(dataclasses.replace(network, image_size=size), data)

    sizes = network.image_size, network.channels
    ends = network.box_convention, network.convention_doubt
    return Model(backend_at, (), region.classes, region.anchors, *sizes, 'stretch', weights, None, (), *ends)


def _backend(network: Network, weights: bytes) -> Backend:
    """The backend of a network for images of its size: raw, as it comes before the region layer."""
    rows, columns, _ = shapes(network)[-1]
    anchors = len(network.region.anchors)
    try:
        net = cv2.dnn.readNetFromDarknet(_array(cfg.write(network).encode()), _array(weights))
    except cv2.error as error:
        raise ValueError(onnx_values.one_line('OpenCV', error)) from error
    last = [name for name in net.getLayerNames() if name.startswith('permute')][-1]  # OpenCV's name: channels last

    lock = threading.Lock()  # one batch at a time, by all cores

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        planes = onnx_values.to_planes(images)
        with lock:
            net.setInput(planes)
            return {'raw': net.forward(last).reshape(len(images), rows, columns, anchors, -1)}

    return Backend(run, 'opencv')


def _array(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8)
