"""From sound to lips for all sessions at once, on the GPU: the compact voice networks as `engines.ears`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from engines.audio2exp import FRAME_MS, HISTORY, LOOKAHEADS_MS, lookahead_row
from engines.ears import AUDIO2EXP, AUDIO_FEATURES, SILENT_FRAMES
from engines.expression import LIP_SIZE, FloatArray
from engines.gpu import Block, Gpu, Stream
from engines.gpu_steps import Bucket, Door, Step, Table
from engines.tensorrt_backend import Load, TensorRtBackend


class SpeechStep(Step["_SpeechBucket"]):
    """See `engines.ears.Ears`. Slots hold sessions. Raises `NoPlan`, `PlanRefused`."""

    def __init__(self, backend: TensorRtBackend, weights: Path, slots: int) -> None:
        with backend.entered() as gpu:
            loads = backend.shared_loaders(weights / AUDIO_FEATURES, weights / AUDIO2EXP)
            buckets = [_SpeechBucket(gpu, rows, ear, mouth) for rows, (ear, mouth) in loads.items()]
            super().__init__(backend, slots, buckets)
            self._states = Table(gpu, slots, buckets[0].state.shape[1:])
            self._silence = gpu.allocate(self._states.row_bytes)
            self._ring = Ring(gpu, slots)
            self._slot = Door.make(gpu, (1,), np.int32)
            for bucket in buckets:
                bucket.capture(self._states, self._ring)
            self._hear_silence(gpu)

    def _hear_silence(self, gpu: Gpu) -> None:
        """Let the first slot hear it, and keep what it remembers then."""
        bucket = self._buckets[0]
        for _ in range(SILENT_FRAMES):
            bucket.run([0])
        self._slot.array[:] = 0
        self._slot.send(gpu.stream)
        self._states.gather(gpu.stream, self._slot.block, self._silence)
        gpu.wait()

    @property
    def slot_bytes(self) -> int:
        """What a session keeps in the GPU's memory."""
        return self._states.row_bytes + 4 * (Ring.SIZE[0] * Ring.SIZE[1] + 1)

    def open(self, lookahead_ms: int) -> "SlotEar":
        """See `Ears.open`."""
        return SlotEar(self, lookahead_ms)

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
        with self._backend.entered() as gpu:
            self._slot.array[:] = slot
            self._slot.send(gpu.stream)
            self._states.scatter(gpu.stream, self._slot.block, self._silence)
            self._ring.reset(gpu.stream, self._slot.block)
            gpu.wait()

    def hear(self, ears: Sequence["SlotEar"], pcm: FloatArray) -> FloatArray:
        """See `Ears.hear`. Raises `Full` for an ear that begins to hear when all slots are taken."""
        bucket, count = self._bucket(len(ears)), len(ears)
        slots = [ear.slot for ear in ears]
        if len(set(slots)) < count:
            raise ValueError(f"slots {slots}: a session hears once in a step")
        rows = [ear.row for ear in ears]
        with self._backend.entered():
            bucket.pcm.array[:count] = pcm
            bucket.chosen.array[:count] = rows
            bucket.run(slots)
            bias: FloatArray = bucket.bias.array[np.arange(count), rows]
            return bias


class SlotEar:
    """One session's ear. It takes a slot when it begins to hear: who never does needs none."""

    def __init__(self, step: SpeechStep, lookahead_ms: int) -> None:
        self.row = lookahead_row(lookahead_ms)
        self.lookahead_frames = lookahead_ms // FRAME_MS
        self._step = step
        self._slot: int | None = None

    @property
    def slot(self) -> int:
        """Raises `Full`."""
        if self._slot is None:
            self._slot = self._step.join()
        return self._slot

    def forget(self) -> None:
        """See `Ear.forget`."""
        if self._slot is not None:
            self._step.forget(self._slot)

    def close(self) -> None:
        """See `Ear.close`."""
        if self._slot is not None:
            self._step.leave(self._slot)
            self._slot = None


class Ring:
    """The past expressions of every slot; where each ring begins is known to the GPU alone."""

    SIZE: Final = (HISTORY, LIP_SIZE)

    def __init__(self, gpu: Gpu, slots: int) -> None:
        self._gpu = gpu
        self._entries = gpu.allocate(slots * HISTORY * LIP_SIZE * 4)
        self._heads = gpu.allocate(slots * 4)
        self._rest = gpu.allocate(LIP_SIZE * 4)

    def window(self, stream: Stream, slots: Block, history: Block) -> None:
        """Past expressions (n, 16, 9), oldest first."""
        addresses = (self._entries.address, self._heads.address, slots.address, history.address)
        self._gpu.kernels.ring_window(stream, *addresses, slots.size // 4, self.SIZE)

    def push(self, stream: Stream, slots: Block, bias: Block, chosen: Block) -> None:
        """The `chosen` row of every session's `bias` (n, lookaheads, 9)."""
        addresses = (self._entries.address, self._heads.address, slots.address, bias.address, chosen.address)
        self._gpu.kernels.ring_push(stream, *addresses, slots.size // 4, len(LOOKAHEADS_MS), self.SIZE)

    def reset(self, stream: Stream, slots: Block) -> None:
        """Faces that have been at rest."""
        addresses = (self._entries.address, self._heads.address, slots.address, self._rest.address)
        self._gpu.kernels.ring_reset(stream, *addresses, slots.size // 4, self.SIZE)


class _SpeechBucket(Bucket):
    """An ear, and a mouth that finds the features where the ear leaves them."""

    def __init__(self, gpu: Gpu, rows: int, ear: Load, mouth: Load) -> None:
        super().__init__(gpu, rows)
        self._ear = ear({})
        self._mouth = mouth({"features": self._ear.outputs["features"].block})
        self.state = self._ear.inputs["state"]
        self.pcm = Door.to(gpu, self._ear.inputs["pcm"])
        self.chosen = Door.make(gpu, (rows,), np.int32)
        self.bias = Door.to(gpu, self._mouth.outputs["bias"])

    def capture(self, states: Table, ring: Ring) -> None:
        following, history = self._ear.outputs["next_state"], self._mouth.inputs["history"]

        def record(stream: Stream) -> None:
            self.slots.send(stream)
            self.chosen.send(stream)
            self.pcm.send(stream)
            states.gather(stream, self.slots.block, self.state.block)
            self._ear.enqueue(stream)
            states.scatter(stream, self.slots.block, following.block)
            ring.window(stream, self.slots.block, history.block)
            self._mouth.enqueue(stream)
            ring.push(stream, self.slots.block, self.bias.block, self.chosen.block)
            self.bias.fetch(stream)

        self.replay = self.gpu.capture(record)
