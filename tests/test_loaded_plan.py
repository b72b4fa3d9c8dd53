"""What calls TensorRT and cuda.core: against a stand-in of the same names, and the names against the packages."""

from functools import reduce
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engines.gpu import Block, Pinned
from engines.tensorrt_backend import LoadedPlan, PlanRefused, TensorRt

NAMES = {
    "tensorrt_rtx": """
        Builder.create_builder_config Builder.create_network Builder.build_serialized_network OnnxParser.parse
        OnnxParser.get_error OnnxParser.num_errors ParserError.node_name ParserError.desc
        IBuilderConfig.max_aux_streams IBuilderConfig.progress_monitor IBuilderConfig.set_flag
        IBuilderConfig.set_compute_capability IBuilderConfig.num_compute_capabilities
        IBuilderConfig.create_timing_cache IBuilderConfig.set_timing_cache IBuilderConfig.get_timing_cache
        ITimingCache.serialize BuilderFlag.REQUIRE_USER_ALLOCATION ComputeCapability.SM75
        NetworkDefinitionCreationFlag.STRONGLY_TYPED IProgressMonitor ILogger Logger nptype TensorIOMode.INPUT
        Runtime.deserialize_cuda_engine ICudaEngine.create_runtime_config ICudaEngine.create_execution_context
        ICudaEngine.num_io_tensors ICudaEngine.get_tensor_name ICudaEngine.get_tensor_dtype
        ICudaEngine.get_tensor_shape ICudaEngine.get_tensor_mode IExecutionContext.set_tensor_address
        IExecutionContext.execute_async_v3 IRuntimeConfig.create_runtime_cache IRuntimeConfig.set_runtime_cache
        IRuntimeCache.serialize IRuntimeCache.deserialize ICudaEngine.device_memory_size_v2
        IRuntimeConfig.set_execution_context_allocation_strategy ExecutionContextAllocationStrategy.USER_MANAGED
        IExecutionContext.set_device_memory
    """,
    "cuda.core": """
        Device.set_current Device.compute_capability Device.arch Device.name Device.create_stream
        Device.allocate Stream.record Stream.sync Stream.create_graph_builder Stream.__cuda_stream__ Event.sync
        Buffer.handle Buffer.fill Buffer.copy_from Buffer.copy_to EventOptions StreamOptions
        LegacyPinnedMemoryResource.allocate graph.GraphBuilder.begin_building graph.GraphBuilder.end_building
        graph.GraphBuilder.complete graph.GraphBuilder.__cuda_stream__ graph.Graph.upload graph.Graph.launch
        Program.compile ProgramOptions LaunchConfig launch ObjectCode.get_kernel ObjectCode.code
        ObjectCode.code_type
    """,
}


@pytest.mark.parametrize("package", NAMES)
def test_the_packages_know_every_name_that_is_called(package: str) -> None:
    module = pytest.importorskip(package, reason=f"needs {package}: pip install 'visavis[rtx]'")
    if package == "cuda.core":
        import_module("cuda.core.graph")
    for name in NAMES[package].split():
        reduce(getattr, name.split("."), module)


class Memory:
    """A GPU of numbers."""

    name = "test GPU"
    stream = 3

    def __init__(self) -> None:
        self.next = 1000
        self.waits = 0

    def allocate(self, size: int) -> Block:
        self.next += 1000
        return Block(self.next, size, None)

    def scratch(self, size: int) -> Block:
        return Block(500, 4096, None)

    def wait(self) -> None:
        self.waits += 1

    def handle(self, stream: Any) -> int:
        return int(stream)

    def pin(self, shape: tuple[int, ...], dtype: Any) -> Pinned:
        raise AssertionError


class Cache:
    def __init__(self, fits: bool) -> None:
        self.fits = fits
        self.given: list[bytes] = []
        self.compiled = False

    def deserialize(self, blob: bytes) -> bool:
        self.given.append(blob)
        return self.fits

    def serialize(self) -> bytes:
        assert self.compiled, "kernels are compiled at the first run"
        return b"kernels"


