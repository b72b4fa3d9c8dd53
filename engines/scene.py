"""The whole photo, or clip, around an avatar's square: the living face goes back to where it was cut out."""

import json
import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.clip import Clip, Reel, turning
from engines.coarse_flow import EXTENSION_SIZE
from engines.compiled import compiled
from engines.expression import FloatArray
from engines.landmarks import Crop
from engines.media import FRAME_SIZE

LONGEST_SIDE: Final = 1920
"""Pixels of the longer side of a scene that is kept with an avatar."""
FEATHER: Final = 40
"""Pixels of the avatar's picture over which it passes into the photo."""
KEPT_FRAMES: Final = 144
"""Frames of clips that stay decoded, in all: 200 MB, if they are as large as any (`engines.videos.KEPT_PIXELS`)."""
ENOUGH: Final = 0.8
"""Scale of the avatar's picture in the photo from which on it is laid there without being made smaller first."""


class NoScene(ValueError):
    """The avatar has no photo around it; the message says which avatars have."""


@dataclass(frozen=True)
class Patch:
    """Where the avatar's picture is laid: `photo`, uint8 RGB (h, w, 3) with even sides, the part of the scene around
    its square, and `matrix` float64 (2, 3) from its pixels to the picture's, from centre to centre. Where the picture
    is made smaller, a pixel shows the mean of `samples` by `samples` of it."""

    photo: NDArray[np.uint8]
    matrix: NDArray[np.float64]
    samples: int


@dataclass(frozen=True)
class _Part:
    """What of the photo is painted over: `rows` and `columns` of it; `matrix` float64 (2, 3) from its pixels to the
    picture's, which was made smaller if need be; `share` of the picture in each of them, uint16 (h, w), in 256ths."""

    rows: slice
    columns: slice
    matrix: NDArray[np.float64]
    share: NDArray[np.uint16]


