"""An ONNX graph in hand: its nodes, and the values of its constants as arrays."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

_MOST_FOLDED: Final = 1 << 24
"""Elements of a result up to which it is worth computing before the network runs."""
_MOST_SHAPING: Final = 1 << 10
"""Elements of a constant up to which it may be what decides a shape."""

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Signature:
    """Type and shape of a tensor; unknown lengths are 0."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Graph:
    """A graph of fixed shapes. Nodes are never changed in place: whoever wants another copies it."""

    head: onnx.ModelProto
    """Versions, inputs and outputs."""
    nodes: Sequence[onnx.NodeProto]
    values: Mapping[str, Array]
    """The constants, by name."""

    @classmethod
    def of(cls, model: onnx.ModelProto) -> Self:
        """What the model holds; `Constant` nodes become values."""
        head = onnx.ModelProto(ir_version=model.ir_version, producer_name=model.producer_name)
        head.opset_import.extend(model.opset_import)
        head.graph.name = model.graph.name
        head.graph.input.extend(model.graph.input)
        head.graph.output.extend(model.graph.output)
        values = {weight.name: onnx.numpy_helper.to_array(weight) for weight in model.graph.initializer}
        nodes = []
        for node in model.graph.node:
            if node.op_type == "Constant":
                values[node.output[0]] = np.asarray(ReferenceEvaluator(node).run(None, {})[0])
            else:
                nodes.append(node)
        return cls(head, nodes, values)

    @classmethod
    def read(cls, path: Path) -> Self:
        """A graph file, with the weights beside it where they are in a file of their own; folded."""
        return cls.of(onnx.load(str(path))).folded()

    def model(self) -> onnx.ModelProto:
        """The graph as ONNX has it."""
        model = self._light(math.inf)
        for index, node in enumerate(model.graph.node):
            node.name = node.name or f"{node.op_type}_{index}"
        return model

    @property
    def inputs(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the inputs, by name."""
        return _shapes(self.head.graph.input)

    @property
    def outputs(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the outputs, by name."""
        return _shapes(self.head.graph.output)

    def signatures(self) -> dict[str, Signature]:
        """What shape inference knows of every tensor, by name."""
        known = {name: Signature(array.dtype, array.shape) for name, array in self.values.items()}
        inferred = onnx.shape_inference.infer_shapes(self._light(_MOST_SHAPING), data_prop=True).graph
        for value in (*inferred.input, *inferred.value_info, *inferred.output):
            tensor = value.type.tensor_type
            if tensor.HasField("shape"):
                dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
                known[value.name] = Signature(dtype, tuple(dim.dim_value for dim in tensor.shape.dim))
        return known

    def _light(self, most: float) -> onnx.ModelProto:
        """The model with constants of more than `most` elements as inputs: quick to copy."""
        model = onnx.ModelProto()
        model.CopyFrom(self.head)
        model.graph.node.extend(self.nodes)
        for name, value in self.values.items():
            if value.size <= most:
                model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value, order="C"), name))
            else:
                kind = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
                model.graph.input.append(onnx.helper.make_tensor_value_info(name, kind, value.shape))
        return model

    def rebuilt(self, nodes: Sequence[onnx.NodeProto], values: Mapping[str, Array]) -> Self:
        """The graph with those of `nodes` that an output needs, in this order, and those of `values` they use."""
        needed = set(self.outputs)
        kept: list[onnx.NodeProto] = []
        for node in reversed(nodes):
            if needed & set(node.output):
                kept.append(node)
                needed |= set(node.input)
        used = {name: value for name, value in values.items() if name in needed}
        return type(self)(self.head, kept[::-1], used)

    def folded(self) -> Self:
        """All that follows from constants and from shapes as a constant, and unused nodes gone.

        Shapes that are known only once others have been folded are folded in another round.
        """
        graph = self
        while True:
            smaller = graph._folded_once()
            if len(smaller.nodes) == len(graph.nodes):
                return smaller
            graph = smaller

    def _folded_once(self) -> Self:
        known, values = self.signatures(), dict(self.values)
        versions = {entry.domain: entry.version for entry in self.head.opset_import}
        kept = []
        for node in self.nodes:
            if node.op_type == "Shape" and node.input[0] in known and all(known[node.input[0]].shape):
                values[node.output[0]] = np.array(known[node.input[0]].shape, np.int64)
                continue
            sizes = [math.prod(known[name].shape) if name in known else 0 for name in node.output]
            if all(name in values for name in node.input if name) and max(sizes) <= _MOST_FOLDED:
                feeds = {name: values[name] for name in node.input if name}
                results = ReferenceEvaluator(node, opsets=versions).run(None, feeds)
                values |= {name: np.asarray(result) for name, result in zip(node.output, results, strict=True)}
                continue
            kept.append(node)
        return self.rebuilt(kept, values)


def copy_of(node: onnx.NodeProto) -> onnx.NodeProto:
    """A node to change."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    return copy


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """Value of a node's attribute, or `default` where it is not set."""
    found = next((attribute for attribute in node.attribute if attribute.name == name), None)
    return default if found is None else onnx.helper.get_attribute_value(found)


def _shapes(values: Sequence[onnx.ValueInfoProto]) -> dict[str, tuple[int, ...]]:
    return {value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim) for value in values}