class Library:
    """TensorRT's names, as far as they are called. `takes` False: it refuses plans."""

    __version__ = "11.4"
    ExecutionContextAllocationStrategy = SimpleNamespace(USER_MANAGED="ours")
    device_memory_size_v2 = 1000
    TensorIOMode = SimpleNamespace(INPUT="in", OUTPUT="out")

    def __init__(self, takes: bool = True, memory: bool = True, runs: bool = True, cache: Cache | None = None) -> None:
        self.takes, self.memory, self.runs, self.cache = takes, memory, runs, cache
        self.addresses: dict[str, int] = {}
        self.streams: list[int] = []
        self.scratch: tuple[int, int] | None = None
        self.strategy = ""
        self.ports = {"x": ("in", (2, 3), np.float32), "y": ("out", (2, 4), np.float16)}
        self.num_io_tensors = len(self.ports)
        self.Logger = SimpleNamespace(ERROR=1)

    def nptype(self, dtype: Any) -> Any:
        return dtype

    def deserialize_cuda_engine(self, plan: bytes) -> "Library | None":
        return self if self.takes else None

    def create_runtime_config(self) -> Any:
        managed = {"set_execution_context_allocation_strategy": lambda strategy: setattr(self, "strategy", strategy)}
        if self.cache is None:
            return SimpleNamespace(**managed)
        kept = {"create_runtime_cache": lambda: self.cache, "set_runtime_cache": lambda cache: True}
        return SimpleNamespace(**managed, **kept)

    def create_execution_context(self, config: Any = None) -> Any:
        if not self.memory:
            return None
        return SimpleNamespace(
            set_tensor_address=self.addresses.__setitem__,
            execute_async_v3=self.execute,
            set_device_memory=lambda address, size: setattr(self, "scratch", (address, size)),
        )

    def execute(self, stream: int) -> bool:
        assert self.scratch == (500, 1000) and self.strategy == "ours" and set(self.addresses) == set(self.ports)
        self.streams.append(stream)
        if self.cache is not None:
            self.cache.compiled = True
        return self.runs

    def get_tensor_name(self, index: int) -> str:
        return list(self.ports)[index]

    def get_tensor_mode(self, name: str) -> str:
        return self.ports[name][0]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.ports[name][1]

    def get_tensor_dtype(self, name: str) -> Any:
        return self.ports[name][2]


def load(library: Library, path: Path, **given: Block) -> LoadedPlan:
    gpu: Any = Memory()
    return LoadedPlan(library, gpu, library, path, given)


def test_tensors_lie_in_memory_of_their_own_or_in_what_is_given(tmp_path: Path) -> None:
    library = Library()
    plan = load(library, tmp_path / "a.plan", x=Block(77, 24, None))
    assert plan.inputs["x"].block.address == library.addresses["x"] == 77
    assert plan.outputs["y"].block.address == library.addresses["y"] == 2000
    assert plan.outputs["y"].block.size == 16 and plan.outputs["y"].dtype == np.float16
    plan.enqueue(5)
    assert library.streams == [3, 5], "once when it was loaded"
    with pytest.raises(ValueError, match="takes 24 bytes, not 8"):
        load(Library(), tmp_path / "a.plan", x=Block(77, 8, None))


def test_compiled_kernels_are_kept_beside_the_plan(tmp_path: Path) -> None:
    kept = tmp_path / "a.kernels"
    load(Library(cache=Cache(True)), tmp_path / "a.plan")
    assert kept.read_bytes() == b"kernels"
    kept.write_bytes(b"of before")
    fitting = Cache(True)
    load(Library(cache=fitting), tmp_path / "a.plan")
    assert fitting.given == [b"of before"] and kept.read_bytes() == b"of before"
    load(Library(cache=Cache(False)), tmp_path / "a.plan")  # of another driver
    assert kept.read_bytes() == b"kernels"


def test_what_the_library_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.plan"
    path.write_bytes(b"plan")
    with pytest.raises(PlanRefused, match=r"no memory to run a\.plan on test GPU"):
        load(Library(memory=False), path)
    with pytest.raises(PlanRefused, match=r"a\.plan cannot be run on test GPU"):
        load(Library(runs=False), path)
    library = Library(takes=False)
    module: Any = SimpleNamespace(
        __version__="11.4", Logger=lambda level: None, Runtime=lambda log: library, nptype=library.nptype
    )
    module.Logger = type("Logger", (), {"ERROR": 1, "__init__": lambda self, level: None})
    monkeypatch.setattr("importlib.import_module", lambda name: module)
    gpu: Any = Memory()
    with pytest.raises(PlanRefused, match=r"tensorrt 11\.4 does not take .*visavis build"):
        TensorRt("tensorrt").load(gpu, path, {})
