"""The description inside of an ONNX file: its metadata, read without the package onnx and without the graph.

(ONNX onnx/onnx.proto: ModelProto.metadata_props)
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory, text_format

from yolo.backends import inside_of_model
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


def _make_model():
    pool = descriptor_pool.DescriptorPool()  # of its own: the package onnx registers its names in the common one
    pool.Add(text_format.Parse(_MESSAGES, descriptor_pb2.FileDescriptorProto()))
    return message_factory.GetMessageClass(pool.FindMessageTypeByName('onnx.Model'))


_Model = _make_model()


def describe(path: str, data: bytes) -> Exported:
    """The description of the ONNX file of a path and its bytes: of the .json beside it, else of its metadata.

    ValueError if there is neither, one is damaged, or they are of different models.
    """
    return inside_of_model.describe(path, read(path, data).get(exported.METADATA), f'{path}, metadata')


def read(path: str, data: bytes) -> dict[str, str]:
    """The metadata of an ONNX file; ValueError if its bytes are damaged."""
    try:
        model = _Model.FromString(data)
    except message.DecodeError as error:
        raise ValueError(f'{path}: damaged, or no ONNX file ({error})') from error
    return {entry.key: entry.value for entry in model.metadata_props}
