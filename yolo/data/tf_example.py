"""tf.train.Example as messages of protobuf: our own, since TensorFlow would take seconds to start in each worker.

(TensorFlow tensorflow/core/example/example.proto and feature.proto)
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.message import DecodeError

_MESSAGES = """
  name: 'example.proto' package: 'tensorflow' syntax: 'proto3'
  message_type {
    name: 'BytesList'
    field { name: 'value' number: 1 label: LABEL_REPEATED type: TYPE_BYTES }
  }
  message_type {
    name: 'FloatList'
    field { name: 'value' number: 1 label: LABEL_REPEATED type: TYPE_FLOAT }
  }
  message_type {
    name: 'Int64List'
    field { name: 'value' number: 1 label: LABEL_REPEATED type: TYPE_INT64 }
  }
  message_type {
    name: 'Feature'
    oneof_decl { name: 'kind' }
    field { name: 'bytes_list' number: 1 type: TYPE_MESSAGE type_name: 'BytesList' oneof_index: 0 }
    field { name: 'float_list' number: 2 type: TYPE_MESSAGE type_name: 'FloatList' oneof_index: 0 }
    field { name: 'int64_list' number: 3 type: TYPE_MESSAGE type_name: 'Int64List' oneof_index: 0 }
  }
  message_type {
    name: 'Features'
    field { name: 'feature' number: 1 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: 'Features.FeatureEntry' }
    nested_type {
      name: 'FeatureEntry'
      field { name: 'key' number: 1 type: TYPE_STRING }
      field { name: 'value' number: 2 type: TYPE_MESSAGE type_name: 'Feature' }
      options { map_entry: true }
    }
  }
  message_type {
    name: 'Example'
    field { name: 'features' number: 1 type: TYPE_MESSAGE type_name: 'Features' }
  }
"""


def _make_example():
    pool = descriptor_pool.DescriptorPool()  # of its own: TensorFlow registers the same names in the common one
    pool.Add(text_format.Parse(_MESSAGES, descriptor_pb2.FileDescriptorProto()))
    return message_factory.GetMessageClass(pool.FindMessageTypeByName('tensorflow.Example'))


Example = _make_example()
Features = type(Example().features)


def parse(serialized: bytes, ints: str, floats: str) -> tuple[list[int], list[float]]:
    """The integers of one feature and the numbers of another; ValueError if the features are not understood."""
    try:
        features = Features.FromString(serialized).feature
    except DecodeError as error:
        raise ValueError(f'not features of a tf.train.Example: {error}') from error
    return list(features[ints].int64_list.value), list(features[floats].float_list.value)
