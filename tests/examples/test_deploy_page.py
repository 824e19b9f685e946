"""What docs/deploy.md says of inputs and outputs, and of descriptions, is what the exported files have."""

import dataclasses
import re

import numpy as np
import pytest
import random_networks
from conftest import ROOT
from deployed import CLASSES, LIMITS, SIZE, export

from yolo.detection import exported
from yolo.detection.exported import Exported, Tensor

PAGE = (ROOT / 'docs' / 'deploy.md').read_text()
BATCH = 2
ANCHORS = len(random_networks.ANCHORS)
ROWS, COLUMNS = SIZE[0] // 32, SIZE[1] // 32
SYMBOLS: dict[str, int | None] = {
    'any': None,
    'B': BATCH,
    'H': SIZE[0],
    'W': SIZE[1],
    'GH': ROWS,
    'GW': COLUMNS,
    'A': ANCHORS,
    'N': ROWS * COLUMNS * ANCHORS,
    'C': len(CLASSES),
    '5 + C': 5 + len(CLASSES),
    'A (5 + C)': ANCHORS * (5 + len(CLASSES)),
    'D': LIMITS.max_detections,
}
Tensors = dict[str, tuple[tuple[int | None, ...], str]]  # shape and type by name


def read_rows(heading: str) -> list[list[str]]:
    """The cells of the rows of the first table under a heading of the page."""
    section = PAGE.split(f'\n## {heading}\n')[1].split('\n## ')[0]
    lines = [line for line in section.splitlines() if line.startswith('| ') and not line.startswith('| ---')]
    return [[cell.strip() for cell in line.strip('|').split('|')] for line in lines[1:]]


def tensors_of_the_page(kind: str, output: str, direction: str) -> Tensors:
    tensors = {}
    for kinds, when, is_in, name, shape, dtype, _ in read_rows('Inputs and outputs'):
        if kind in kinds.split(', ') and when in ('all', output) and is_in == direction:
            sides = tuple(int(side) if side.isdigit() else SYMBOLS[side] for side in shape.split(', '))
            tensors[name.strip('`')] = sides, dtype
    return tensors


def of_description(tensors: tuple[Tensor, ...]) -> Tensors:
    return {tensor.name: (tensor.shape, tensor.dtype) for tensor in tensors}


def read_onnx(path: str) -> tuple[Tensors, Tensors]:
    runtime = pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')
    session = runtime.InferenceSession(path, providers=['CPUExecutionProvider'])

    def tensors(values) -> Tensors:
        types = {'tensor(float)': 'float32', 'tensor(int64)': 'int64'}
        return {
            value.name: (tuple(side if isinstance(side, int) else None for side in value.shape), types[value.type])
            for value in values
        }

    return tensors(session.get_inputs()), tensors(session.get_outputs())


def read_tflite(path: str) -> tuple[Tensors, Tensors]:
    interpreters = pytest.importorskip('ai_edge_litert.interpreter', reason='ai-edge-litert is not installed')
    runner = interpreters.Interpreter(path).get_signature_runner()

    def tensors(details) -> Tensors:
        return {name: (tuple(each['shape'].tolist()), np.dtype(each['dtype']).name) for name, each in details.items()}

    return tensors(runner.get_input_details()), tensors(runner.get_output_details())


def read_saved_model(path: str) -> tuple[Tensors, Tensors]:
    import tensorflow as tf

    def tensors(specs) -> Tensors:
        return {name: (tuple(value.shape), value.dtype.name) for name, value in specs.items()}

    inputs, outputs = {}, {}
    for name, signature in tf.saved_model.load(path).signatures.items():
        if name == 'network_images':  # the page has a sentence on it
            continue
        inputs.update(signature.structured_input_signature[1])
        outputs[name] = tensors(signature.structured_outputs)
    for each in outputs.values():  # the others may know less of their shapes
        assert {name: dtype for name, (_, dtype) in each.items()} == {
            name: dtype for name, (_, dtype) in outputs['serving_default'].items()
        }
    return tensors(inputs), outputs['serving_default']


SLOW = pytest.mark.slow
READERS = {exported.ONNX: read_onnx, exported.SAVED_MODEL: read_saved_model}
CASES = [
    (exported.ONNX, 'raw'),
    (exported.ONNX, 'boxes'),
    (exported.ONNX, 'detections'),
    (exported.TFLITE, 'raw'),
    pytest.param(exported.TFLITE, 'boxes', marks=SLOW),
    pytest.param(exported.TFLITE_FP16, 'boxes', marks=SLOW),
    pytest.param(exported.TFLITE_INT8, 'raw', marks=SLOW),
    pytest.param(exported.TFLITE_INT8, 'boxes', marks=SLOW),
    pytest.param(exported.SAVED_MODEL, 'raw', marks=SLOW),
    pytest.param(exported.SAVED_MODEL, 'boxes', marks=SLOW),
    pytest.param(exported.SAVED_MODEL, 'detections', marks=SLOW),
]


@pytest.mark.parametrize(('kind', 'output'), CASES)
def test_the_table_of_inputs_and_outputs_is_that_of_the_files(kind, output, tmp_path):
    if kind == exported.ONNX:
        pytest.importorskip('onnx', reason='the extra [export] is not installed')
    expected = [tensors_of_the_page(kind, output, direction) for direction in ('in', 'out')]
    assert all(expected)
    path = export(tmp_path, kind, output, batch_size=BATCH)
    about = exported.read(path)
    assert [of_description(about.inputs), of_description(about.outputs)] == expected
    real = READERS.get(kind, read_tflite)(path)
    for tensors, table in zip(real, expected, strict=True):
        assert {name: dtype for name, (_, dtype) in tensors.items()} == {
            name: dtype for name, (_, dtype) in table.items()
        }
        for name, (shape, _) in tensors.items():
            assert len(shape) == len(table[name][0])
            assert all(side in (None, other) for side, other in zip(shape, table[name][0], strict=True))


def test_the_table_has_no_other_rows():
    for kinds, output, direction, *_ in read_rows('Inputs and outputs'):
        assert direction in ('in', 'out')
        for kind in kinds.split(', '):
            assert kind in exported.FORMATS
            cases = [case.values if hasattr(case, 'values') else case for case in CASES]
            assert output == 'all' or (kind, output) in cases or kind == exported.TFLITE_FP16


def test_the_fields_of_descriptions_are_those_of_the_page():
    text = '\n'.join(' | '.join(row) for row in read_rows('The description, FILE.json'))
    named = set(re.findall(r'`(\w+)`', '\n'.join(line.split(' | ')[0] for line in text.splitlines())))
    assert named == {field.name for field in dataclasses.fields(Exported)}
    for field in (*dataclasses.fields(Tensor), *dataclasses.fields(exported.Source)):
        assert f'`{field.name}`' in text, field.name
