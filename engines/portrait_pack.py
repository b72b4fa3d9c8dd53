"""Avatar packs that people make of photos and clips: written, fitted anew, listed, deleted.

Beside what every pack holds (`engines.avatar`), such a pack keeps `photo.jpg`, the part of the photo around the head
without its metadata, `scene.jpg`, all of the photo (`engines.scene`), `retouch.npz`, what it cannot show of a face that
moves (`engines.retouch`), and `fit.json`: which square of the photo the avatar shows, where the keypoints were found
and lie, and which of them a person has moved.
"""

import json
import os
import re
import secrets
import shutil
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.avatar import AVATARS, Avatar, list_avatars, load_avatar
from engines.backend import Backend
from engines.clip import Clip
from engines.clip_fit import best_frame, fit_track, take_shots, talks
from engines.clip_pack import write_clip
from engines.clip_track import follow
from engines.face_basis import FaceBasis
from engines.face_geometry import Interior, SourceGeometry
from engines.landmarks import TRACKED_NAMES, Crop, Face, LandmarkFinder
from engines.openvino_backend import OpenVinoBackend
from engines.pictures import read_picture, to_jpeg
from engines.portrait import NoPortrait, Portrait, choose_face, make_portrait
from engines.retouching import retouch
from engines.scene import LONGEST_SIDE
from engines.videos import MOST_BYTES, read_video, video_format

THUMBNAIL_SIZE: Final = 192
PHOTO_SIDE: Final = 2048
"""Pixels at most on a side of the part of the photo that is kept."""
AROUND: Final = 2.2
"""Side of that part, in sides of the face's crop."""
HANDLES: Final = tuple(
    name
    for name in TRACKED_NAMES
    if re.fullmatch(
        r"lid_(left|right)_[0246]|brow_\w+|nose_(tip|base)|alar_\w+|mouth_corner_\w+|lip_(upper|lower)_outer_(middle|left_0|right_0)"
        r"|lip_(upper|lower)_inner_middle|chin|outline_(left|right)_[1-4]|forehead",
        name,
    )
)
"""The keypoints that a person can tell and move in a picture."""
LONGEST_NAME: Final = 40
LICENCE: Final = "Made from a picture by the person who runs this server: its rights are theirs to clear."


def user_folder(chosen: str = "", environment: Mapping[str, str] = os.environ) -> Path:
    """Where people's own avatars lie: in the `chosen` folder, or else below XDG_DATA_HOME."""
    if chosen:
        return Path(chosen).expanduser()
    data = environment.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data) / "visavis" / "avatars"


@dataclass(frozen=True)
class Made:
    """A pack that was written: its `id`; `points`, keypoint names with places as fractions (x, y) of the picture, if
    they can be moved; `notes` for the person."""

    id: str
    points: dict[str, tuple[float, float]]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """Where a part of a photo lies in a whole one: a pixel (x, y) of it at (left, top) + scale * (x, y)."""

    left: float
    top: float
    scale: float

    def of(self, crop: Crop) -> Crop:
        """A crop of the part as one of the whole."""
        return Crop(self.left + self.scale * crop.x, self.top + self.scale * crop.y, self.scale * crop.side, crop.roll)

    def resized(self, scale: float) -> "Place":
        """The same place once the whole is `scale` times as large."""
        return Place(self.left * scale, self.top * scale, self.scale * scale)


@dataclass(frozen=True)
class _Sitting:
    """The `part` of a photo around a `face`, RGB uint8 (h, w, 3), its `place` in the photo, and what became of it."""

    part: NDArray[np.uint8]
    face: Face
    place: Place
    portrait: Portrait


