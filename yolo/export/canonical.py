"""The bytes of a SavedModel without what differs from process to process, so that equal models are equal files.

TensorFlow numbers functions over all that a process has traced, and writes them and all maps in the order of its hash
tables.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator

from tensorflow.core.framework import attr_value_pb2, function_pb2, node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from yolo import storage

MODEL, FINGERPRINT = 'saved_model.pb', 'fingerprint.pb'
ARGUMENT = '_user_specified_name'


def rewrite(path: str) -> None:
    """Rewrites saved_model.pb of a SavedModel; removes fingerprint.pb, whose number is random and which no one needs.

    RuntimeError if a function would have no name or one of two.
    """
    file = posixpath.join(path, MODEL)
    model = saved_model_pb2.SavedModel.FromString(storage.read(file))
    for graph in model.meta_graphs:
        _rename(graph)
    storage.write(file, model.SerializeToString(deterministic=True))
    if storage.exists(posixpath.join(path, FINGERPRINT)):
        storage.remove(posixpath.join(path, FINGERPRINT))


def _rename(graph: meta_graph_pb2.MetaGraphDef) -> None:
    """Numbers the functions of a graph from 0, in the order in which they were traced, and sorts them."""
    library = graph.graph_def.library
    functions = sorted(library.function, key=lambda function: _number(function.signature.name))
    new_names = {
        function.signature.name: f'{re.sub("_[0-9]+$", "", function.signature.name)}_{i}'
        for i, function in enumerate(functions)
    }
    for function in functions:
        function.signature.name = new_names[function.signature.name]
        _rename_calls(function.node_def, new_names)
        _rename_arguments(function, new_names)
    _rename_calls(graph.graph_def.node, new_names)
    copies = [type(function).FromString(function.SerializeToString()) for function in functions]
    del library.function[:]
    library.function.extend(copies)
    _rename_objects(graph, new_names)


def _number(name: str) -> int:
    number = re.search('_([0-9]+)$', name)
    if number is None:
        raise RuntimeError(f'TensorFlow has written a function {name} without a number')
    return int(number[1])


def _rename_arguments(function: function_pb2.FunctionDef, new_names: dict[str, str]) -> None:
    """Renames arguments that are named after another function, and forgets those names that are mere numbers."""
    for argument in function.signature.input_arg:
        for old, new in new_names.items():
            if f'_{old}_' in argument.name:  # one that a loop's condition takes, but does not use
                argument.name = argument.name.replace(f'_{old}_', f'_{new}_')
    for attributes in function.arg_attr.values():
        if attributes.attr[ARGUMENT].s.isdigit():
            del attributes.attr[ARGUMENT]


def _rename_calls(nodes: Iterable[node_def_pb2.NodeDef], new_names: dict[str, str]) -> None:
    for node in nodes:
        for value in node.attr.values():
            for called in _functions_in(value):
                called.name = new_names[called.name]


def _functions_in(value: attr_value_pb2.AttrValue) -> Iterator[attr_value_pb2.NameAttrList]:
    if value.HasField('func'):
        yield value.func
    yield from value.list.func


def _rename_objects(graph: meta_graph_pb2.MetaGraphDef, new_names: dict[str, str]) -> None:
    objects = graph.object_graph_def
    concrete = {new_names[name]: function for name, function in objects.concrete_functions.items()}
    copies = {name: type(function).FromString(function.SerializeToString()) for name, function in concrete.items()}
    objects.concrete_functions.clear()
    for name, function in copies.items():
        objects.concrete_functions[name].CopyFrom(function)
    for node in objects.nodes:
        if node.HasField('function'):
            node.function.concrete_functions[:] = [new_names[name] for name in node.function.concrete_functions]
        if node.HasField('bare_concrete_function'):
            function = node.bare_concrete_function
            function.concrete_function_name = new_names[function.concrete_function_name]
