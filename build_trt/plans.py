"""TensorRT plans from ONNX files, by TensorRT (data centre) or TensorRT-RTX (RTX cards): one way, two packages.

A network gets a plan for every bucket of rows, with fixed shapes. Precision is in the graph (`build_trt.precision`), as
TensorRT 11 wants it. TensorRT builds on the GPU that will run the plan; TensorRT-RTX builds on any machine.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal

from build_trt.graph import Graph
from build_trt.precision import Choice, half
from build_trt.rewrite import with_rows, without_volumes
from engines.plan_files import PlanCard, Precision, digest, dotted

LibraryName = Literal["tensorrt", "tensorrt_rtx"]
LIBRARIES: Final[tuple[LibraryName, ...]] = ("tensorrt", "tensorrt_rtx")
_VOLUMES_SINCE: Final = {"tensorrt": (11, 2), "tensorrt_rtx": (1, 6)}
"""First versions with a 5-D GridSample."""

Progress = Callable[[float], None]
"""Told the share done, 0 to 1."""


class CannotBuild(RuntimeError):
    """No plan came of it; the message says why, in the library's words where it said any."""


@dataclass(frozen=True)
class Library:
    """TensorRT or TensorRT-RTX, as installed."""

    name: LibraryName
    module: ModuleType

    @property
    def version(self) -> str:
        return str(self.module.__version__)

    @property
    def samples_volumes(self) -> bool:
        """Whether it has a 5-D `GridSample`."""
        major, minor = self.version.split(".")[:2]
        return (int(major), int(minor)) >= _VOLUMES_SINCE[self.name]

    @property
    def needs_gpu(self) -> bool:
        """Whether it builds only on the GPU that will run the plan. TensorRT-RTX chooses its kernels there, later."""
        return self.name == "tensorrt"


def find_library(wanted: LibraryName | None = None) -> Library:
    """The library asked for, else the first that is installed. Raises `CannotBuild` with what to install."""
    failed = []
    for name in (wanted,) if wanted else LIBRARIES:
        try:
            return Library(name, importlib.import_module(name))
        except ImportError as error:
            failed.append(f"{name}: {error}")
    raise CannotBuild(
        f"no TensorRT is installed ({'; '.join(failed)}): pip install 'visavis[gpu]' for a data centre's GPU, "
        "pip install tensorrt-rtx for a GeForce or RTX card"
    )


def target(library: Library, capability: tuple[int, int]) -> tuple[int, int]:
    """What the card of a plan names for a GPU of `capability`: plans of TensorRT-RTX run on all from Ampere (8.0) on.

    Raises `CannotBuild` for GPUs older than Turing (7.5).
    """
    if capability < (7, 5):
        raise CannotBuild(f"compute capability {dotted(capability)} is too old: 7.5 (Turing) is the least")
    if library.needs_gpu:
        return capability
    return max(known for known in ((7, 5), (8, 0)) if known <= capability)


def prepare(graph: Graph, choice: Choice | None, rows: int, library: Library) -> Graph:
    """The graph that is given to the library: halved by `choice` (None: float32), for `rows` rows."""
    if not library.samples_volumes:
        graph = without_volumes(graph)
    if choice is not None:
        graph = half(graph, choice.single)
    return with_rows(graph, rows)


def build(
    network: Path,
    folder: Path,
    library: Library,
    capability: tuple[int, int],
    rows: int,
    choice: Choice | None = None,
    progress: Progress = lambda share: None,
) -> Path:
    """The plan of an ONNX file: the one in `folder` where its card fits, else built now. Returns its file.

    `capability` is that of the GPU. `choice`: the islands of float32 in half precision; None builds in float32. Raises
    `CannotBuild`.
    """
    capability = target(library, capability)
    precision: Precision = "single" if choice is None else "half"
    single = () if choice is None else choice.single
    card = PlanCard(network.stem, digest(network), precision, single, rows, library.name, library.version, capability)
    path = folder / f"{card.stem}.plan"
    if not path.exists() or not path.with_suffix(".json").exists():
        graph = prepare(Graph.read(network), choice, rows, library)
        timing = folder / f"timing-{library.name}-{library.version}-sm{dotted(capability)}.cache"
        card.write(folder, compile_plan(graph, library, card, timing, progress))
    progress(1.0)
    return path


def compile_plan(graph: Graph, library: Library, card: PlanCard, timing: Path, progress: Progress) -> memoryview:
    """Parse the prepared graph and build. Raises `CannotBuild` with every error of the parser or the builder."""
    trt: Any = library.module
    log = _logger(trt)
    builder = trt.Builder(log)
    if not builder:
        raise CannotBuild(f"{library.name} {library.version} cannot build here: {log.said() or 'no GPU or no driver'}")
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(graph.model().SerializeToString()):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        told = "; ".join(f"{error.node_name() or 'graph'}: {error.desc()}" for error in errors)
        raise CannotBuild(f"{library.name} {library.version} cannot read {card.network}: {told or log.said()}")
    config = builder.create_builder_config()
    config.max_aux_streams = 0  # a graph is captured on one stream
    config.progress_monitor = _monitor(trt, progress)
    if library.needs_gpu:  # kernels are timed on it; what was timed once is known to the next plan
        config.set_timing_cache(config.create_timing_cache(timing.read_bytes() if timing.exists() else b""), False)
        plan = builder.build_serialized_network(network, config)
        timing.parent.mkdir(parents=True, exist_ok=True)
        timing.write_bytes(bytes(config.get_timing_cache().serialize()))
    else:
        config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)  # or it could not be captured in a CUDA graph
        if card.capability < (8, 0):  # not among those a plan is for if nothing is said
            config.num_compute_capabilities = 1
            config.set_compute_capability(trt.ComputeCapability.SM75, 0)
        plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise CannotBuild(f"{library.name} {library.version} cannot build {card.network}: {log.said() or 'no reason'}")
    return memoryview(plan)


def _logger(trt: Any) -> Any:
    """A logger that keeps what went wrong, for the message, and prints nothing."""

    class Logger(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self._errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.ERROR:
                self._errors.append(message.strip())

        def said(self) -> str:
            return "; ".join(self._errors)

    return Logger()


def _monitor(trt: Any, progress: Progress) -> Any:
    """Hands on the outermost phase's steps, refined by those of the phases within."""

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._phases: dict[str, tuple[float, float]] = {}  # name: where it is, share of one step
            self._most = 0.0

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            begin, share = self._phases.get(parent or "", (0.0, 1.0))
            self._phases[name] = begin, share / max(steps, 1)

        def step_complete(self, name: str, step: int) -> bool:
            begin, share = self._phases[name]
            self._phases[name] = begin + share, share
            self._most = max(self._most, min(begin + share, 1.0))
            progress(self._most)
            return True

        def phase_finish(self, name: str) -> None:
            del self._phases[name]

    return Monitor()
