"""Reading an ONNX graph: what its tensors are, and which of them are constants."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

_MOST_FOLDED: Final = 1 << 24
"""Elements of a result up to which it is worth computing before the network runs."""

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Signature:
    """Type and shape of a tensor; unknown lengths are 0."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]


def signatures(model: onnx.ModelProto) -> dict[str, Signature]:
    """What shape inference knows of every tensor of the graph, by name."""
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    known = {name: Signature(array.dtype, array.shape) for name, array in constants(model).items()}
    for value in (*graph.input, *graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        if tensor.HasField("shape"):
            dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
            known[value.name] = Signature(dtype, tuple(dim.dim_value for dim in tensor.shape.dim))
    return known


def constants(model: onnx.ModelProto) -> dict[str, Array]:
    """Values of the initialisers and of the `Constant` nodes, by name."""
    values = {weight.name: onnx.numpy_helper.to_array(weight) for weight in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            values[node.output[0]] = ReferenceEvaluator(node).run(None, {})[0]
    return values


def fold(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which all that follows from constants and from fixed shapes is a constant, and unused nodes are gone.

    For graphs of fixed shapes: what asks for a shape is answered for good.
    """
    known, values = signatures(model), constants(model)
    versions = {entry.domain: entry.version for entry in model.opset_import}
    kept = []
    for node in model.graph.node:
        if node.op_type == "Constant":
            continue
        if node.op_type == "Shape" and node.input[0] in known and all(known[node.input[0]].shape):
            values[node.output[0]] = np.array(known[node.input[0]].shape, np.int64)
            continue
        sizes = [int(np.prod(known[name].shape)) if name in known else 0 for name in node.output]
        if all(name in values for name in node.input if name) and max(sizes) <= _MOST_FOLDED:
            feeds = {name: values[name] for name in node.input if name}
            results = ReferenceEvaluator(node, opsets=versions).run(None, feeds)
            values |= {name: np.asarray(result) for name, result in zip(node.output, results, strict=True)}
            continue
        kept.append(node)
    return rebuild(model, kept, values)


def rebuild(model: onnx.ModelProto, nodes: list[onnx.NodeProto], values: Mapping[str, Array]) -> onnx.ModelProto:
    """A copy of `model` made of those of `nodes` that an output needs, in this order, and of the `values` they use."""
    needed = {value.name for value in model.graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(nodes):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
    rebuilt = onnx.ModelProto()
    rebuilt.CopyFrom(model)
    graph = rebuilt.graph
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(reversed(kept))
    for index, node in enumerate(graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
    weights = (name for name in values if name in needed)
    graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(values[name], order="C"), name) for name in weights
    )
    return rebuilt


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """Value of a node's attribute, or `default` where it is not set."""
    found = next((attribute for attribute in node.attribute if attribute.name == name), None)
    return default if found is None else onnx.helper.get_attribute_value(found)
