"""A folded network as a TFLite file: float32, float16 weights, or 8-bit integers throughout.

Tensors are looked up by the names of the file's one signature: `image`, and `raw`, or `boxes` and `scores`.
"""

import dataclasses
import tempfile
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

from yolo.detection import exported
from yolo.detection.exported import Exported, Tensor
from yolo.export import quantization, tflite_graph
from yolo.export.calibration import Calibration, check
from yolo.export.quiet import quiet
from yolo.geometry.letterbox import COLOUR
from yolo.models.folding import FoldedNetwork
from yolo.models.spec import num_weights

IMAGE = 'image'
MOST_BYTES = 1_900_000_000  # of weights: a file has at most 2 GB, of which TensorFlow's own takes a little more
DTYPES = {schema.TensorType.FLOAT32: 'float32', schema.TensorType.UINT8: 'uint8', schema.TensorType.INT8: 'int8'}
MEANINGS = {
    IMAGE: '{colours}, 0..1, rows from the top: image, row, column, channel',
    exported.RAW: 'image, row, column, anchor x (t_x, t_y, t_w, t_h, t_o, class logits)',
    exported.BOXES: 'image, place = (row x columns + column) x anchors + anchor, xmin, ymin, xmax, ymax relative 0..1',
    'scores': 'image, place as in boxes, class; objectness x class probability',
}
Function = Callable[[tf.Tensor], dict[str, tf.Tensor]]


def build(folded: FoldedNetwork, about: Exported, calibration: Calibration | None = None) -> tuple[bytes, Exported]:
    """The bytes of a TFLite file, and its description with inputs and outputs.

    folded: the network at the size of the export; about: its format, its output and its batch size say what is made;
    calibration: for int8. The same network gives the same bytes. ValueError for what TFLite cannot hold.
    """
    if 4 * sum(num_weights(folded.network)) > MOST_BYTES:
        raise ValueError(f'a TFLite file holds at most {MOST_BYTES:,} bytes of weights, and the network has more')
    input_type = 'float32'
    if about.format == exported.TFLITE_INT8:
        if calibration is None:
            raise ValueError(f'{about.format} needs images for its calibration')
        check(calibration, (*about.image_size, about.channels))
        function, input_type = _int8_function(folded, about.output, calibration), calibration.input_type
    else:
        function = _float_function(folded, about.output)
    data = _convert(function, about, input_type)
    return data, describe(data, about)


def _float_function(folded: FoldedNetwork, output: str) -> Function:
    def compute(image: tf.Tensor) -> dict[str, tf.Tensor]:
        raw = tflite_graph.forward(folded, image)
        return {exported.RAW: raw} if output == exported.RAW else tflite_graph.decode(raw, folded.network)

    return compute


def _int8_function(folded: FoldedNetwork, output: str, calibration: Calibration) -> Function:
    quantized = quantization.quantize(folded, calibration.images)

    def compute(image: tf.Tensor) -> dict[str, tf.Tensor]:
        raw = quantized.forward(image)
        return {exported.RAW: raw} if output == exported.RAW else tflite_graph.decode(raw, folded.network, exact=True)

    return compute


def _convert(function: Function, about: Exported, input_type: str) -> bytes:
    """Goes through a SavedModel: the converter has given NaN for concrete functions, without a word."""
    shape = (about.batch_size or 1, *about.image_size, about.channels)
    module = tf.Module()
    signature = [tf.TensorSpec(shape, tf.float32, IMAGE)]
    module.function = tf.function(function, input_signature=signature, autograph=False)
    with tempfile.TemporaryDirectory() as folder, quiet():
        tf.saved_model.save(module, folder, signatures=module.function)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if about.format != exported.TFLITE:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if about.format == exported.TFLITE_FP16:
            converter.target_spec.supported_types = [tf.float16]
        if about.format == exported.TFLITE_INT8:
            converter.inference_input_type = tf.as_dtype(input_type)
            converter.inference_output_type = tf.int8 if about.output == exported.RAW else tf.float32
        return converter.convert()


def describe(data: bytes, about: Exported) -> Exported:
    """A description with the inputs and outputs of a TFLite file, as they are in it."""
    model = schema.Model.GetRootAs(data, 0)
    signature, graph = model.SignatureDefs(0), model.Subgraphs(0)
    inputs = [signature.Inputs(i) for i in range(signature.InputsLength())]
    outputs = [signature.Outputs(i) for i in range(signature.OutputsLength())]
    order = {name: i for i, name in enumerate(MEANINGS)}
    read = [
        tuple(sorted((_tensor(graph, each) for each in group), key=lambda tensor: order[tensor.name]))
        for group in (inputs, outputs)
    ]
    return dataclasses.replace(about, inputs=read[0], outputs=read[1])


def _tensor(graph: schema.SubGraph, entry: schema.TensorMap) -> Tensor:
    name, tensor = entry.Name().decode(), graph.Tensors(entry.TensorIndex())
    shape = tuple(int(side) for side in tensor.ShapeAsNumpy())
    meaning = MEANINGS[name].replace('{colours}', 'RGB' if shape[-1] == COLOUR else 'grey')
    quantization = tensor.Quantization()
    if quantization is None or not quantization.ScaleLength():
        return Tensor(name, shape, DTYPES[tensor.Type()], meaning)
    scale = float(np.float32(quantization.Scale(0)))
    return Tensor(name, shape, DTYPES[tensor.Type()], meaning, scale, int(quantization.ZeroPoint(0)))
