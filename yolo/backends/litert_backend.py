"""TFLite files by LiteRT's interpreter, with XNNPACK. It loads no TensorFlow."""

import threading
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from yolo.cores import num_cores
from yolo.detection import exported
from yolo.detection.detector import Backend
from yolo.detection.exported import Exported


def load(data: bytes, about: Exported) -> Backend:
    """The backend of a TFLite file and its description: integers in and out become what they stand for.

    ValueError if the bytes are no TFLite file, or not the one of the description.
    """
    if not data:
        raise ValueError(f'{about.file} is empty; export the model again')
    try:
        interpreter = Interpreter(model_content=data, num_threads=num_cores())
        interpreter.allocate_tensors()
        runner = interpreter.get_signature_runner()
    except (ValueError, RuntimeError) as error:
        raise ValueError(f'{about.file} is damaged, or not a TFLite file ({error}); export the model again') from error
    inputs, outputs = runner.get_input_details(), runner.get_output_details()
    for found, expected in ((inputs, about.inputs), (outputs, about.outputs)):
        _check(found, expected, about)
    (image,) = inputs
    lock = threading.Lock()  # the interpreter has one set of tensors

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        with lock:
            results = runner(**{image: _quantize(images, inputs[image])})
        values = {name: _dequantize(value, outputs[name]) for name, value in results.items()}
        if exported.RAW in values:
            raw = values[exported.RAW]
            values[exported.RAW] = raw.reshape(*raw.shape[:3], len(about.anchors), 5 + len(about.classes))
        return values

    return Backend(run, 'litert', about.batch_size)


def _check(found: dict[str, Any], expected: tuple[exported.Tensor, ...], about: Exported) -> None:
    """ValueError if a file's tensors are not those of its description."""
    inside = {
        name: (tuple(map(int, tensor['shape'])), np.dtype(tensor['dtype']).name) for name, tensor in found.items()
    }
    described = {tensor.name: (tensor.shape, tensor.dtype) for tensor in expected}
    if inside != described:
        raise ValueError(
            f'{about.file} has {_words(inside)}, its description says {_words(described)}: it is of another file; '
            'export the model again, or copy both files'
        )


def _words(tensors: dict[str, tuple]) -> str:
    return ', '.join(f'{name} {list(shape)} {dtype}' for name, (shape, dtype) in sorted(tensors.items())) or 'nothing'


def _quantize(images: np.ndarray, tensor: dict[str, Any]) -> np.ndarray:
    """Images uint8 0..255 as the numbers of an input for values 0..1."""
    dtype, (scale, zero_point) = tensor['dtype'], tensor['quantization']
    if dtype == np.float32:
        return images.astype(np.float32) / 255
    limits = np.iinfo(dtype)
    numbers = np.round(np.arange(256) / (255 * scale)) + zero_point  # of every value of a pixel
    return np.clip(numbers, limits.min, limits.max).astype(dtype)[images]


def _dequantize(values: np.ndarray, tensor: dict[str, Any]) -> np.ndarray:
    if tensor['dtype'] == np.float32:
        return values
    scale, zero_point = tensor['quantization']
    return (values.astype(np.float32) - zero_point) * np.float32(scale)
