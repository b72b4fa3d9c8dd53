"""From how faces move to the planes of their pictures, for all sessions at once, on the GPU.

moves -> keypoints (-> stitching) -> warping -> generator (-> enlarged) -> I420, or the photo around it -> I420
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.expression import FloatArray
from engines.gpu import Gpu, Stream
from engines.gpu_steps import Bucket, Door, Step, Table
from engines.keypoint_face import MOVE_SIZE
from engines.media import FRAME_SIZE
from engines.paste_back import Desk
from engines.scene import Patch
from engines.tensorrt_backend import Load, TensorRtBackend


class PortraitStep(Step["_PortraitBucket"]):
    """The full-size renderers' networks; `stitching`, if there is one, mends the seam at the neck. Slots hold sources:
    avatars, not sessions. Raises `NoPlan`, `PlanRefused`."""

    def __init__(
        self, backend: TensorRtBackend, warping: Path, generator: Path, stitching: Path | None, slots: int
    ) -> None:
        with backend.entered() as gpu:
            loads = backend.shared_loaders(warping, generator, *([stitching] if stitching else []))
            buckets = [_PortraitBucket(gpu, rows, *each) for rows, each in loads.items()]
            super().__init__(backend, slots, buckets)
            self._volumes = Table(gpu, slots, buckets[0].volume.shape[1:])
            self._faces = Table(gpu, slots, (buckets[0].stride,))
            # One source on its way to its slot.
            self._volume, self._face = (Door.make(gpu, (1, *table.shape)) for table in (self._volumes, self._faces))
            self._slot = Door.make(gpu, (1,), np.int32)
            self._desks = [Desk(gpu) for _ in range(self.largest)]
            for bucket in buckets:
                bucket.capture(self._volumes, self._faces)

    @property
    def slot_bytes(self) -> int:
        """What a source takes of the GPU's memory."""
        return self._volumes.row_bytes + self._faces.row_bytes

    def keep(self, volume: FloatArray, canonical: FloatArray, keypoints: FloatArray) -> int:
        """The slot in which a source lies from now on: `volume` float32 (1, 32, 16, 64, 64), the person's own keypoints
        (K, 3) and where they are in the picture. Raises `Full`."""
        slot = self._slots.take()
        with self._backend.entered() as gpu:
            count = canonical.size
            self._volume.array[:], self._slot.array[:] = volume, slot
            self._face.array[0, :count], self._face.array[0, count : 2 * count] = canonical.ravel(), keypoints.ravel()
            for door in (self._volume, self._face, self._slot):
                door.send(gpu.stream)
            self._volumes.scatter(gpu.stream, self._slot.block, self._volume.block)
            self._faces.scatter(gpu.stream, self._slot.block, self._face.block)
            gpu.wait()
        return slot

    def drop(self, slot: int) -> None:
        """Nobody shows this source any more."""
        self._slots.give_back(slot)

    def draw(self, slots: Sequence[int], moves: FloatArray, patches: Sequence[Patch | None]) -> list[NDArray[np.uint8]]:
        """I420 planes uint8 of `n` sources, moved as `engines.keypoint_face.Faces.move` tells, (n, M): (768, 512), or
        (h * 3 / 2, w) of the patch (h, w) that a picture is laid into."""
        bucket, count = self._bucket(len(slots)), len(slots)
        with self._backend.entered() as gpu:
            bucket.moves.array[:count] = moves
            bucket.start(slots)
            planes = [
                bucket.planes.array[row] if patch is None else self._desks[row].lay(bucket.picture(row), patch)
                for row, patch in enumerate(patches)
            ]
            gpu.wait()
            return [each.copy() for each in planes]


class _PortraitBucket(Bucket):
    def __init__(self, gpu: Gpu, rows: int, warping: Load, generator: Load, stitching: Load | None = None) -> None:
        super().__init__(gpu, rows)
        self._warping = warping({})
        self._generator = generator({"features": self._warping.outputs["features"].block})
        self._stitching = stitching({}) if stitching else None
        self.volume = self._warping.inputs["volume"]
        self._source, self._driving = self._warping.inputs["source"], self._warping.inputs["driving"]
        self._count = self._driving.shape[1]
        self.stride = -(-6 * self._count // 4) * 4  # rows of tables are whole words
        self._faces = gpu.allocate(rows * self.stride * 4)
        self.moves = Door.make(gpu, (rows, MOVE_SIZE + 3 * self._count))
        picture = self._generator.outputs["picture"]
        self._size, self._painted = picture.shape[2], picture.block
        enlarges = self._size != FRAME_SIZE
        self._picture = gpu.allocate(rows * 3 * FRAME_SIZE**2 * 4) if enlarges else self._painted
        self.planes = Door.make(gpu, (rows, FRAME_SIZE * 3 // 2, FRAME_SIZE), np.uint8)

    def picture(self, row: int) -> int:
        """Address of what was drawn, float32 (3, 512, 512) in 0..1."""
        return self._picture.address + row * 3 * FRAME_SIZE**2 * 4

    def capture(self, volumes: Table, faces: Table) -> None:
        def record(stream: Stream) -> None:
            self.slots.send(stream)
            self.moves.send(stream)
            volumes.gather(stream, self.slots.block, self.volume.block)
            faces.gather(stream, self.slots.block, self._faces)
            self._place(stream)
            self._warping.enqueue(stream)
            self._generator.enqueue(stream)
            kernels, picture = self.gpu.kernels, self._picture.address
            if self._picture is not self._painted:
                kernels.enlarge(stream, self._painted.address, picture, self.rows, self._size, FRAME_SIZE)
            kernels.i420(stream, picture, self.planes.block.address, self.rows, FRAME_SIZE, FRAME_SIZE)
            self.planes.fetch(stream)

        self.replay = self.gpu.capture(record)

    def _place(self, stream: Stream) -> None:
        kernels, sizes = self.gpu.kernels, (self.rows, self._count)
        given = self._stitching.inputs["given"].block.address if self._stitching else 0
        placed = self._source.block.address, self._driving.block.address, given
        kernels.place_keypoints(stream, self._faces.address, self.moves.block.address, *placed, *sizes, self.stride)
        if self._stitching:
            self._stitching.enqueue(stream)
            offsets = self._stitching.outputs["offsets"].block.address
            kernels.stitch_keypoints(stream, offsets, self._driving.block.address, *sizes)