class AvatarMaker:
    """Makes at most `most` packs in `folder`, with networks of its own, loaded when first needed: for one thread at a
    time."""

    most_bytes: int = MOST_BYTES
    handles: tuple[str, ...] = HANDLES

    def __init__(self, folder: Path, most: int = 50, backend: Backend | None = None) -> None:
        self.folder, self._most, self._backend = folder, most, backend

    @cached_property
    def _finder(self) -> LandmarkFinder:
        return LandmarkFinder(self._backend or OpenVinoBackend("f32"))

    @cached_property
    def _basis(self) -> FaceBasis:
        return FaceBasis.load()

    def list(self) -> list[str]:
        """Names of the packs, sorted."""
        return list_avatars(self.folder)

    def load(self, id: str) -> Avatar:
        """Read a pack. Raises `UnknownAvatar` and `ValueError`."""
        return load_avatar(id, self.folder)

    def create(self, data: bytes, name: str = "") -> Made:
        """A new avatar from the bytes of a picture or a video. Raises `BadPicture` and `NoPortrait`."""
        if len(self.list()) >= self._most:
            raise NoPortrait("too_many", f"There are {self._most} avatars made of photos already: delete some first.")
        if video_format(data) is not None:
            return self._create_moving(data, name)
        photo = read_picture(data)
        face, notes = choose_face(photo, self._finder)
        sitting = self._sit(photo, face)
        with self._new(name) as (pack, name):
            return self._write_new(pack, name, photo, sitting, notes)

    def _create_moving(self, data: bytes, name: str) -> Made:
        """The best frame of a clip makes a portrait as a photo does; the clip goes with it."""
        track, fits, person = fit_track(follow(read_video(data), self._finder), self._basis)
        best, notes = best_frame(fits), track.notes
        if talks(fits):
            notes = (*notes, "In the clip somebody speaks. One in which the person only listens would look better.")
        photo = track.frame(best)
        sitting, shots = self._sit(photo, track.face(best)), take_shots(track, fits, person)
        with self._new(name) as (pack, name):
            write_clip(pack, track, shots, person.mean.neutral)
            return replace(self._write_new(pack, name, photo, sitting, notes), points={})

    @contextmanager
    def _new(self, name: str) -> Iterator[tuple[Path, str]]:
        """A folder to fill, and the name as it is shown; nothing is left of what fails."""
        name = " ".join(name.split())[:LONGEST_NAME] or "My portrait"
        plain = unicodedata.normalize("NFKD", name.lower()).encode("ascii", "ignore").decode()  # é is e and an accent
        id = f"{re.sub('[^a-z0-9]+', '-', plain).strip('-') or 'portrait'}-{secrets.token_hex(3)}"
        unfinished = self.folder / f".{id}"
        unfinished.mkdir(parents=True)
        try:
            yield unfinished, name
            unfinished.rename(self.folder / id)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise

    def _sit(self, photo: NDArray[np.uint8], face: Face) -> _Sitting:
        """All that may be refused, before anything is written. Raises `NoPortrait`."""
        part, face, place = _around(photo, face)
        return _Sitting(part, face, place, make_portrait(part, face, self._basis))

    def _write_new(
        self, pack: Path, name: str, photo: NDArray[np.uint8], sitting: _Sitting, notes: tuple[str, ...]
    ) -> Made:
        place = _write_scene(pack, photo, sitting.place)
        (pack / "photo.jpg").write_bytes(to_jpeg(sitting.part, 95))
        made = self._write(pack, name, sitting.face, sitting.portrait, place, {}, notes)
        return replace(made, id=pack.name.removeprefix("."))

    def refit(self, id: str, moved: Mapping[str, tuple[float, float]]) -> Made:
        """Fit an avatar anew with some keypoints `moved`, given as fractions of its picture; what was moved before
        stays moved. Raises `NoPortrait`, and `KeyError` when no such avatar was made here."""
        pack = self._pack(id)
        if Clip.exists(pack):
            raise NoPortrait("moving", "The points of a clip cannot be moved: make the avatar anew of a better clip.")
        fit = json.loads((pack / "fit.json").read_text())
        crop = Crop(**fit["crop"])
        places = np.array(list(moved.values()), np.float32).reshape(-1, 2) * 2 - 1
        pins = dict(fit["moved"]) | dict(zip(moved, crop.to_picture(places).tolist(), strict=True))
        photo = read_picture((pack / "photo.jpg").read_bytes())
        face = Face(np.array(fit["found"], np.float32), np.array(fit["doubt"], np.float32), fit["presence"])
        portrait = make_portrait(photo, face, self._basis, pins)
        name = json.loads((pack / "avatar.json").read_text())["name"]
        made = self._write(pack, name, face, portrait, Place(**fit["place"]), pins, ())
        return Made(id, made.points, made.notes)

    def points(self, id: str) -> Made:
        """Where the keypoints of an avatar lie, none for one that was made of a clip. Raises `KeyError`."""
        pack = self._pack(id)
        if Clip.exists(pack):
            return Made(id, {}, ())
        fit = json.loads((pack / "fit.json").read_text())
        return Made(id, {name: (x, y) for name, (x, y) in fit["points"].items()}, ())

    def delete(self, id: str) -> None:
        """Remove a pack for good. Raises `KeyError`."""
        shutil.rmtree(self._pack(id))

    def _pack(self, id: str) -> Path:
        if id not in list_avatars(self.folder) or not (self.folder / id / "fit.json").is_file():
            raise KeyError(id)
        return self.folder / id

    def _write(
        self,
        pack: Path,
        name: str,
        face: Face,
        portrait: Portrait,
        place: Place,
        moved: Mapping[str, Any],
        notes: tuple[str, ...],
    ) -> Made:
        about = {
            "name": name,
            "description": "Moves as in its clip." if Clip.exists(pack) else "Made from a photo.",
            "licence": LICENCE,
            "camera": asdict(portrait.camera),
        }
        portrait.mesh.save(pack / "mesh.npz")
        (pack / "pictured.npy").unlink(missing_ok=True)
        if portrait.pictured is not None:
            np.save(pack / "pictured.npy", portrait.pictured.astype(np.float32))
        picture = portrait.picture[..., ::-1]
        cv2.imwrite(str(pack / "source.png"), picture)
        small = cv2.resize(picture, (THUMBNAIL_SIZE, THUMBNAIL_SIZE), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(pack / "thumbnail.jpg"), small, [cv2.IMWRITE_JPEG_QUALITY, 90])
        _write_interior(pack, portrait.mesh.deltas.shape[1])
        geometry = SourceGeometry(portrait.mesh, portrait.camera, Interior.load(pack), portrait.pictured)
        retouch(portrait.picture, geometry).save(pack)
        fractions = ((portrait.points + 1) / 2).tolist()
        points = {name: (float(x), float(y)) for name, (x, y) in zip(TRACKED_NAMES, fractions, strict=True)}
        (pack / "scene.json").write_text(json.dumps(asdict(place.of(portrait.crop))) + "\n")
        fit = {
            "crop": asdict(portrait.crop),
            "place": asdict(place),
            "points": points,
            "moved": dict(moved),
            "found": face.points.tolist(),
            "doubt": face.doubt.tolist(),
            "presence": face.presence,
        }
        (pack / "fit.json").write_text(json.dumps(fit) + "\n")
        (pack / "avatar.json").write_text(json.dumps(about, indent=2) + "\n")
        return Made(pack.name, points, (*notes, *portrait.notes))


