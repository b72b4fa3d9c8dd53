"""Half precision in the graph, with islands of float32 chosen by measured error.

TensorRT computes each tensor in the type that the graph gives it, so the graph is where precision is decided. What a
choice costs is measured before there is a GPU: the graph runs in float32 on the CPU with every weight and every result
of a half node rounded to half, which is what a GPU stores; like there, sums run in float32.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
from onnx import helper

from build_trt.graph import Array, Graph, copy_of

HEAVY: Final = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Where the work is: these become islands last, and then node by node."""
BAR: Final = 50.0
"""Decibels that a half network must keep to float32: 5 more than asked of a picture, for weights not seen here."""
_FIXED: Final = {"Resize": {1, 2}}
"""Inputs that keep their type in any network: the region and the scales of a resize."""
_MOVES: Final = frozenset({"Reshape", "Transpose", "Concat", "Slice", "Unsqueeze", "Squeeze", "Flatten", "Expand"})
"""Copies: rounding once more what is half already changes nothing."""

Run = Callable[[Graph, Mapping[str, Array]], Mapping[str, Array]]
"""Computes a graph: inputs to outputs, by name."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What stays float32: kinds of operators and names of nodes; and the decibels measured with it."""

    single: tuple[str, ...]
    decibels: float

    def covers(self, node: onnx.NodeProto) -> bool:
        return "*" in self.single or node.op_type in self.single or node.name in self.single


ALL_SINGLE: Final = Choice(("*",), math.inf)
"""Nothing is half."""


def half(graph: Graph, single: Sequence[str]) -> Graph:
    """A folded graph in half precision but for the kinds and nodes in `single`; inputs and outputs stay float32."""
    return _Halver(graph, single).half()


def rounded(graph: Graph, single: Sequence[str]) -> Graph:
    """A float32 graph whose numbers are rounded where `half` would store them in half precision."""
    return _Halver(graph, single).rounded()


class _Halver:
    """What both ways of halving share: which nodes are half, and which of a node's tensors that concerns."""

    def __init__(self, graph: Graph, single: Sequence[str]) -> None:
        self._graph = graph
        self._single = Choice(tuple(single), 0.0)
        self._types = {name: signature.dtype for name, signature in graph.signatures().items()}

    def _is_half(self, node: onnx.NodeProto) -> bool:
        """Casts and what computes no floats stay as they are."""
        floats = any(self._is_float(name) for name in (*node.input, *node.output))
        return floats and node.op_type != "Cast" and not self._single.covers(node)

    def _is_float(self, name: str) -> bool:
        return name in self._types and self._types[name] == np.float32

    def _inputs(self, node: onnx.NodeProto) -> list[int]:
        fixed = _FIXED.get(node.op_type, set())
        return [index for index, name in enumerate(node.input) if index not in fixed and self._is_float(name)]

    def half(self) -> Graph:
        nodes: list[onnx.NodeProto] = []
        values = dict(self._graph.values)
        halves: set[str] = set()  # tensors that their node makes in half precision
        cast: dict[tuple[str, bool], str] = {}

        def as_type(name: str, to_half: bool) -> str:
            """The tensor in the wanted type, converted once at most."""
            if to_half == (name in halves):
                return name
            key = name, to_half
            if key not in cast:
                cast[key] = f"{name}.{'half' if to_half else 'single'}"
                if name in values:
                    values[cast[key]] = values[name].astype(np.float16)
                else:
                    wanted = onnx.TensorProto.FLOAT16 if to_half else onnx.TensorProto.FLOAT
                    nodes.append(helper.make_node("Cast", [name], [cast[key]], cast[key], to=wanted))
            return cast[key]

        for node in map(copy_of, self._graph.nodes):
            is_half = self._is_half(node)
            for index in self._inputs(node):
                node.input[index] = as_type(node.input[index], is_half)
            if is_half:
                halves.update(name for name in node.output if self._is_float(name))
            nodes.append(node)
        return self._graph.rebuilt(_restored(self._graph, nodes, halves), values)

    def rounded(self) -> Graph:
        nodes: list[onnx.NodeProto] = []
        values = dict(self._graph.values)
        short: dict[str, str] = {}

        def round_to(name: str, result: str) -> None:
            middle = f"{result}.short"
            nodes.append(helper.make_node("Cast", [name], [middle], middle, to=onnx.TensorProto.FLOAT16))
            nodes.append(helper.make_node("Cast", [middle], [result], f"{result}.back", to=onnx.TensorProto.FLOAT))

        for node in map(copy_of, self._graph.nodes):
            if not self._is_half(node):
                nodes.append(node)
                continue
            for index in self._inputs(node):
                name = node.input[index]
                if name not in short:
                    short[name] = f"{name}.rounded"
                    if name in values:
                        with np.errstate(over="ignore"):
                            values[short[name]] = values[name].astype(np.float16).astype(np.float32)
                    else:
                        round_to(name, short[name])
                node.input[index] = short[name]
            nodes.append(node)
            if node.op_type not in _MOVES:
                for index, name in enumerate(node.output):
                    if self._is_float(name):
                        node.output[index] = f"{name}.full"
                        round_to(node.output[index], name)
        return self._graph.rebuilt(nodes, values)


