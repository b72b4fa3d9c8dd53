"""The GPU as the engines see it: memory, one stream, and work that is recorded once and repeated.

All that knows `cuda.core` is here and in `kernels.py`. Nothing here has run on hardware yet: names and signatures are
those of cuda.core 1.2, and the tests put another machine of the same shape in its place.
"""

import ctypes
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from engines.kernels import Kernels

GRAPHS: Final = "VISAVIS_CUDA_GRAPHS"
"""Environment variable: 0 launches every kernel one by one, should graphs make trouble."""

Array = NDArray[Any]
Stream = Any
"""What work is enqueued on: a stream, or a graph that is being built of it."""
Record = Callable[[Stream], None]


class NoGpu(RuntimeError):
    """No GPU can be used; the message says what is missing."""


@dataclass(frozen=True)
class Block:
    """A piece of the GPU's memory."""

    address: int
    size: int
    owner: Any = field(repr=False)
    """Frees the memory when it is forgotten; graphs do not hold it."""


@dataclass(frozen=True)
class Pinned:
    """Memory of the host that the GPU reads and writes by itself."""

    array: Array
    owner: Any = field(repr=False)


class Gpu(Protocol):
    """One GPU and its stream. Who enqueues holds `lock`, and was `enter`ed by its thread."""

    name: str
    capability: tuple[int, int]
    lock: threading.RLock
    kernels: Kernels
    stream: Stream

    def enter(self) -> None:
        """Make it the GPU of the calling thread."""

    def allocate(self, size: int) -> Block:
        """`size` bytes of zeros."""

    def scratch(self, size: int) -> Block:
        """At least `size` bytes for what lies between a network's layers: the same for all, since they run one after
        the other on the one stream. Whoever runs in it keeps it: a later one may be larger."""

    def pin(self, shape: tuple[int, ...], dtype: DTypeLike) -> Pinned:
        """An array that is copied without the processor's help."""

    def upload(self, stream: Stream, source: Pinned, target: Block) -> None:
        """Copy to the GPU."""

    def download(self, stream: Stream, source: Block, target: Pinned) -> None:
        """Copy from the GPU."""

    def handle(self, stream: Stream) -> int:
        """The stream as the driver knows it."""

    def capture(self, record: Record) -> Callable[[], None]:
        """Record work once, and return what repeats it, with the same addresses and numbers."""

    def wait(self) -> None:
        """Sleep until all that was enqueued is done. Not for the event loop's thread."""


class CudaGpu:
    """The GPU `index` through cuda.core. Raises `NoGpu`."""

    def __init__(self, index: int = 0, graphs: bool | None = None) -> None:
        try:
            from cuda.core import Device, EventOptions, LegacyPinnedMemoryResource, StreamOptions
        except ImportError as error:
            raise NoGpu(f"cuda.core is not installed: pip install 'visavis[gpu]' ({error})") from error
        try:
            self._device = Device(index)
            self._device.set_current()
        except Exception as error:  # no driver, no such GPU, or one that is out of order: each has its own class
            raise NoGpu(f"there is no NVIDIA GPU {index} to be used: {error}") from error
        self.name = str(self._device.name)
        self.capability = (int(self._device.compute_capability[0]), int(self._device.compute_capability[1]))
        self.lock = threading.RLock()
        self._graphs = os.environ.get(GRAPHS, "1") != "0" if graphs is None else graphs
        self.stream = self._device.create_stream(options=StreamOptions(nonblocking=True))
        self._pinned = LegacyPinnedMemoryResource()
        self._scratch: Block | None = None
        self._done = self.stream.record(options=EventOptions(blocking_sync=True))
        self.kernels = Kernels(f"sm_{self._device.arch}")

    def enter(self) -> None:
        self._device.set_current()

    def allocate(self, size: int) -> Block:
        buffer = self._device.allocate(max(size, 1), stream=self.stream)
        buffer.fill(0, stream=self.stream)
        return Block(int(buffer.handle), size, buffer)

    def scratch(self, size: int) -> Block:
        if self._scratch is None or self._scratch.size < size:
            self._scratch = self.allocate(size)
        return self._scratch

    def pin(self, shape: tuple[int, ...], dtype: DTypeLike) -> Pinned:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        buffer = self._pinned.allocate(size)
        memory = (ctypes.c_byte * size).from_address(int(buffer.handle))
        return Pinned(np.frombuffer(memoryview(memory), dtype).reshape(shape), buffer)

    def upload(self, stream: Stream, source: Pinned, target: Block) -> None:
        target.owner.copy_from(source.owner, stream=stream)

    def download(self, stream: Stream, source: Block, target: Pinned) -> None:
        source.owner.copy_to(target.owner, stream=stream)

    def handle(self, stream: Stream) -> int:
        return int(stream.__cuda_stream__()[1])

    def capture(self, record: Record) -> Callable[[], None]:
        for _ in range(2):  # what is set up at the first run may not be captured
            record(self.stream)
        self.stream.sync()
        if not self._graphs:
            return lambda: record(self.stream)
        try:
            builder = self.stream.create_graph_builder()
            builder.begin_building("thread_local")
            record(builder)
            graph = builder.end_building().complete()
        except Exception as error:  # of the driver, of cuda.core or of TensorRT, each with classes of its own
            raise NoGpu(f"{self.name} cannot capture a CUDA graph, {GRAPHS}=0 does without: {error}") from error
        graph.upload(self.stream)
        return lambda: graph.launch(self.stream)

    def wait(self) -> None:
        self.stream.record(event=self._done)
        self._done.sync()
