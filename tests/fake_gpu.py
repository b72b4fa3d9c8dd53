"""A GPU of the tests: memory is NumPy's, kernels are compiled as C++, plans are computed by ONNX Runtime.

What is captured is repeated exactly as it was recorded, like a CUDA graph: with the same addresses and numbers.
"""

import ctypes
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import DTypeLike

from build_trt.graph import Graph
from build_trt.rewrite import with_rows
from engines.gpu import Array, Block, Pinned, Record, Stream
from engines.plan_files import PlanCard, digest
from engines.tensorrt_backend import Plan, PlanRefused, Port
from tests.kernel_machines import Cpu

Work = Callable[[], None]


class FakeStream:
    """Does work at once, or keeps it if it is a graph that is being built."""

    def __init__(self, graph: list[Work] | None = None) -> None:
        self._graph = graph

    def do(self, work: Work) -> None:
        if self._graph is None:
            work()
        else:
            self._graph.append(work)


class FakeGpu:
    """A `Gpu` on this processor."""

    name = "test GPU"
    capability = (8, 9)

    def __init__(self, graphs: bool = True) -> None:
        self.lock = threading.RLock()
        self.stream: Stream = FakeStream()
        self.kernels = Cpu().kernels
        self.waits = 0
        self.captured = 0
        self._graphs = graphs

    def enter(self) -> None:
        assert self.lock._is_owned()  # type: ignore[attr-defined]

    def allocate(self, size: int) -> Block:
        memory = np.zeros(max(size, 1), np.uint8)
        return Block(memory.ctypes.data, size, memory)

    def scratch(self, size: int) -> Block:
        raise AssertionError("plans of the tests need none")

    def pin(self, shape: tuple[int, ...], dtype: DTypeLike) -> Pinned:
        array = np.zeros(shape, dtype)
        return Pinned(array, array)

    def upload(self, stream: Stream, source: Pinned, target: Block) -> None:
        assert source.array.nbytes == target.size
        stream.do(lambda: ctypes.memmove(target.address, source.array.ctypes.data, target.size))

    def download(self, stream: Stream, source: Block, target: Pinned) -> None:
        assert target.array.nbytes == source.size
        stream.do(lambda: ctypes.memmove(target.array.ctypes.data, source.address, source.size))

    def handle(self, stream: Stream) -> int:
        return id(stream)

    def capture(self, record: Record) -> Work:
        for _ in range(2):
            record(self.stream)
        if not self._graphs:
            return lambda: record(self.stream)
        work: list[Work] = []
        record(FakeStream(work))
        self.captured += 1

        def replay() -> None:
            for each in work:
                each()

        return replay

    def wait(self) -> None:
        self.waits += 1


class FakePlan:
    """A graph for a number of rows, between blocks of memory."""

    def __init__(self, gpu: FakeGpu, graph: Graph, given: Mapping[str, Block]) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(graph.model().SerializeToString(), options)
        self.inputs, self.outputs = (
            {name: Port.make(gpu, shape, np.dtype(np.float32), given.get(name)) for name, shape in shapes.items()}
            for shapes in (graph.inputs, graph.outputs)
        )

    def enqueue(self, stream: Any) -> None:
        stream.do(self._compute)

    def _compute(self) -> None:
        given = {name: _view(port).copy() for name, port in self.inputs.items()}
        for port, computed in zip(self.outputs.values(), self._session.run(list(self.outputs), given), strict=True):
            _view(port)[:] = computed


class FakeLibrary:
    """Loads "plans" that name their ONNX file and their rows."""

    name, version = "tensorrt_rtx", "1.6"

    def load(self, gpu: Any, path: Path, given: Mapping[str, Block]) -> Plan:
        network, _, rows = path.read_text().partition("|")
        if not rows:
            raise PlanRefused(f"{path} is no plan")
        return FakePlan(gpu, with_rows(Graph.read(Path(network)), int(rows)), given)


def write_plan(network: Path, folder: Path, rows: int) -> Path:
    """A plan for the fake library."""
    library = FakeLibrary
    card = PlanCard(network.stem, digest(network), "half", (), rows, library.name, library.version, (8, 0))
    return card.write(folder, f"{network}|{rows}".encode())


def _view(port: Port) -> Array:
    memory = (ctypes.c_byte * port.block.size).from_address(port.block.address)
    return np.frombuffer(memoryview(memory), port.dtype).reshape(port.shape)
