"""Avatar packs: a portrait, the head mesh fitted to it, and the camera that saw it."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.clip import Clip
from engines.eyeballs import Eyeballs
from engines.face_geometry import Interior, SourceGeometry
from engines.globe import Globe
from engines.head_mesh import Camera, HeadMesh
from engines.media import FRAME_SIZE
from engines.retouch import RETOUCH, Retouch

AVATARS: Final = Path(__file__).parent / "assets" / "avatars"


class UnknownAvatar(KeyError):
    """No pack has this name; the message lists those that exist."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(name)
        self.message = f"there is no avatar {name!r}; choose one of: {', '.join(known) or 'none is installed'}"

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Avatar:
    """Who is shown: `picture` uint8 RGB (512, 512, 3), facing the camera, and its geometry; the clip in which they
    move, if they were made of one; the retouch of that picture, if it is a photo; and their eyeballs, if somebody could
    look behind the lids."""

    id: str
    name: str
    description: str
    folder: Path
    picture: NDArray[np.uint8]
    geometry: SourceGeometry
    clip: Clip | None = None
    retouch: Retouch | None = None
    eyeballs: Eyeballs | None = None

    @property
    def thumbnail(self) -> Path:
        """A small JPEG portrait."""
        return self.folder / "thumbnail.jpg"

    @cached_property
    def content_hash(self) -> str:
        """Names what the source cache depends on: the picture, the mesh, the globe and the eyeballs."""
        digest = hashlib.sha256(self.picture.tobytes())
        digest.update(self.geometry.points.tobytes())
        if self.geometry.globe is not None:
            for picture in (self.geometry.globe.skin, self.geometry.globe.worn, self.geometry.globe.strands):
                digest.update(picture.tobytes())
        if self.eyeballs is not None:
            for array in self.eyeballs.arrays().values():
                digest.update(array.tobytes())
        return digest.hexdigest()


def list_avatars(folder: Path = AVATARS) -> list[str]:
    """Names of the packs in `folder`, sorted."""
    return sorted(pack.parent.name for pack in folder.glob("*/avatar.json"))


def load_avatar(name: str, folder: Path = AVATARS) -> Avatar:
    """Read a pack. Raises `UnknownAvatar` for a name that is not there and `ValueError` for a broken pack."""
    if name not in list_avatars(folder):
        raise UnknownAvatar(name, list_avatars(folder))
    pack = folder / name
    about = json.loads((pack / "avatar.json").read_text())
    picture = cv2.imread(str(pack / "source.png"), cv2.IMREAD_COLOR)
    if picture is None or picture.shape[:2] != (FRAME_SIZE, FRAME_SIZE):
        raise ValueError(f"{pack / 'source.png'} is not a picture of {FRAME_SIZE} x {FRAME_SIZE} pixels")
    camera = Camera(tuple(about["camera"]["eye"]), tuple(about["camera"]["at"]), about["camera"]["fov_degrees"])
    mesh = HeadMesh.load(pack / "mesh.npz")
    pictured = np.load(pack / "pictured.npy") if (pack / "pictured.npy").is_file() else None
    if pictured is not None and pictured.shape != mesh.neutral.shape:
        raise ValueError(f"{pack / 'pictured.npy'} has shape {pictured.shape}, the mesh {mesh.neutral.shape}")
    geometry = SourceGeometry(mesh, camera, Interior.load(pack), pictured, Globe.load(pack))
    clip = Clip(pack, mesh, geometry.interior) if Clip.exists(pack) else None
    retouch = Retouch.load(pack, len(mesh.triangles)) if (pack / RETOUCH).is_file() else None
    picture = np.ascontiguousarray(picture[..., ::-1])
    about_them = about["name"], about["description"]
    return Avatar(name, *about_them, pack, picture, geometry, clip, retouch, Eyeballs.load(pack))
