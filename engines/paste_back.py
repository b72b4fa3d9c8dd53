"""Pictures go back into the photos they were cut from while they are still on the GPU."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.gpu import Gpu
from engines.gpu_steps import Door
from engines.media import FRAME_SIZE
from engines.scene import FEATHER, Patch

_PIECE: Final = 2**16
"""Room is made for so many pixels at a time: the square of a clip is a little larger or smaller in every frame."""


class Desk:
    """Where one picture of a batch is laid into its photo. It has room for the largest patch so far: 4.5 bytes a pixel,
    of the GPU's memory and of the host's, none before the first."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu, self._pixels = gpu, 0

    def lay(self, picture: int, patch: Patch) -> NDArray[np.uint8]:
        """Enqueue the picture, float32 (3, 512, 512) in 0..1 at an address of the GPU, over the patch (h, w): I420
        planes uint8 (h * 3 / 2, w). They are there once the GPU was waited for, until another picture is laid."""
        height, width = patch.photo.shape[:2]
        self._make_room(height * width)
        self._photo.array[: patch.photo.size].reshape(height, width, 3)[:] = patch.photo
        self._photo.send(self._gpu.stream)
        addresses = picture, self._photo.block.address, self._planes.block.address
        numbers = FRAME_SIZE, FEATHER, patch.samples, height, width
        self._gpu.kernels.paste_back(self._gpu.stream, *addresses, patch.matrix, *numbers)
        self._planes.fetch(self._gpu.stream)
        planes: NDArray[np.uint8] = self._planes.array[: height * width * 3 // 2]
        return planes.reshape(height * 3 // 2, width)

    def _make_room(self, pixels: int) -> None:
        if pixels > self._pixels:
            self._pixels = -(-pixels // _PIECE) * _PIECE
            self._photo, self._planes = (
                Door.make(self._gpu, (self._pixels * share // 2,), np.uint8) for share in (6, 3)
            )
