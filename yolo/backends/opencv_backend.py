"""ONNX files in OpenCV's dnn, on the CPU."""

import threading

import cv2
import numpy as np

from yolo.backends import onnx_values
from yolo.detection import exported
from yolo.detection.detector import Backend
from yolo.detection.exported import Exported


def load(data: bytes, about: Exported) -> Backend:
    """The backend of the bytes of an ONNX file.

    ValueError if they are damaged or not what the description says, and for output detections: OpenCV has no
    NonMaxSuppression.
    """
    if about.output == exported.DETECTIONS:
        raise ValueError(
            'it has its suppression inside, which OpenCV does not read; export it with --output=boxes, or take the '
            'backend onnxruntime or openvino'
        )
    names = onnx_values.output_names(about)
    try:
        lock = threading.Lock()  # one batch at a time, by all cores
        network = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))

        def compute(images: np.ndarray) -> dict[str, np.ndarray]:
            with lock:
                network.setInput(images)
                return dict(zip(names, network.forward(names), strict=True))

        run = onnx_values.make_run(compute, about)
    except cv2.error as error:
        raise ValueError(onnx_values.one_line('OpenCV', error)) from error
    return Backend(run, 'opencv', about.batch_size)
