"""A trained network as an ONNX file, written section by section; what follows the last convolution is in onnx_decode.

Its opset, 13, is the lowest that has all that is needed, so that most runtimes read it: onnxruntime, OpenVINO, OpenCV 4
and 5 among them.
"""

import dataclasses
import json

import numpy as np
import onnx
from onnx import TensorProto, helper

from yolo.detection import exported
from yolo.detection.exported import Exported, Tensor
from yolo.export import onnx_decode
from yolo.export.onnx_graph import Graph
from yolo.geometry.letterbox import COLOUR
from yolo.models.folding import FoldedNetwork, Weights
from yolo.models.spec import (
    LEAKY_SLOPE,
    Convolution,
    MaxPool,
    Network,
    Region,
    Reorg,
    Route,
    Section,
    num_weights,
    shapes,
)

OPSET, IR_VERSION = 13, 7
MOST_BYTES = (1 << 31) - (16 << 20)  # of protobuf's 2 GB, some are left for all but the weights
BATCH = 'batch'  # the name of a number of images that is not fixed
_ACTIVATIONS = {'leaky': ('LeakyRelu', {'alpha': LEAKY_SLOPE}), 'relu': ('Relu', {}), 'logistic': ('Sigmoid', {})}


def build(folded: FoldedNetwork, about: Exported) -> tuple[bytes, Exported]:
    """The bytes of an ONNX file, and its description with inputs and outputs; the same input gives the same bytes.

    folded: the network for images of the size to export; about: what it is to give, for how many images. ValueError
    for a section that no detector has, and for weights over protobuf's 2 GB.
    """
    _check_length(folded.network)
    graph = Graph()
    grid = _write_sections(graph, folded)
    rows, columns, _ = shapes(folded.network)[-1]
    outputs = onnx_decode.write(graph, grid, (rows, columns), about)
    height, width = about.image_size
    colours = 'red, green, blue' if about.channels == COLOUR else 'grey'
    meaning = f'image, channel ({colours}), row, column; 0..1: value / 255'
    inputs = (Tensor('image', (about.batch_size, about.channels, height, width), 'float32', meaning),)
    about = dataclasses.replace(about, inputs=inputs, outputs=outputs)
    model = _make_model(graph, about)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True), about


def _check_length(network: Network) -> None:
    length = 4 * sum(num_weights(network))
    if length > MOST_BYTES:
        raise ValueError(
            f'its weights have {length / 1e9:.1f} GB: an ONNX file holds at most {MOST_BYTES / 1e9:.1f} GB; '
            'export a SavedModel'
        )


def _make_model(graph: Graph, about: Exported) -> onnx.ModelProto:
    """The whole model, with its description in the metadata, and the names of the classes as some tools read them."""
    written = helper.make_graph(
        graph.nodes, 'yolov2', _values(about.inputs), _values(about.outputs), initializer=graph.constants
    )
    model = helper.make_model(
        written,
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid('', OPSET)],
        producer_name='yolov2-tensorflow',
        producer_version=about.version,
    )
    names = str(dict(enumerate(about.classes)))
    helper.set_model_props(model, {exported.METADATA: json.dumps(dataclasses.asdict(about)), 'names': names})
    return model


def _values(tensors: tuple[Tensor, ...]) -> list[onnx.ValueInfoProto]:
    """Inputs or outputs; sides of any length get a name: that of the batch, or of the number of detections."""
    types = {'float32': TensorProto.FLOAT, 'int64': TensorProto.INT64}
    values = []
    for tensor in tensors:
        unknown = 'detections' if len(tensor.shape) < 2 or tensor.shape[1:] == (4,) else BATCH
        shape = [unknown if side is None else side for side in tensor.shape]
        values.append(helper.make_tensor_value_info(tensor.name, types[tensor.dtype], shape))
    return values


