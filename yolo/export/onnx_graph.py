"""A graph of ONNX while it is written: its nodes in order, and its constants."""

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper


class Graph:
    """Nodes and constants; every value has a name, which no other has."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def node(self, kind: str, inputs: list[str], name: str, **attributes) -> str:
        """Adds a node with one output, which has the node's name; returns it."""
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def rename(self, value: str, name: str) -> None:
        """Gives the output of a node another name, wherever it is used."""
        for node in self.nodes:
            for values in (node.input, node.output):
                values[:] = [name if each == value else each for each in values]

    def constant(self, name: str, value, dtype: type) -> str:
        """Adds a constant; returns its name."""
        self.constants.append(numpy_helper.from_array(np.array(value, dtype, order='C'), name))
        return name

    def floats(self, name: str, value) -> str:
        """Adds a constant of float32."""
        return self.constant(name, value, np.float32)

    def integers(self, name: str, value) -> str:
        """Adds a constant of int64, such as a shape."""
        return self.constant(name, value, np.int64)

    def reshape(self, value: str, shape: tuple[int, ...], name: str) -> str:
        """Adds a change of shape; -1 stands for the number of images."""
        return self.node('Reshape', [value, self.integers(f'{name}_shape', shape)], name)

    def slice(self, value: str, start: int, end: int, axis: int, name: str) -> str:
        """Adds a part of a value: from start to before end on one axis."""
        limits = [
            self.integers(f'{name}_{what}', [number])
            for what, number in (('start', start), ('end', end), ('axis', axis))
        ]
        return self.node('Slice', [value, *limits], name)
