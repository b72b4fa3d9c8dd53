"""What sessions remember stays on the GPU: tables with a slot for each, gathered into batches and scattered back.

A step is the GPU's part of a tick for as many sessions as the largest bucket holds: `SpeechStep` from sound to lips,
`PortraitStep` from keypoints to a picture's planes. All of it but 40 ms of sound and 1.5 bytes a pixel stays there.
Each bucket is one CUDA graph; whoever takes part is told by `slots` in the GPU's memory, so that sessions come and go
without capturing anew. Steps are called by one thread at a time, never the event loop's: they wait until the GPU is
done. Has not run on hardware yet (see `engines.gpu`).
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, Self, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from engines.audio2exp import FEATURES_PER_FRAME, HISTORY, LOOKAHEADS_MS
from engines.expression import LIP_SIZE, FloatArray
from engines.features import CHUNK_SAMPLES, FeatureState
from engines.gpu import Array, Block, Gpu, Pinned, Stream
from engines.plan_files import NoPlan
from engines.tensorrt_backend import Load, Port, TensorRtBackend

NOBODY: Final = -1
"""Slot of a row that only fills up the batch."""
_STATE: Final = "state_"
_NEXT: Final = "next_"


class Full(RuntimeError):
    """All slots are taken."""


class Slots:
    """Which slots of the tables are free. The lowest goes first."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._taken: set[int] = set()

    def take(self) -> int:
        """Raises `Full`."""
        free = next((slot for slot in range(self._count) if slot not in self._taken), None)
        if free is None:
            raise Full(f"all {self._count} slots on the GPU are taken")
        self._taken.add(free)
        return free

    def give_back(self, slot: int) -> None:
        """Let another have it. Raises KeyError if nobody had it."""
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
        self._row_bytes = int(np.prod(shape)) * 4
        self._block = gpu.allocate(slots * self._row_bytes)
        self._one = Door.make(gpu, (1, *shape))
        self._slot = Door.make(gpu, (1,), np.int32)

    def gather(self, stream: Stream, slots: Block, batch: Block) -> None:
        """batch = table[slots]."""
        rows = slots.size // 4
        table = self._block.address
        self._gpu.kernels.gather_rows(stream, table, slots.address, batch.address, rows, self._row_bytes)

    def scatter(self, stream: Stream, slots: Block, batch: Block) -> None:
        """table[slots] = batch."""
        rows = slots.size // 4
        table = self._block.address
        self._gpu.kernels.scatter_rows(stream, table, slots.address, batch.address, rows, self._row_bytes)

    def write(self, slot: int, row: Array) -> None:
        """Put `row` into a slot."""
        self._one.array[:], self._slot.array[:] = row, slot
        stream = self._gpu.stream
        self._one.send(stream)
        self._slot.send(stream)
        self.scatter(stream, self._slot.block, self._one.block)
        self._gpu.wait()


class _Bucket:
    """What steps have for every number of rows: whose each is, and the work that is repeated."""

    def __init__(self, gpu: Gpu, rows: int) -> None:
        self.gpu, self.rows = gpu, rows
        self.slots = Door.make(gpu, (rows,), np.int32)
        self.slots.array[:] = NOBODY
        self.replay: Callable[[], None] = lambda: None

    def run(self, slots: Sequence[int]) -> None:
        self.slots.array[: len(slots)] = slots
        self.slots.array[len(slots) :] = NOBODY
        self.replay()
        self.gpu.wait()


Bucket = TypeVar("Bucket", bound=_Bucket)


class _Step(Generic[Bucket]):
    """A bucket for every number of rows that all of the step's networks have plans for."""

    def __init__(self, backend: TensorRtBackend, slots: int) -> None:
        self._backend = backend
        self._slots = Slots(slots)
        self._buckets: list[Bucket] = []

    @property
    def buckets(self) -> tuple[int, ...]:
        """Numbers of sessions that it has plans for."""
        return tuple(bucket.rows for bucket in self._buckets)

    @property
    def largest(self) -> int:
        """Sessions that it serves at once."""
        return self._buckets[-1].rows

    def _bucket(self, count: int) -> Bucket:
        if not 1 <= count <= self.largest:
            raise ValueError(f"a step takes 1 to {self.largest} sessions, not {count}")
        return self._buckets[bisect_left([bucket.rows for bucket in self._buckets], count)]


