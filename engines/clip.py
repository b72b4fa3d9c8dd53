"""A clip as an avatar's life: it plays forth and back, and each of its frames is a source of its own.

Beside what the pack of a photo holds (`engines.portrait_pack`), that of a clip keeps `faces.mjpeg`, the avatar's square
of every frame, `frames.mjpeg`, all of it, `mesh.npy`, float16 (N, 2, V, 3), by how much the head at rest differs from
`base` in each frame, and what the frame shows from that, and `clip.npz` with all that is small. Nothing of it stays in
memory: files are mapped and read where a frame needs them.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.controls import Controls
from engines.drive import Drive
from engines.expression import EXPRESSION_INDEX, EXPRESSION_SIZE, FloatArray
from engines.face_geometry import Interior
from engines.frame_geometry import FrameGeometry
from engines.head_bend import OPENING
from engines.head_mesh import Camera, HeadMesh, Part
from engines.media import FRAME_TICKS, HeadPose, Motion
from engines.pictures import from_jpeg

_LIDS: Final = [EXPRESSION_INDEX["eyeBlinkLeft"], EXPRESSION_INDEX["eyeBlinkRight"]]
_STILL: Final = Drive(np.zeros(EXPRESSION_SIZE), np.zeros(2), (0.0, 0.0), HeadPose())
"""What the clip does itself, the idle model leaves alone."""


@dataclass(frozen=True)
class ClipFrame:
    """A frame as a source: `picture` uint8 RGB (512, 512, 3), `geometry` of the head in it, and `opening` float32
    (EXPRESSION_SIZE,), how far it shows the mouth open."""

    picture: NDArray[np.uint8]
    geometry: FrameGeometry
    opening: FloatArray


class Clip:
    """N frames, 25 a second. Safe to use from any thread."""

    def __init__(self, pack: Path, mesh: HeadMesh, interior: Interior) -> None:
        """What `engines.clip_pack` left in `pack`; `mesh` and `interior` of its portrait. Raises `ValueError`."""
        with np.load(pack / "clip.npz", allow_pickle=False) as arrays:
            self._arrays = {name: arrays[name] for name in arrays.files}
        self._faces = Reel(pack / "faces.mjpeg", self._arrays["faces"])
        self._shapes = np.load(pack / "mesh.npy", mmap_mode="r")
        base = self._arrays["base"]
        if self._shapes.shape != (len(self), 2, *base.shape) or mesh.deltas.shape[1] != len(base):
            raise ValueError(f"{pack / 'mesh.npy'} has shape {self._shapes.shape}")
        bare = mesh.parts < Part.HAIR  # what people wear stays where the picture shows it
        self._mesh = replace(
            mesh,
            neutral=base,
            skinning=mesh.skinning[: len(base)],
            eye_of_vertex=mesh.eye_of_vertex[: len(base)],
            triangles=mesh.triangles[bare],
            parts=mesh.parts[bare],
        )
        self._interior = interior

    def __len__(self) -> int:
        return len(self._arrays["cameras"])

    @staticmethod
    def exists(pack: Path) -> bool:
        """Whether an avatar's folder keeps one."""
        return (pack / "clip.npz").is_file()

    def frame(self, media_time: int) -> ClipFrame:
        """What is seen at a media time."""
        index = turning(media_time, len(self))
        rest, shown = self._mesh.neutral + self._shapes[index, 0], self._shapes[index, 1].astype(np.float32)
        mesh = self._mesh.reshaped(rest, self._arrays["eye_centers"][index])
        x, y, z, *at, fov, roll = (float(value) for value in self._arrays["cameras"][index])
        camera = Camera((x, y, z), (at[0], at[1], at[2]), fov, roll)
        geometry = FrameGeometry(mesh, camera, self._interior, rest + shown)
        opening = self._arrays["expressions"][index] * OPENING
        return ClipFrame(self._faces.frame(index), geometry, opening)

    def lead(self, controls: Controls, drive: Drive) -> tuple[Controls, Drive]:
        """Let the clip do what nobody directs, and the head always: it cannot be turned out of the picture."""
        asked = {name: value for name in ("face", "lids", "gaze") if (value := getattr(drive, name)) is not None}
        return replace(controls, pose=None), replace(_STILL, emotion=drive.emotion, **asked)

    def beyond(self, motion: Motion, media_time: int) -> Motion:
        """`motion` less what the frame shows anyway: lids that are down cannot go further."""
        expression = motion.expression.copy()
        lids = self._arrays["expressions"][turning(media_time, len(self))][_LIDS]
        expression[_LIDS] = np.maximum(expression[_LIDS] - lids, 0)
        return replace(motion, expression=expression)


class Reel:
    """A file of JPEGs, one after the other, that begin and end at `edges` int64 (N + 1,). Equal to others of the same
    file: a pack is never written again."""

    def __init__(self, path: Path, edges: NDArray[np.int64]) -> None:
        self._path = path
        self._bytes = np.memmap(path, np.uint8, "r")
        self._edges = edges
        if edges[-1] != len(self._bytes):
            raise ValueError(f"{path} has {len(self._bytes)} bytes, not {edges[-1]}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reel) and self._path == other._path

    def __hash__(self) -> int:
        return hash(self._path)

    def frame(self, index: int) -> NDArray[np.uint8]:
        """RGB uint8 (h, w, 3)."""
        return from_jpeg(self._bytes[self._edges[index] : self._edges[index + 1]])

    @staticmethod
    def write(path: Path, pictures: list[bytes]) -> NDArray[np.int64]:
        """Write JPEGs; returns the edges."""
        path.write_bytes(b"".join(pictures))
        return np.cumsum([0, *(len(picture) for picture in pictures)])


def turning(media_time: int, count: int) -> int:
    """Which of `count` frames is seen at a media time, forth and back."""
    at = media_time // FRAME_TICKS % (2 * count - 2)
    return min(at, 2 * count - 2 - at)