class Scene:
    """A photo, uint8 RGB (h, w, 3) with even sides, and the `square` of it that the avatar's picture shows.

    Outside the square nothing ever changes; its colours are converted once.
    """

    def __init__(self, photo: NDArray[np.uint8], square: Crop) -> None:
        self._photo = _even(photo)
        self._hang(np.asarray(cv2.cvtColor(self._photo, cv2.COLOR_RGB2YUV_I420), np.uint8), square)

    def _hang(self, planes: NDArray[np.uint8], square: Crop) -> None:
        self._planes, self._square = planes, square
        self._laid_size = round(square.side) if square.side < ENOUGH * FRAME_SIZE else FRAME_SIZE
        self._rows, self._columns = self._within(-1, -1, 1, 1)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self._planes.shape[1], self._planes.shape[0] * 2 // 3

    @property
    def patch(self) -> Patch:
        """Where the picture is laid."""
        matrix = self._square.pixel_matrix(FRAME_SIZE, self._columns.start, self._rows.start)
        return Patch(self._under(self._rows, self._columns), matrix, math.ceil(FRAME_SIZE / self._laid_size))

    @staticmethod
    def exists(pack: Path) -> bool:
        """Whether an avatar's folder keeps one."""
        return (pack / "scene.json").is_file()

    @classmethod
    def load(cls, pack: Path, most_pixels: int = LONGEST_SIDE**2) -> "Scene":
        """The scene kept in an avatar's folder, made smaller where it has more pixels. Raises `NoScene` where there is
        none."""
        if Clip.exists(pack):
            return ClipScene(pack, most_pixels)
        photo = cv2.imread(str(pack / "scene.jpg"), cv2.IMREAD_COLOR_RGB) if cls.exists(pack) else None
        if photo is None:
            raise NoScene(f"{pack.name} has no photo around it: only avatars made of photos have one")
        square = Crop(**json.loads((pack / "scene.json").read_text()))
        photo, scale = _shrunk(np.asarray(photo, np.uint8), most_pixels)
        return cls(photo, square.scaled(scale))

    def at(self, media_time: int) -> "Scene":
        """The scene at a media time: a photo is always the same."""
        return self

    def paste(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The photo with the avatar's `picture`, uint8 RGB (512, 512, 3), in its place: uint8 RGB (h, w, 3)."""
        width, height = self.size
        whole = self._under(slice(0, height), slice(0, width)).copy()
        whole[self._rows, self._columns] = self._region(picture, self._all)
        return whole

    def step(self, picture: NDArray[np.uint8], new: FloatArray | None = None) -> NDArray[np.uint8]:
        """The same as I420 planes, uint8 (h * 3 / 2, w); only what changes is converted: the square, or what is `new`
        of the picture (see `engines.drawing.Painting`)."""
        part = self._all if new is None else self._some(new)
        if part is None:
            return self._planes.copy()
        region = np.asarray(cv2.cvtColor(self._region(picture, part), cv2.COLOR_RGB2YUV_I420), np.uint8)
        return self._around(region, part.rows, part.columns)

    def around(self, region: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The same once the picture is laid into the `patch`, whose I420 planes `region` is."""
        return self._around(region, self._rows, self._columns)

    def _around(self, region: NDArray[np.uint8], rows: slice, columns: slice) -> NDArray[np.uint8]:
        planes, luma = self._planes.copy(), rows.stop - rows.start
        planes[rows, columns] = region[:luma]
        _chroma(planes)[:, *_halved(rows, columns)] = _chroma(region)
        return planes

    def _under(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        """Part of the photo, RGB."""
        return self._photo[rows, columns]

    def _region(self, picture: NDArray[np.uint8], part: _Part) -> NDArray[np.uint8]:
        if self._laid_size < FRAME_SIZE:
            size = self._laid_size, self._laid_size
            picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        region = self._under(part.rows, part.columns)
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        laid = cv2.warpAffine(picture, part.matrix, region.shape[1::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
        blended = np.empty_like(region)
        _blend(region, laid, part.share, blended)
        return blended

    @cached_property
    def _all(self) -> _Part:
        """All that the picture shows."""
        share = cv2.resize(_SHARE, (self._laid_size, self._laid_size), interpolation=cv2.INTER_AREA)
        return self._part(self._rows, self._columns, np.asarray(share, np.uint8))

    def _some(self, new: FloatArray) -> _Part | None:
        """What of it is `new`, and passes into the photo beside that. None if nothing is."""
        wide = cv2.dilate((new > 0).astype(np.uint8), np.ones((3, 3), np.uint8))
        left, top, width, height = cv2.boundingRect(wide)
        if width == 0:
            return None
        edges = np.array([left - 1, top - 1, left + width + 1, top + height + 1]) * (2 / EXTENSION_SIZE) - 1
        rows, columns = self._within(*edges.clip(-1, 1))
        within = rows.start < rows.stop and columns.start < columns.stop
        return self._part(rows, columns, wide * _COARSE_SHARE) if within else None

    def _within(self, left: float, top: float, right: float, bottom: float) -> tuple[slice, slice]:
        """Rows and columns of the photo, from even ones to even ones, around a rectangle in [-1, 1] of the square."""
        corners = self._square.to_picture(np.array([[x, y] for x in (left, right) for y in (top, bottom)], np.float32))
        first = np.clip(np.floor(corners.min(0) / 2) * 2, 0, self.size).astype(int)
        last = np.clip(np.ceil(corners.max(0) / 2) * 2, 0, self.size).astype(int)
        return slice(int(first[1]), int(last[1])), slice(int(first[0]), int(last[0]))

    def _part(self, rows: slice, columns: slice, share: NDArray[np.uint8]) -> _Part:
        """That of the photo; `share` (n, n), of 255, covers all of the square."""
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = columns.stop - columns.start, rows.stop - rows.start
        from_photo = self._square.pixel_matrix(share.shape[0], columns.start, rows.start)
        laid = cv2.warpAffine(share, from_photo, size, flags=flags).astype(np.uint16)
        matrix = self._square.pixel_matrix(self._laid_size, columns.start, rows.start)
        return _Part(rows, columns, matrix, laid + (laid >> 7))


class Frame(Scene):
    """A frame of a clip, of which there are I420 `planes`, uint8 (h * 3 / 2, w)."""

    def __init__(self, planes: NDArray[np.uint8], square: Crop) -> None:
        self._hang(planes, square)

    def _under(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        chroma = _chroma(self._planes)[:, *_halved(rows, columns)]
        some = np.concatenate([self._planes[rows, columns].ravel(), chroma.ravel()])
        height, width = rows.stop - rows.start, columns.stop - columns.start
        return np.asarray(cv2.cvtColor(some.reshape(height * 3 // 2, width), cv2.COLOR_YUV2RGB_I420), np.uint8)


class ClipScene(Frame):
    """The frames of a clip: as a scene it is its first frame, and another one `at` every media time."""

    def __init__(self, pack: Path, most_pixels: int) -> None:
        with np.load(pack / "clip.npz", allow_pickle=False) as arrays:
            self._reel, self._squares = Reel(pack / "frames.mjpeg", arrays["frames"]), arrays["squares"]
        self._most_pixels = most_pixels
        super().__init__(*self._frame(0))

    def at(self, media_time: int) -> Scene:
        """The frame that `engines.clip.Clip` shows then."""
        return Frame(*self._frame(turning(media_time, len(self._squares))))

    def _frame(self, index: int) -> tuple[NDArray[np.uint8], Crop]:
        planes, scale = _decoded(self._reel, index, self._most_pixels)
        x, y, side, roll = (float(value) for value in self._squares[index])
        return planes, Crop(x, y, side, roll).scaled(scale)


@lru_cache(KEPT_FRAMES)
def _decoded(reel: Reel, index: int, most_pixels: int) -> tuple[NDArray[np.uint8], float]:
    """A frame of a reel, with at most as many pixels, as I420 planes; and its scale. A clip that plays forth and back
    finds here what it showed last, which is what it shows next."""
    frame, scale = _shrunk(reel.frame(index), most_pixels)
    return np.asarray(cv2.cvtColor(_even(frame), cv2.COLOR_RGB2YUV_I420), np.uint8), scale


def _even(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """All but a last row or column that has none beside it."""
    return np.ascontiguousarray(photo[: photo.shape[0] // 2 * 2, : photo.shape[1] // 2 * 2])


def _chroma(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The colours (2, h / 2, w / 2) in I420 planes (h * 3 / 2, w)."""
    height, width = planes.shape[0] * 2 // 3, planes.shape[1]
    return planes[height:].reshape(2, height // 2, width // 2)


def _halved(rows: slice, columns: slice) -> tuple[slice, slice]:
    return slice(rows.start // 2, rows.stop // 2), slice(columns.start // 2, columns.stop // 2)


def _shrunk(photo: NDArray[np.uint8], most_pixels: int) -> tuple[NDArray[np.uint8], float]:
    """The photo with at most as many pixels, and its scale."""
    scale = (most_pixels / (photo.shape[0] * photo.shape[1])) ** 0.5
    if scale >= 1:
        return photo, 1.0
    size = int(photo.shape[1] * scale), int(photo.shape[0] * scale)
    return np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), np.uint8), scale


def _share() -> NDArray[np.uint8]:
    """The share of an avatar's picture in each of its pixels, of 255: the border passes into the photo."""
    away = np.minimum(np.arange(FRAME_SIZE), np.arange(FRAME_SIZE)[::-1]) + 0.5
    inside = np.clip(np.minimum.outer(away, away) / FEATHER, 0, 1)
    return np.asarray(np.rint(inside * inside * (3 - 2 * inside) * 255), np.uint8)


_SHARE: Final = _share()
_COARSE_SHARE: Final = np.asarray(cv2.resize(_SHARE, (EXTENSION_SIZE,) * 2, interpolation=cv2.INTER_AREA), np.uint8)


@compiled()
def _blend(under: Any, over: Any, share: Any, out: Any) -> None:
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            part = np.int32(share[y, x])
            for c in range(3):
                below = np.int32(under[y, x, c])
                out[y, x, c] = np.uint8(below + (((np.int32(over[y, x, c]) - below) * part + 128) >> 8))
