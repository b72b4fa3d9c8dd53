"""The head as a globe: all that can be seen of it from around, unrolled.

What the source hides of a head must be guessed, unless somebody can walk around it. The studio can
(`training.studio.globe`): what a turn of the head uncovers is then looked up on its globe, in the light of the source.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.atlas import GLOBE_SKIN, GLOBE_WORN
from engines.expression import FloatArray
from engines.flow import STRAND
from engines.head_mesh import HeadMesh, Part
from engines.media import FRAME_SIZE, Motion
from engines.raster import Window
from engines.source_view import HIDDEN, SourceView, Unrolled, view_source

FILES: Final = ("globe_skin.jpg", "globe_worn.jpg", "globe_strands.png")
CENTRE: Final = np.array([0.0, -0.35, -0.95], np.float32)
"""Where the globe's centre lies from the middle of the eyes, decimetres: in the head, above the neck."""
LONGITUDE, LATITUDE = np.radians(115.0), np.radians(78.0)
"""How far the pictures reach to either side of the face's middle, and above and below the centre."""
STEEP: Final = 0.4
"""Cosine of the angle to the globe's own surface from which a triangle shows too little of itself on it."""
_RADIUS: Final = 10.0
"""Decimetres from the centre at which the globe is looked at."""


@dataclass(frozen=True)
class Globe:
    """`skin`, with nothing worn before it, and what is `worn`, hair and garment: RGB uint8 (512, 512, 3). `strands`
    uint8 (512, 512) is 1 where the source shows something darker than its skin, be there a mesh of it or not."""

    skin: NDArray[np.uint8]
    worn: NDArray[np.uint8]
    strands: NDArray[np.uint8]

    @classmethod
    def load(cls, folder: Path) -> "Globe | None":
        """That of an avatar pack, if it has one. Raises `ValueError` if it is broken."""
        paths = [folder / name for name in FILES]
        if not any(path.is_file() for path in paths):
            return None
        pictures = [cv2.imread(str(path), cv2.IMREAD_COLOR_RGB) for path in paths]
        if any(picture is None or picture.shape[:2] != (FRAME_SIZE, FRAME_SIZE) for picture in pictures):
            raise ValueError(f"{folder}: {', '.join(FILES)} are not pictures of {FRAME_SIZE} x {FRAME_SIZE} pixels")
        skin, worn, strands = (np.asarray(picture, np.uint8) for picture in pictures)
        return cls(skin, worn, np.ascontiguousarray(strands[..., 0] >> 7))

    def save(self, folder: Path) -> None:
        """Write it into a pack."""
        for name, picture in zip(FILES, (self.skin, self.worn), strict=False):
            cv2.imwrite(str(folder / name), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
        cv2.imwrite(str(folder / FILES[-1]), self.strands * np.uint8(255), [cv2.IMWRITE_PNG_BILEVEL, 1])

    def unrolled(self, mesh: HeadMesh, source: SourceView) -> Unrolled:
        """Where on it the head lies whose globe it is; strands that no hair of the mesh is beside in the `source`
        never leave the skin."""
        points, outer = unroll(mesh), outwards(mesh)
        shelf = np.zeros(len(mesh.triangles), np.uint8)
        for number, layer in ((GLOBE_SKIN, mesh.parts == Part.SKIN), (GLOBE_WORN, mesh.parts >= Part.HAIR)):
            rows = np.nonzero(layer & outer)[0]
            sight = view_source(points, mesh.triangles[rows], mesh.parts[rows], FRAME_SIZE).sight[0]
            shelf[rows[sight != HIDDEN]] = number
        pixels = Window.whole(FRAME_SIZE).pixels(points)
        around = np.zeros((2 * STRAND + 1, 2 * STRAND + 1), np.uint8)
        around[::STRAND, ::STRAND] = 1
        strands = self.strands & cv2.dilate(source.covered - source.skin, around)
        pixels, strands = np.ascontiguousarray(pixels[:, :2]), np.asarray(strands, np.uint8)
        return Unrolled.of(pixels, shelf, strands, source.pixels, mesh.triangles)


def unroll(mesh: HeadMesh) -> FloatArray:
    """The vertices of a head at rest as points (V, 3) of its globe, as `Camera.project` gives those of a picture:
    longitude and latitude as shares of what is shown, y down, and how far they are from who looks at it."""
    x, y, z = _from_centre(mesh).T
    across = np.hypot(x, z)
    point = np.arctan2(x, z) / LONGITUDE, -np.arctan2(y, across) / LATITUDE, _RADIUS - np.hypot(across, y)
    return np.stack(point, 1).astype(np.float32)


def outwards(mesh: HeadMesh) -> NDArray[np.bool_]:
    """Which triangles (T,) the globe's pictures show whole, and not from their edge or back."""
    corners = _from_centre(mesh)[mesh.triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    away = corners.mean(1)
    lengths = np.linalg.norm(normal, axis=1) * np.linalg.norm(away, axis=1)
    inside = np.asarray((np.abs(unroll(mesh)[:, :2]) <= 1).all(1))
    flat = (normal * away).sum(1) > STEEP * lengths
    return np.asarray(flat & inside[mesh.triangles].all(1))


def _from_centre(mesh: HeadMesh) -> FloatArray:
    return np.asarray(mesh.pose(Motion()) - (mesh.eye_centers.mean(0) + CENTRE), np.float32)