class PortraitStep(_Step["_PortraitBucket"]):
    """The full-size renderers' warping and generator. Slots hold sources: avatars, not sessions.

    Raises `NoPlan`, `PlanRefused`.
    """

    def __init__(self, backend: TensorRtBackend, warping: Path, generator: Path, slots: int) -> None:
        super().__init__(backend, slots)
        with backend.entered() as gpu:
            warpings, generators = backend.loaders(warping), backend.loaders(generator)
            shared = sorted(warpings.keys() & generators.keys())
            if not shared:
                raise NoPlan(f"no plans of {warping.stem} and {generator.stem} for as many rows: run `visavis build`")
            self._buckets = [_PortraitBucket(gpu, rows, warpings[rows], generators[rows]) for rows in shared]
            self._volumes = Table(gpu, slots, self._buckets[0].volume.shape[1:])
            for bucket in self._buckets:
                bucket.capture(self._volumes)

    def keep(self, volume: FloatArray) -> int:
        """The slot in which `volume` float32 (1, 32, 16, 64, 64) lies from now on. Raises `Full`."""
        slot = self._slots.take()
        with self._backend.entered():
            self._volumes.write(slot, volume)
        return slot

    def drop(self, slot: int) -> None:
        """Nobody shows this source any more."""
        self._slots.give_back(slot)

    def draw(self, slots: Sequence[int], source: FloatArray, driving: FloatArray) -> NDArray[np.uint8]:
        """I420 planes uint8 (n, 3/2 S, S) of `n` sources with their keypoints, `source` (n, K, 3), at `driving`."""
        bucket = self._bucket(len(slots))
        with self._backend.entered():
            bucket.source.array[: len(slots)] = source
            bucket.driving.array[: len(slots)] = driving
            bucket.run(slots)
            planes: NDArray[np.uint8] = bucket.planes.array[: len(slots)].copy()
            return planes


