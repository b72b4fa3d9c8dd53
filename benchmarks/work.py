"""What a network costs at least, counted in its graph: multiplications and additions, and memory moved."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from build_trt.graph import Graph, Signature, attribute

_NORMS: Final = frozenset(
    {"InstanceNormalization", "LayerNormalization", "BatchNormalization", "Softmax", "GridSample"}
)
"""Besides products, what a GPU writes out: everything else is done in passing."""


@dataclass(frozen=True, slots=True)
class Work:
    """For one row: operations (a multiplication and an addition are two), elements of activations that are written and
    read again; and elements of weights, read once for all rows."""

    flops: int
    activations: int
    weights: int

    def floor(self, rows: int, element_bytes: int, flops_per_second: float, bytes_per_second: float) -> float:
        """Seconds that `rows` rows take at least: arithmetic or memory, whichever is slower, both at their peak."""
        moved = (2 * self.activations * rows + self.weights) * element_bytes
        return max(self.flops * rows / flops_per_second, moved / bytes_per_second)


def count(graph: Graph) -> Work:
    """The work of a folded graph of one row."""
    known = graph.signatures()
    flops = activations = 0
    for node in graph.nodes:
        out = known[node.output[0]].shape
        shapes = [known.get(name, Signature(known[node.output[0]].dtype, ())).shape for name in node.input]
        match node.op_type:
            case "Conv":
                flops += 2 * math.prod(out) * math.prod(shapes[1][1:])
            case "ConvTranspose":
                flops += 2 * math.prod(shapes[0]) * math.prod(shapes[1][1:])
            case "MatMul":
                flops += 2 * math.prod(out) * shapes[0][-1]
            case "Gemm":
                flops += 2 * math.prod(out) * shapes[0][0 if attribute(node, "transA", 0) else 1]
            case kind if kind not in _NORMS:
                continue
        activations += math.prod(out)
    activations += sum(math.prod(shape) for shape in graph.inputs.values())
    weights = sum(value.size for value in graph.values.values() if value.dtype.kind == "f")
    return Work(flops, activations, weights)


def total(works: Iterable[Work]) -> Work:
    """All of them, one after the other."""
    each = list(works)
    return Work(*(sum(getattr(work, name) for work in each) for name in ("flops", "activations", "weights")))
