"""ONNX files in onnxruntime, on the CPU."""

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as errors

from yolo.backends import onnx_values
from yolo.cores import num_cores
from yolo.detection.detector import Backend
from yolo.detection.exported import Exported

UNREADABLE = (
    errors.Fail,
    errors.InvalidArgument,
    errors.InvalidGraph,
    errors.InvalidProtobuf,
    errors.NotImplemented,
    errors.RuntimeException,
)


def load(data: bytes, about: Exported) -> Backend:
    """The backend of the bytes of an ONNX file; ValueError if they are damaged or not what the description says."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_cores()  # its own choice also pins threads, to cores that others may be using
    options.log_severity_level = 4  # errors are raised; not printed as well
    names = onnx_values.output_names(about)
    try:
        session = onnxruntime.InferenceSession(data, options, providers=['CPUExecutionProvider'])

        def compute(images: np.ndarray) -> dict[str, np.ndarray]:
            return dict(zip(names, session.run(names, {'image': images}), strict=True))

        run = onnx_values.make_run(compute, about)
    except UNREADABLE as error:
        raise ValueError(onnx_values.one_line('onnxruntime', error)) from error
    return Backend(run, 'onnxruntime', about.batch_size)