class _PortraitBucket(_Bucket):
    def __init__(self, gpu: Gpu, rows: int, warping: Load, generator: Load) -> None:
        super().__init__(gpu, rows)
        self._warping = warping({})
        self._generator = generator({"features": self._warping.outputs["features"].block})
        self.volume = self._warping.inputs["volume"]
        self.source, self.driving = (Door.to(gpu, self._warping.inputs[name]) for name in ("source", "driving"))
        self._picture = self._generator.outputs["picture"]
        height, width = self._picture.shape[2:]
        self.planes = Door.make(gpu, (rows, height * 3 // 2, width), np.uint8)

    def capture(self, volumes: Table) -> None:
        def record(stream: Stream) -> None:
            for door in (self.slots, self.source, self.driving):
                door.send(stream)
            volumes.gather(stream, self.slots.block, self.volume.block)
            self._warping.enqueue(stream)
            self._generator.enqueue(stream)
            picture, planes = self._picture, self.planes.block.address
            height, width = picture.shape[2:]
            half = picture.dtype == np.float16
            self.gpu.kernels.i420(stream, picture.block.address, planes, self.rows, height, width, half)
            self.planes.fetch(stream)

        self.replay = self.gpu.capture(record)


class SpeechStep(_Step["_SpeechBucket"]):
    """The compact voice networks: 40 ms of sound to the lips' bias. Slots hold sessions.

    `silence` is what an ear remembers before anybody speaks. Raises `NoPlan`, `PlanRefused`.
    """

    def __init__(
        self, backend: TensorRtBackend, weights: Path, silence: FeatureState, lookahead_ms: int, slots: int
    ) -> None:
        super().__init__(backend, slots)
        self._silence = silence
        with backend.entered() as gpu:
            ears, mouths = (backend.loaders(weights / f"{name}.onnx") for name in ("audio_features", "audio2exp"))
            shared = sorted(ears.keys() & mouths.keys())
            if not shared:
                raise NoPlan("no plans of audio_features and audio2exp for as many rows: run `visavis build`")
            self._states = {name: Table(gpu, slots, state.shape[1:]) for name, state in silence.tensors.items()}
            self._ring = Ring(gpu, slots)
            row = LOOKAHEADS_MS.index(lookahead_ms)
            self._buckets = [_SpeechBucket(gpu, rows, ears[rows], mouths[rows], row) for rows in shared]
            for bucket in self._buckets:
                bucket.capture(self._states, self._ring)

    def join(self) -> int:
        """A slot for a session, at rest and in silence. Raises `Full`."""
        slot = self._slots.take()
        self.forget(slot)
        return slot

    def leave(self, slot: int) -> None:
        """The session has ended."""
        self._slots.give_back(slot)

    def forget(self, slot: int) -> None:
        """Nothing has been said, and the face has been at rest."""
        with self._backend.entered():
            for name, table in self._states.items():
                table.write(slot, self._silence.tensors[name])
            self._ring.reset(slot)

    def hear(self, slots: Sequence[int], pcm: FloatArray) -> FloatArray:
        """The lips' bias (n, 9) of `n` different sessions after 40 ms of sound, float32 (n, 640), full scale 1."""
        bucket = self._bucket(len(slots))
        if len(set(slots)) < len(slots):
            raise ValueError(f"slots {list(slots)}: a session hears once in a step")
        with self._backend.entered():
            for half, door in enumerate(bucket.pcm):
                door.array[: len(slots)] = pcm[:, half * CHUNK_SAMPLES : (half + 1) * CHUNK_SAMPLES]
            bucket.run(slots)
            bias: FloatArray = bucket.bias.array[: len(slots), bucket.row].copy()
            return bias


class Ring:
    """The past expressions of every slot; where each ring begins is known to the GPU alone."""

    SIZE: Final = (HISTORY, LIP_SIZE)

    def __init__(self, gpu: Gpu, slots: int) -> None:
        self._gpu = gpu
        self._entries = gpu.allocate(slots * HISTORY * LIP_SIZE * 4)
        self._heads = gpu.allocate(slots * 4)
        self._rest = gpu.allocate(LIP_SIZE * 4)
        self._slot = Door.make(gpu, (1,), np.int32)

    def window(self, stream: Stream, slots: Block, history: Block) -> None:
        """Past expressions (n, 16, 9), oldest first."""
        addresses = (self._entries.address, self._heads.address, slots.address, history.address)
        self._gpu.kernels.ring_window(stream, *addresses, slots.size // 4, self.SIZE)

    def push(self, stream: Stream, slots: Block, values: int, stride: int) -> None:
        """Expressions at the address `values`, each `stride` floats after the last."""
        addresses = (self._entries.address, self._heads.address, slots.address, values)
        self._gpu.kernels.ring_push(stream, *addresses, slots.size // 4, stride, self.SIZE)

    def reset(self, slot: int) -> None:
        """The face has been at rest."""
        stream = self._gpu.stream
        self._slot.array[:] = slot
        self._slot.send(stream)
        addresses = (self._entries.address, self._heads.address, self._slot.block.address, self._rest.address)
        self._gpu.kernels.ring_reset(stream, *addresses, 1, self.SIZE)
        self._gpu.wait()


class _SpeechBucket(_Bucket):
    """Two ears, each of which leaves its state where the other finds it, for the two halves of a frame; one mouth."""

    def __init__(self, gpu: Gpu, rows: int, ear: Load, mouth: Load, row: int) -> None:
        super().__init__(gpu, rows)
        self.row = row
        first = ear({})
        states = [name for name in first.inputs if name.startswith(_STATE)]
        crossed = {name: first.outputs[f"{_NEXT}{name}"].block for name in states}
        crossed |= {f"{_NEXT}{name}": first.inputs[name].block for name in states}
        self._ears = first, ear(crossed)
        self._mouth = mouth({})
        self.pcm = [Door.to(gpu, each.inputs["pcm"]) for each in self._ears]
        self.bias = Door.to(gpu, self._mouth.outputs["bias"])
        self._places = [Door.make(gpu, (rows,), np.int32) for _ in self._ears]
        for half, door in enumerate(self._places):  # a frame's features lie side by side, row by row
            door.array[:] = np.arange(rows) * FEATURES_PER_FRAME + half
            door.send(gpu.stream)
        gpu.wait()

    def capture(self, states: Mapping[str, Table], ring: Ring) -> None:
        first, _ = self._ears
        features, history = self._mouth.inputs["features"], self._mouth.inputs["history"]
        width = features.shape[-1] * features.dtype.itemsize

        def record(stream: Stream) -> None:
            self.slots.send(stream)
            for name, table in states.items():
                table.gather(stream, self.slots.block, first.inputs[name].block)
            for ear, pcm, places in zip(self._ears, self.pcm, self._places, strict=True):
                pcm.send(stream)
                ear.enqueue(stream)
                heard, table_at = ear.outputs["features"].block.address, features.block.address
                self.gpu.kernels.scatter_rows(stream, table_at, places.block.address, heard, self.rows, width)
            for name, table in states.items():  # after an even number of ears the state is back where it began
                table.scatter(stream, self.slots.block, first.inputs[name].block)
            ring.window(stream, self.slots.block, history.block)
            self._mouth.enqueue(stream)
            lips = self.bias.block.address + self.row * LIP_SIZE * 4
            ring.push(stream, self.slots.block, lips, len(LOOKAHEADS_MS) * LIP_SIZE)
            self.bias.fetch(stream)

        self.replay = self.gpu.capture(record)
