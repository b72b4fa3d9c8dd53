"""How far every form of a network is from the one before: `visavis build --check`, a table in Markdown.

ONNX Runtime in float32 is the reference. Beside it stand OpenVINO in float32 (5-D samples rewritten), the half graph
with its numbers rounded as a GPU stores them, and, where there is a GPU, the plan itself. What PyTorch itself gives is
compared when a network is exported (`build_trt.export`) and in the tests.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from build_trt.graph import Array, Graph
from build_trt.islands import ISLANDS
from build_trt.plans import Library
from build_trt.precision import decibels, on_cpu, rounded
from build_trt.rewrite import without_volumes
from engines.gpu import NoGpu
from engines.openvino_backend import core
from engines.plan_files import NoPlan, Precision
from engines.tensorrt_backend import PlanRefused, TensorRt, TensorRtBackend

_HEADER: Final = """\
| network | OpenVINO, worst | OpenVINO, dB | half, dB | plan, dB | plan x 2 rows, worst |
|---|---|---|---|---|---|"""


def report(networks: Sequence[Path], folder: Path, library: Library, precision: Precision) -> str:
    """A row for every network, on inputs drawn evenly from -0.5 to 0.5."""
    backend, note = _gpu(folder, library, precision)
    rows = [_row(path, backend) for path in networks]
    return "\n".join([_HEADER, *rows, *([note] if note else [])])


def _gpu(folder: Path, library: Library, precision: Precision) -> tuple[TensorRtBackend | None, str]:
    try:
        return TensorRtBackend(folder, precision, TensorRt(library.name)), ""
    except (NoGpu, NoPlan) as error:
        return None, f"\nNo plan was run: {error}."


def _row(path: Path, backend: TensorRtBackend | None) -> str:
    graph, run = Graph.read(path), on_cpu()
    inputs = draw(graph)
    reference = run(graph, inputs)
    there = on_openvino(without_volumes(graph), inputs)
    half = decibels(run(rounded(graph, ISLANDS[path.stem].single), inputs), reference)
    plan = _plan(path, backend, inputs, reference)
    return f"| {path.stem} | {_worst(there, reference):.1e} | {decibels(there, reference):.0f} | {half:.0f} | {plan} |"


def draw(graph: Graph, seed: int = 0) -> dict[str, Array]:
    """Random inputs for one row."""
    rng = np.random.default_rng(seed)
    return {name: rng.uniform(-0.5, 0.5, shape).astype(np.float32) for name, shape in graph.inputs.items()}


def on_openvino(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """What OpenVINO computes in float32."""
    network = core().read_model(graph.model().SerializeToString())
    compiled = core().compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = compiled(dict(inputs))
    return {name: np.array(results[name]) for name in graph.outputs}


def _plan(
    path: Path, backend: TensorRtBackend | None, inputs: Mapping[str, Array], reference: Mapping[str, Array]
) -> str:
    """The plan's two columns."""
    if backend is None:
        return "- | -"
    try:
        network = backend.load(path)
    except (NoPlan, PlanRefused) as error:
        return f"{error} | -"
    level = decibels(network.run(inputs), reference)
    if network.largest < 2 or math.isinf(level):
        return f"{level:.0f} | -"
    doubled = network.run({name: np.repeat(tensor, 2, axis=0) for name, tensor in inputs.items()})
    second = {name: tensor[tensor.shape[0] // 2 :] for name, tensor in doubled.items()}
    return f"{level:.0f} | {_worst(second, reference):.1e}"


def _worst(computed: Mapping[str, Array], reference: Mapping[str, Array]) -> float:
    return max(float(np.abs(computed[name] - wanted).max()) for name, wanted in reference.items())
