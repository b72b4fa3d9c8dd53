"""What a photo cannot show of a face that moves, as it is kept with the avatar and drawn in every frame: the inside of
the mouth, whole eyeballs, shut lids, and lips that touch where the photo parts them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from engines.eye_paint import EyePaint, EyePainter
from engines.eyeballs import Eyeballs
from engines.face_geometry import FaceGeometry, SourceGeometry
from engines.mouth_paint import MouthPaint, MouthPainter

RETOUCH: Final = "retouch.npz"


@dataclass(frozen=True)
class Lips:
    """`picture` uint8 RGB (h, w, 3): the part of the photo from (`left`, `top`) on, with lips where it shows what lies
    between them."""

    picture: NDArray[np.uint8]
    left: int
    top: int


@dataclass(frozen=True)
class Retouch:
    """All of it; no `lips` where the photo's touch."""

    mouth: MouthPaint
    eyes: EyePaint
    lips: Lips | None

    def sealed(self, photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The `photo`, RGB uint8 (512, 512, 3), with lips that touch."""
        if self.lips is None:
            return photo
        sealed, (height, width) = photo.copy(), self.lips.picture.shape[:2]
        sealed[self.lips.top : self.lips.top + height, self.lips.left : self.lips.left + width] = self.lips.picture
        return sealed

    def save(self, folder: Path) -> None:
        """Write `RETOUCH` into the folder of an avatar."""
        arrays: dict[str, NDArray[Any]] = {
            "mouth": np.stack([self.mouth.teeth, self.mouth.tongue, self.mouth.hollow]),
            "cheeks": np.packbits(self.mouth.cheeks),
            "lids": self.eyes.lids,
            **self.eyes.eyeballs.arrays(),
        }
        if self.lips is not None:
            arrays |= {"lips": self.lips.picture, "lips_at": np.array([self.lips.left, self.lips.top])}
        np.savez_compressed(folder / RETOUCH, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, folder: Path, triangles: int) -> Self:
        """Read what `save` wrote for a head of so many `triangles`. Raises `ValueError` when it is something else."""
        with np.load(folder / RETOUCH, allow_pickle=False) as arrays:
            try:
                eyes = EyePaint(Eyeballs.of(arrays), arrays["lids"])
                lips = Lips(arrays["lips"], *arrays["lips_at"].tolist()) if "lips" in arrays else None
                cheeks = np.unpackbits(arrays["cheeks"], count=triangles).astype(bool)
                teeth, tongue, hollow = arrays["mouth"].astype(np.float32)
                return cls(MouthPaint(teeth, tongue, hollow, cheeks), eyes, lips)
            except KeyError as error:
                raise ValueError(f"{folder / RETOUCH} is no retouch: {error} is missing") from error


class Retoucher:
    """Draws a `Retouch` on one head; of a clip, whose frames have eyes of their own, only the mouth. Safe to use from
    any thread."""

    def __init__(self, mouth: MouthPainter, eyes: EyePainter | None) -> None:
        self._mouth, self._eyes = mouth, eyes

    @classmethod
    def of(cls, retouch: Retouch, geometry: SourceGeometry) -> Self:
        """That of a photo."""
        return cls(MouthPainter(retouch.mouth, geometry.mesh), EyePainter(retouch.eyes, geometry))

    @property
    def of_clip(self) -> "Retoucher":
        """The same for a clip of that head."""
        return Retoucher(self._mouth, None)

    @property
    def draws_eyes(self) -> bool:
        """Whether it is a photo's."""
        return self._eyes is not None

    def draw(self, picture: NDArray[np.uint8], warped: NDArray[np.uint8], geometry: FaceGeometry) -> None:
        """Retouch a painted `picture` in place; `warped` is what was painted over. Both uint8 RGB (512, 512, 3)."""
        self._mouth.draw(picture, geometry)
        if self._eyes is not None:
            self._eyes.draw(picture, warped, geometry)
