"""What sessions remember stays on the GPU: tables with a slot for each, gathered into batches and scattered back.

A step is the GPU's part of a tick for as many sessions as the largest bucket holds: `engines.speech_step` from sound to
lips, `engines.portrait_step` from a face's motion to a picture's planes. All of it but 40 ms of sound, the motion and
1.5 bytes a pixel stays there. Each bucket is one CUDA graph; whoever takes part is told by `slots` in the GPU's memory,
so that sessions come and go without capturing anew. Steps are called by one thread at a time, never the event loop's:
they wait until the GPU is done. Has not run on hardware yet (see `engines.gpu`).
"""

import threading
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Self, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from engines.gpu import Array, Block, Gpu, Pinned, Stream
from engines.tensorrt_backend import Port, TensorRtBackend

NOBODY: Final = -1
"""Slot of a row that only fills up the batch."""


class Full(RuntimeError):
    """All slots are taken."""


class Slots:
    """Which slots of the tables are free, for any thread. The lowest goes first."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._taken: set[int] = set()
        self._lock = threading.Lock()

    def take(self) -> int:
        """Raises `Full`."""
        with self._lock:
            free = next((slot for slot in range(self._count) if slot not in self._taken), None)
            if free is None:
                raise Full(f"all {self._count} slots on the GPU are taken")
            self._taken.add(free)
            return free

    def give_back(self, slot: int) -> None:
        """Let another have it. Raises KeyError if nobody had it."""
        with self._lock:
            self._taken.remove(slot)


@dataclass(frozen=True)
class Door:
    """An array of the host and its place on the GPU."""

    gpu: Gpu
    pinned: Pinned
    block: Block

    @classmethod
    def make(cls, gpu: Gpu, shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> Self:
        pinned = gpu.pin(shape, dtype)
        return cls(gpu, pinned, gpu.allocate(pinned.array.nbytes))

    @classmethod
    def to(cls, gpu: Gpu, port: Port) -> Self:
        """To or from a network."""
        return cls(gpu, gpu.pin(port.shape, port.dtype), port.block)

    @property
    def array(self) -> Array:
        return self.pinned.array

    def send(self, stream: Stream) -> None:
        self.gpu.upload(stream, self.pinned, self.block)

    def fetch(self, stream: Stream) -> None:
        self.gpu.download(stream, self.block, self.pinned)


class Table:
    """A row float32 of `shape` for each slot, zeros at first. Rows are moved in words of 16 bytes."""

    def __init__(self, gpu: Gpu, slots: int, shape: tuple[int, ...]) -> None:
        self._gpu = gpu
        self.shape = shape
        self.row_bytes = int(np.prod(shape)) * 4
        self._block = gpu.allocate(slots * self.row_bytes)

    def gather(self, stream: Stream, slots: Block, batch: Block) -> None:
        """batch = table[slots]."""
        rows = slots.size // 4
        table = self._block.address
        self._gpu.kernels.gather_rows(stream, table, slots.address, batch.address, rows, self.row_bytes)

    def scatter(self, stream: Stream, slots: Block, batch: Block) -> None:
        """table[slots] = batch."""
        rows = slots.size // 4
        table = self._block.address
        self._gpu.kernels.scatter_rows(stream, table, slots.address, batch.address, rows, self.row_bytes)


class Bucket:
    """What steps have for every number of rows: whose each is, and the work that is repeated."""

    def __init__(self, gpu: Gpu, rows: int) -> None:
        self.gpu, self.rows = gpu, rows
        self.slots = Door.make(gpu, (rows,), np.int32)
        self.slots.array[:] = NOBODY
        self.replay: Callable[[], None] = lambda: None

    def start(self, slots: Sequence[int]) -> None:
        """It is done once the GPU was waited for."""
        self.slots.array[: len(slots)] = slots
        self.slots.array[len(slots) :] = NOBODY
        self.replay()

    def run(self, slots: Sequence[int]) -> None:
        self.start(slots)
        self.gpu.wait()


B = TypeVar("B", bound=Bucket)


class Step(Generic[B]):
    """A bucket for every number of rows that all of the step's networks have plans for, smallest first."""

    def __init__(self, backend: TensorRtBackend, slots: int, buckets: Sequence[B]) -> None:
        self._backend = backend
        self._slots = Slots(slots)
        self._buckets = buckets

    @property
    def buckets(self) -> tuple[int, ...]:
        """Numbers of sessions that it has plans for."""
        return tuple(bucket.rows for bucket in self._buckets)

    @property
    def largest(self) -> int:
        """Sessions that it serves at once."""
        return self._buckets[-1].rows

    def _bucket(self, count: int) -> B:
        if not 1 <= count <= self.largest:
            raise ValueError(f"a step takes 1 to {self.largest} sessions, not {count}")
        return self._buckets[bisect_left(self.buckets, count)]
