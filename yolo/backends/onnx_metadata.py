"""The description inside of an ONNX file: its metadata, read without the package onnx and without the graph.

(ONNX onnx/onnx.proto: ModelProto.metadata_props)
"""

import dataclasses

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory, text_format

from yolo import storage
from yolo.detection import exported
from yolo.detection.exported import Exported

_MESSAGES = """
  name: 'metadata.proto' package: 'onnx' syntax: 'proto3'
  message_type {
    name: 'Entry'
    field { name: 'key' number: 1 type: TYPE_STRING }
    field { name: 'value' number: 2 type: TYPE_STRING }
  }
  message_type {
    name: 'Model'
    field { name: 'metadata_props' number: 14 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: 'Entry' }
  }
"""
# What a file and the description beside it must agree in; the rest of the latter may be edited.
FIXED = ('format', 'anchors', 'image_size', 'output', 'batch_size')
INSIDE = ('score_threshold', 'nms_iou', 'max_detections', 'nms_scope')  # and these, where they are in the graph


def _make_model():
    pool = descriptor_pool.DescriptorPool()  # of its own: the package onnx registers its names in the common one
    pool.Add(text_format.Parse(_MESSAGES, descriptor_pb2.FileDescriptorProto()))
    return message_factory.GetMessageClass(pool.FindMessageTypeByName('onnx.Model'))


_Model = _make_model()


def describe(path: str, data: bytes) -> Exported:
    """The description of the ONNX file of a path and its bytes: of the .json beside it, else of its metadata.

    ValueError if there is neither, one is damaged, or they are of different models.
    """
    text = read(path, data).get(exported.METADATA)
    inside = exported.parse(text, f'{path}, metadata') if text is not None else None
    if not storage.exists(exported.path_of(path)):
        if inside is None:
            raise ValueError(
                f'{path}: not written by `yolo export`: it has no description in its metadata, and there is no '
                f'{exported.path_of(path)}'
            )
        return inside
    beside = exported.read(path)
    if inside is not None:
        _check_same(path, inside, beside)
    return beside


def read(path: str, data: bytes) -> dict[str, str]:
    """The metadata of an ONNX file; ValueError if its bytes are damaged."""
    try:
        model = _Model.FromString(data)
    except message.DecodeError as error:
        raise ValueError(f'{path}: damaged, or no ONNX file ({error})') from error
    return {entry.key: entry.value for entry in model.metadata_props}


def _check_same(path: str, inside: Exported, beside: Exported) -> None:
    """ValueError if the description beside a file is that of another one."""
    names = FIXED + (INSIDE if inside.output == exported.DETECTIONS else ())
    a, b = dataclasses.asdict(inside), dataclasses.asdict(beside)
    different = [name for name in names if a[name] != b[name]]
    if len(inside.classes) != len(beside.classes):
        different.append('the number of classes')
    if different:
        raise ValueError(
            f'{exported.path_of(path)} describes another model than {path} (they differ in {", ".join(different)}); '
            'copy both files of one export'
        )