def _write_sections(graph: Graph, folded: FoldedNetwork) -> str:
    """Writes all sections before the head; returns the name of what it decodes, (B, A (5 + C), GH, GW)."""
    network = folded.network
    network.region  # noqa: B018 - refuses a network that is no detector
    sizes = [network.input_shape, *shapes(network)]
    value = 'image'
    outputs: list[str] = []
    for index, section in enumerate(network.sections):
        value = _write_section(graph, section, index, value, outputs, sizes[index], folded.weights.get(index))
        outputs.append(value)
    return value


def _write_section(graph: Graph, section: Section, index: int, x: str, outputs: list[str], shape, weights) -> str:
    """Writes a section; returns the name of its output. x: its input, of height, width, channels `shape`."""
    match section:
        case Convolution():
            return _write_convolution(graph, section, index, x, weights)
        case MaxPool():
            return _write_pool(graph, section, index, x, shape)
        case Route(layers):
            sources = [outputs[index + layer] for layer in layers]
            return graph.node('Concat', sources, f'route_{index}', axis=1) if len(sources) > 1 else sources[0]
        case Reorg(stride):
            return _write_reorg(graph, stride, index, x, shape)
        case Region():
            return x
    raise ValueError(f'section {index}, {type(section).__name__}: no detector has it, so it is not exported')


def _write_convolution(graph: Graph, section: Convolution, index: int, x: str, weights: Weights) -> str:
    values = weights.kernel.transpose(3, 2, 0, 1)  # filters, channels, height, width
    size, stride, padding = section.size, section.stride, section.padding
    if size == 1 and stride > 1 and padding:  # OpenVINO 2026.4 computes these wrongly: the same as 3 x 3, of zeros
        values, size, padding = np.pad(values, [(0, 0), (0, 0), (1, 1), (1, 1)]), 3, padding + 1
    kernel, bias = graph.floats(f'kernel_{index}', values), graph.floats(f'bias_{index}', weights.bias)
    sides = {'kernel_shape': [size] * 2, 'strides': [stride] * 2, 'pads': [padding] * 4}
    x = graph.node('Conv', [x, kernel, bias], f'conv_{index}', **sides)
    if section.activation == 'linear':
        return x
    kind, attributes = _ACTIVATIONS[section.activation]
    return graph.node(kind, [x], f'{section.activation}_{index}', **attributes)


def _write_pool(graph: Graph, section: MaxPool, index: int, x: str, shape: tuple[int, int, int]) -> str:
    """Max pooling; of Darknet's padding what no window reaches is left out, which some runtimes compute slower."""
    size, stride, before = section.size, section.stride, section.padding // 2
    after = [
        max(0, (length + section.padding - size) // stride * stride + size - length - before) for length in shape[:2]
    ]
    pads = [before, before, *after]
    if max(pads) >= size:  # whole windows of padding, which ONNX's pooling does not have
        sides = graph.integers(f'pad_{index}_sides', [0, 0, *pads[:2], 0, 0, *pads[2:]])
        lowest = graph.floats(f'pad_{index}_value', np.finfo(np.float32).min)
        x, pads = graph.node('Pad', [x, sides, lowest], f'pad_{index}'), [0] * 4
    return graph.node('MaxPool', [x], f'pool_{index}', kernel_shape=[size] * 2, strides=[stride] * 2, pads=pads)


def _write_reorg(graph: Graph, s: int, index: int, x: str, shape: tuple[int, int, int]) -> str:
    """Darknet's order of channels, which is not that of SpaceToDepth: see `layers.ReorgLayer`."""
    height, width, channels = shape
    parts = graph.reshape(x, (-1, channels // s**2, height, s, width, s), f'reorg_{index}_parts')
    parts = graph.node('Transpose', [parts], f'reorg_{index}_order', perm=[0, 3, 5, 1, 2, 4])
    return graph.reshape(parts, (-1, channels * s**2, height // s, width // s), f'reorg_{index}')
