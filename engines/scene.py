"""The whole photo around an avatar's square: the living face goes back to where it was cut out."""

import json
from pathlib import Path
from typing import Any, Final

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from engines.landmarks import Crop
from engines.media import FRAME_SIZE

LONGEST_SIDE: Final = 1920
"""Pixels of the longer side of a scene that is kept with an avatar."""
FEATHER: Final = 40
"""Pixels of the avatar's picture over which it passes into the photo."""


class NoScene(ValueError):
    """The avatar has no photo around it; the message says which avatars have."""


class Scene:
    """A photo, uint8 RGB (h, w, 3) with even sides, and the `square` of it that the avatar's picture shows.

    Outside the square nothing ever changes; its colours are converted once.
    """

    def __init__(self, photo: NDArray[np.uint8], square: Crop) -> None:
        height, width = photo.shape[0] // 2 * 2, photo.shape[1] // 2 * 2
        self._photo = np.ascontiguousarray(photo[:height, :width])
        self._planes = cv2.cvtColor(self._photo, cv2.COLOR_RGB2YUV_I420)
        corners = square.to_picture(np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32))
        left, top = np.clip(np.floor(corners.min(0) / 2) * 2, 0, (width, height)).astype(int)
        right, bottom = np.clip(np.ceil(corners.max(0) / 2) * 2, 0, (width, height)).astype(int)
        self._rows, self._columns = slice(top, bottom), slice(left, right)
        self._shrink = min(1.0, square.side / FRAME_SIZE)
        self._matrix = square.pixel_matrix(round(FRAME_SIZE * self._shrink), left, top)
        self._share = self._seam(square)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self._photo.shape[1], self._photo.shape[0]

    @staticmethod
    def exists(pack: Path) -> bool:
        """Whether an avatar's folder keeps one."""
        return (pack / "scene.json").is_file()

    @classmethod
    def load(cls, pack: Path, most_pixels: int = LONGEST_SIDE**2) -> "Scene":
        """The scene kept in an avatar's folder, made smaller where it has more pixels. Raises `NoScene` where there is
        none."""
        photo = cv2.imread(str(pack / "scene.jpg"), cv2.IMREAD_COLOR) if cls.exists(pack) else None
        if photo is None:
            raise NoScene(f"{pack.name} has no photo around it: only avatars made of photos have one")
        square = Crop(**json.loads((pack / "scene.json").read_text()))
        scale = (most_pixels / (photo.shape[0] * photo.shape[1])) ** 0.5
        if scale < 1:
            width, height = int(photo.shape[1] * scale), int(photo.shape[0] * scale)
            square = square.scaled(scale)
            photo = np.asarray(cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        return cls(np.ascontiguousarray(photo[..., ::-1]), square)

    def paste(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The photo with the avatar's `picture`, uint8 RGB (512, 512, 3), in its place: uint8 RGB (h, w, 3)."""
        whole = self._photo.copy()
        whole[self._rows, self._columns] = self._region(picture)
        return whole

    def step(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The same as I420 planes, uint8 (h * 3 / 2, w); only the square is converted."""
        width, height = self.size
        planes = self._planes.copy()
        region = cv2.cvtColor(self._region(picture), cv2.COLOR_RGB2YUV_I420)
        rows, columns = region.shape[0] * 2 // 3, region.shape[1]
        planes[self._rows, self._columns] = region[:rows]
        chroma = planes[height:].reshape(2, height // 2, width // 2)
        top, left = self._rows.start // 2, self._columns.start // 2
        chroma[:, top : top + rows // 2, left : left + columns // 2] = region[rows:].reshape(2, rows // 2, columns // 2)
        return planes

    def _region(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self._shrink < 1:
            size = round(FRAME_SIZE * self._shrink)
            picture = np.asarray(cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
        region = self._photo[self._rows, self._columns]
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        laid = cv2.warpAffine(picture, self._matrix, region.shape[1::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
        blended = np.empty_like(region)
        _blend(region, laid, self._share, blended)
        return blended

    def _seam(self, square: Crop) -> NDArray[np.uint16]:
        """The share of the avatar's picture in every pixel of the region, in 256ths."""
        y, x = np.mgrid[self._rows, self._columns].astype(np.float32) + np.float32(0.5)
        inside = (1 - np.abs(square.to_crop(np.stack([x, y], -1))).max(-1)) * (FRAME_SIZE / 2 / FEATHER)
        inside = np.clip(inside, 0, 1)
        return np.asarray(np.rint(inside * inside * (3 - 2 * inside) * 256), np.uint16)


@numba.njit(nogil=True, cache=True)
def _blend(under: Any, over: Any, share: Any, out: Any) -> None:
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            part = np.int32(share[y, x])
            for c in range(3):
                below = np.int32(under[y, x, c])
                out[y, x, c] = np.uint8(below + (((np.int32(over[y, x, c]) - below) * part + 128) >> 8))
