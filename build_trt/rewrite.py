"""Graphs rewritten for a runtime: more rows for TensorRT, no 5-D `GridSample` where there is none.

Both take a folded graph of one row and return another; what they compute stays the same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx import helper

from build_trt.graph import Array, Graph, Signature, attribute, copy_of


class CannotRewrite(ValueError):
    """The graph holds something that the rewrite has no rule for."""


def with_rows(graph: Graph, rows: int) -> Graph:
    """The network for `rows` rows at once: that becomes dimension 0 of every input and output.

    Rests on one habit of all our networks: dimension 0 of every tensor counts rows, each computed for itself. So a
    reshape needs to leave only its first length open, and a constant that is joined to rows is repeated for each.
    Raises `CannotRewrite` where the habit is seen to be broken.
    """
    known, values = graph.signatures(), dict(graph.values)
    counted = set(graph.inputs)
    nodes: list[onnx.NodeProto] = []
    for node in map(copy_of, graph.nodes):
        nodes.append(node)
        if not counted & set(node.input):
            continue
        counted |= set(node.output)
        out = node.output[0]
        if node.op_type == "Reshape":
            node.input[1] = f"{out}.shape"
            values[node.input[1]] = shape = np.array([-1, *known[out].shape[1:]], np.int64)
            if not all(shape):
                raise CannotRewrite(f"{node.name}: a reshape to a shape that is not known")
        elif node.op_type == "Resize" and len(node.input) > 3 and node.input[3]:
            node.input[2], node.input[3] = f"{out}.scales", ""
            values[node.input[2]] = np.divide(known[out].shape, known[node.input[0]].shape, dtype=np.float32)
        elif node.op_type == "Transpose" and attribute(node, "perm", (1, 0))[0] != 0:
            raise CannotRewrite(f"{node.name}: a transposition moves the rows")
        elif node.op_type in ("Concat", "Split") and attribute(node, "axis", 0) == 0:
            raise CannotRewrite(f"{node.name}: rows are joined or parted")
        elif node.op_type in ("Concat", "GridSample"):
            for index, name in enumerate(node.input):
                if name not in counted:
                    if name not in values or values[name].shape[:1] != (1,):
                        raise CannotRewrite(f"{node.name}: {name} is joined to rows, and is no constant of one row")
                    node.input[index] = f"{name}.repeated"
                    values[node.input[index]] = np.repeat(values[name], rows, axis=0)
    head = onnx.ModelProto()
    head.CopyFrom(graph.head)
    for value in (*head.graph.input, *head.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value *= rows
    return replace(graph.rebuilt(nodes, values), head=head)


def without_volumes(graph: Graph) -> Graph:
    """Every 5-D `GridSample` as two 4-D ones, for OpenVINO and TensorRT 10.

    The volume's slices are laid under each other, one zero row above and below each and one zero slice before the first
    and after the last, so that a sample never sees a neighbouring slice; the two slices around a point are sampled
    bilinearly and blended by depth. The rows number more than half precision can tell apart: the arithmetic on the grid
    and the samples must stay in float32. Raises `CannotRewrite` for other modes than linear, zeros, unaligned corners.
    """
    known, values = graph.signatures(), dict(graph.values)
    nodes: list[onnx.NodeProto] = []
    for node in graph.nodes:
        if node.op_type == "GridSample" and len(known[node.input[0]].shape) == 5:
            mode, padding = attribute(node, "mode", b"linear"), attribute(node, "padding_mode", b"zeros")
            if (mode, padding, attribute(node, "align_corners", 0)) != (b"linear", b"zeros", 0):
                raise CannotRewrite(f"{node.name}: only linear samples with zeros outside and unaligned corners")
            nodes.extend(_sample_slices(node, known, values))
        else:
            nodes.append(node)
    return graph.rebuilt(nodes, values)


def _sample_slices(
    node: onnx.NodeProto, known: Mapping[str, Signature], values: dict[str, Array]
) -> Iterable[onnx.NodeProto]:
    """The nodes that replace one 5-D `GridSample`: volume (N, C, D, H, W), grid (N, d, h, w, 3) in x, y, z."""
    volume, grid = node.input
    out = node.output[0]
    rows, channels, depth, height, width = known[volume].shape
    points = known[grid].shape[1:4]
    nodes: list[onnx.NodeProto] = []

    def do(kind: str, *inputs: str, result: str = "", **attributes: Any) -> str:
        name = result or f"{out}.{kind.lower()}_{len(nodes)}"
        nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def constant(value: Array) -> str:
        name = f"{out}.constant_{len(values)}"
        values[name] = value
        return name

    def number(value: float) -> str:
        return constant(np.array(value, np.float32))

    def numbers(*integers: int) -> str:
        return constant(np.array(integers, np.int64))

    def axis(index: int) -> str:
        taken = do("Slice", grid, numbers(index), numbers(index + 1), numbers(4))
        return do("Reshape", taken, numbers(rows, points[0] * points[1], points[2], 1))

    def pixel(coordinate: str, size: int) -> str:  # ((g + 1) * size - 1) / 2
        return do("Add", do("Mul", coordinate, number(size / 2)), number((size - 1) / 2))

    slab = depth + 2, height + 2
    padded = do("Pad", volume, numbers(0, 0, 1, 1, 0, 0, 0, 1, 1, 0), number(0.0))
    sheet = do("Reshape", padded, numbers(rows, channels, slab[0] * slab[1], width))
    across = axis(0)
    down = do("Clip", pixel(axis(1), height), number(-1.0), number(float(height)))
    deep = pixel(axis(2), depth)
    near = do("Floor", deep)
    far = do("Add", near, number(1.0))

    def sample(level: str) -> str:
        level = do("Add", do("Clip", level, number(-1.0), number(float(depth))), number(1.0))
        row = do("Add", do("Mul", level, number(float(slab[1]))), do("Add", down, number(1.5)))
        scaled = do("Sub", do("Mul", row, number(2 / (slab[0] * slab[1]))), number(1.0))
        where = do("Concat", across, scaled, axis=3)
        return do("GridSample", sheet, where, mode="linear", padding_mode="zeros", align_corners=0)

    share = do("Reshape", do("Sub", deep, near), numbers(rows, 1, points[0] * points[1], points[2]))
    first, second = sample(near), sample(far)
    blended = do("Add", first, do("Mul", share, do("Sub", second, first)))
    do("Reshape", blended, numbers(rows, channels, *points), result=out)
    return nodes