def _around(photo: NDArray[np.uint8], face: Face) -> tuple[NDArray[np.uint8], Face, Place]:
    """The upright part of `photo` around `face`, no side above `PHOTO_SIDE`, the face in it, and where it lies."""
    crop = face.crop
    half = crop.side * AROUND / 2
    height, width = photo.shape[:2]
    left, right = max(0, int(crop.x - half)), min(width, int(crop.x + half))
    top, bottom = max(0, int(crop.y - half)), min(height, int(crop.y + half))
    part, scale = _shrunk(photo[top:bottom, left:right], PHOTO_SIDE)
    points = (face.points - np.array([left, top], np.float32)) * np.float32(scale)
    return part, Face(points, face.doubt * np.float32(scale), face.presence), Place(left, top, 1 / scale)


def _shrunk(picture: NDArray[np.uint8], longest: int) -> tuple[NDArray[np.uint8], float]:
    """`picture` with no side above `longest`, and its scale."""
    scale = min(1.0, longest / max(picture.shape[:2]))
    if scale < 1:
        picture = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    return np.ascontiguousarray(picture), scale


def _write_scene(pack: Path, photo: NDArray[np.uint8], place: Place) -> Place:
    """Keep the whole photo; returns the place in what was kept."""
    scene, scale = _shrunk(photo, LONGEST_SIDE)
    cv2.imwrite(str(pack / "scene.jpg"), scene[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    return place.resized(scale)


def _write_interior(pack: Path, vertices: int) -> None:
    """The mouth's inside of an avatar that ships: teeth and tongue are anybody's."""
    interior = Interior.load(AVATARS / list_avatars()[0])
    np.savez_compressed(pack / "interior.npz", uv=interior.uv[:vertices].astype(np.float16))
    cv2.imwrite(str(pack / "interior.png"), interior.texture[..., ::-1])