def _restored(graph: Graph, nodes: list[onnx.NodeProto], halves: set[str]) -> list[onnx.NodeProto]:
    """`nodes` with the graph's own outputs in float32 again, under their names."""
    outputs = set(graph.outputs) & halves
    if not outputs:
        return nodes
    for node in nodes:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name in outputs:
                    names[index] = f"{name}.half"
    back = [helper.make_node("Cast", [f"{name}.half"], [name], name, to=onnx.TensorProto.FLOAT) for name in outputs]
    return [*nodes, *back]


def decibels(computed: Mapping[str, Array], reference: Mapping[str, Array]) -> float:
    """Peak signal to noise of the worst output, the peak being the output's own range; -inf if any is not finite.

    Rows of pictures in 0..1 have a range near 1, so that this is a picture's PSNR or less.
    """
    worst = math.inf
    for name, wanted in reference.items():
        got = computed[name].astype(np.float64)
        if not np.isfinite(got).all():
            return -math.inf
        span = float(wanted.max() - wanted.min()) or float(np.abs(wanted).max()) or 1.0
        noise = float(np.sqrt(np.mean((got - wanted) ** 2)))
        worst = min(worst, 20 * math.log10(span / noise) if noise else math.inf)
    return worst


def measure(graph: Graph, single: Sequence[str], inputs: Mapping[str, Array], run: Run) -> float:
    """Decibels of the half network to the float32 one on these inputs."""
    return decibels(run(rounded(graph, single), inputs), run(graph, inputs))


def search(graph: Graph, inputs: Mapping[str, Array], run: Run, bar: float = BAR) -> Choice:
    """The islands that keep a folded graph `bar` decibels close to itself in float32.

    First nothing is an island. While that is too little, the kind of operator that makes most noise when it alone is
    half becomes one; the heavy kinds (`HEAVY`) only when no other is left, and then node by node, noisiest first, each
    time twice as many. Returns all in float32 (`ALL_SINGLE`) if nothing else suffices.
    """
    reference = run(graph, inputs)

    def hear(single: Sequence[str]) -> float:
        return decibels(run(rounded(graph, single), inputs), reference)

    single: list[str] = []
    level = hear(single)
    if level >= bar:
        return Choice((), level)
    nodes = [node for node in graph.nodes if node.op_type != "Cast"]
    kinds = {node.op_type for node in nodes}
    alone = {kind: hear([other for other in kinds if other != kind]) for kind in sorted(kinds)}
    for kind in sorted(kinds - HEAVY, key=lambda kind: alone[kind]):
        if alone[kind] == math.inf:
            break
        single.append(kind)
        level = hear(single)
        if level >= bar:
            return Choice(tuple(_spared(single, hear, bar)), level)
    heavy = [node.name for node in nodes if node.op_type in HEAVY]
    others = [node.name for node in nodes]
    noisy = sorted(heavy, key=lambda name: hear([other for other in others if other != name]))
    count = 1
    while count < len(noisy):
        chosen = [*single, *noisy[:count]]
        level = hear(chosen)
        if level >= bar:
            return Choice(tuple(chosen), level)
        count *= 2
    return ALL_SINGLE


def _spared(single: list[str], hear: Callable[[Sequence[str]], float], bar: float) -> list[str]:
    """Those of `single` that are needed: each that can go without falling below the bar goes, last come first."""
    needed = list(single)
    for kind in reversed(single[:-1]):
        fewer = [other for other in needed if other != kind]
        if hear(fewer) >= bar:
            needed = fewer
    return needed


def on_cpu(threads: int = 1) -> Run:
    """A `Run` by ONNX Runtime."""
    import onnxruntime

    def run(graph: Graph, inputs: Mapping[str, Array]) -> Mapping[str, Any]:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            graph.model().SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, dict(inputs)), strict=True))

    return run
