"""ONNX files in OpenVINO, on the CPU."""

import threading

import numpy as np
import openvino

from yolo.backends import onnx_values
from yolo.detection.detector import Backend
from yolo.detection.exported import Exported

# All cores for one batch at a time; in float32, since on newer processors the default is bfloat16.
CONFIG = {'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_PRECISION_HINT': 'f32'}


def load(data: bytes, about: Exported) -> Backend:
    """The backend of the bytes of an ONNX file; ValueError if they are damaged or not what the description says."""
    onnx_values.output_names(about)
    try:
        core = openvino.Core()
        lock = threading.Lock()  # one batch at a time, by all cores
        compiled = core.compile_model(core.read_model(data), 'CPU', CONFIG)

        def compute(images: np.ndarray) -> dict[str, np.ndarray]:
            with lock:
                outputs = compiled({'image': images}, share_inputs=True)
            return {name: value for port, value in outputs.items() for name in port.names}

        run = onnx_values.make_run(compute, about)
    except RuntimeError as error:
        raise ValueError(onnx_values.one_line('OpenVINO', error)) from error
    return Backend(run, 'openvino', about.batch_size)
