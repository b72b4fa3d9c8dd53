"""The full-size renderers: LivePortrait's and face-vid2vid's networks behind the shape of the compact one.

Once per avatar its picture becomes a volume of features and a `KeypointFace`. Per frame the motion is added to that
face (`engines.expression_transfer`), its keypoints say where the volume goes, and the generator paints it.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.avatar import Avatar
from engines.backend import Backend, Network
from engines.clip import ClipFrame
from engines.control_talk import ControlTalkLips, without_speech
from engines.drawing import Painting
from engines.expression import FloatArray
from engines.expression_transfer import ExpressionTransfer
from engines.keypoint_face import Faces, FaceVid2VidFaces, KeypointFace, LivePortraitFaces
from engines.media import FRAME_SIZE, Motion
from engines.source_cache import encoder_input


@dataclass(frozen=True)
class Family:
    """A set of public networks: what their files' names begin with, what they say of a face, which of them say it, and
    whether one of them mends the seam at the neck."""

    name: str
    faces: Faces
    lookers: tuple[str, ...]
    stitches: bool

    def load(self, backend: Backend, models: Path, network: str) -> Network:
        """One of its networks. Raises `FileNotFoundError` when it was not built."""
        return backend.load(models / f"{self.name}_{network}.onnx")


LIVE_PORTRAIT: Final = Family("live_portrait", LivePortraitFaces(), ("motion",), stitches=True)
FACE_VID2VID: Final = Family("face_vid2vid", FaceVid2VidFaces(), ("pose", "detector"), stitches=False)


@dataclass(frozen=True, eq=False)
class KeypointSource:
    """What is computed once per avatar: features float32 (1, 32, 16, 64, 64), the face that motions move, and where its
    keypoints are in the picture, (K, 3). Of a clip's frame, `opening` float32 (EXPRESSION_SIZE,) is how far the mouth
    stands open in it."""

    volume: FloatArray
    face: KeypointFace
    keypoints: FloatArray
    opening: FloatArray | None = None


class Looker:
    """Tells what a picture shows. For one thread at a time."""

    def __init__(self, family: Family, backend: Backend, models: Path) -> None:
        self._networks = [family.load(backend, models, name) for name in family.lookers]
        self._faces = family.faces

    def __call__(self, picture: NDArray[np.uint8]) -> KeypointFace:
        """The face in RGB (512, 512, 3)."""
        outputs: dict[str, FloatArray] = {}
        seen = {"picture": encoder_input(picture)}
        for network in self._networks:
            outputs |= {name: tensor.copy() for name, tensor in network.run(seen).items()}
        return self._faces.decode(outputs)


class KeypointEncoder:
    """The networks that look at an avatar once, and at every frame of a clip. `lips`, if given, shut its mouth."""

    def __init__(self, family: Family, backend: Backend, models: Path, lips: ControlTalkLips | None = None) -> None:
        self._look = Looker(family, backend, models)
        self._appearance = family.load(backend, models, "appearance")
        self._faces, self._lips = family.faces, lips
        self._looking = threading.Lock()

    def __call__(self, avatar: Avatar) -> KeypointSource:
        """Encode an avatar."""
        with self._looking:
            return self._encode(avatar.picture)

    def follow(self, still: KeypointSource, frame: ClipFrame) -> KeypointSource:
        """Encode a frame of a clip, whose mouth is shut before anything is said."""
        with self._looking:
            source = self._encode(frame.picture)
        return source if self._lips is not None else replace(source, opening=frame.opening)

    def _encode(self, picture: NDArray[np.uint8]) -> KeypointSource:
        face = self._look(picture)
        keypoints = self._faces.keypoints(face)
        volume = self._appearance.run({"picture": encoder_input(picture)})["volume"].copy()
        if self._lips is not None:
            face = replace(face, exp=self._lips.shut(face.exp))
        return KeypointSource(volume, face, keypoints)


class Mover:
    """Moves the faces of sources. For one thread at a time.

    `lips`, if given, speak where a motion has a voice; their sources were encoded with the mouth shut.
    """

    def __init__(self, transfer: ExpressionTransfer, lips: ControlTalkLips | None = None) -> None:
        self._transfer, self._lips = transfer, lips

    def __call__(self, sources: Sequence[KeypointSource], motions: Sequence[Motion]) -> list[KeypointFace]:
        """The face of each source in its motion; what the lips say of all is one batch."""
        faces, motions = [source.face for source in sources], list(motions)
        voices = {index: motion.voice for index, motion in enumerate(motions) if motion.voice is not None}
        if self._lips is not None and voices:
            said = self._lips.speak(np.stack([faces[index].exp for index in voices]), list(voices.values()))
            for index, exp in zip(voices, said, strict=True):
                faces[index], motions[index] = replace(faces[index], exp=exp), without_speech(motions[index])
        changes = [self._transfer(motion) for motion in motions]
        for change, source in zip(changes, sources, strict=True):
            if source.opening is not None:
                change -= self._transfer(Motion(source.opening))
        return [face.moved(change) for face, change in zip(faces, changes, strict=True)]


class KeypointRenderer:
    """One request of every network, used by one thread at a time: how the CPU draws a face."""

    def __init__(self, family: Family, backend: Backend, models: Path, mover: Mover) -> None:
        self._faces, self._mover = family.faces, mover
        self._warping, self._generator = (family.load(backend, models, name) for name in ("warping", "generator"))
        self._stitching = family.load(backend, models, "stitching") if family.stitches else None

    def drive(self, source: KeypointSource, motion: Motion) -> FloatArray:
        """Where the motion puts the source's keypoints, float32 (K, 3)."""
        (face,) = self._mover([source], [motion])
        driven = self._faces.keypoints(face)
        if self._stitching is None:
            return driven
        both = np.concatenate([source.keypoints.ravel(), driven.ravel()])[None]
        offsets = self._stitching.run({"given": both})["offsets"][0]
        mended: FloatArray = driven + offsets[:-2].reshape(driven.shape)
        mended[:, :2] += offsets[-2:]
        return mended

    def render(self, source: KeypointSource, motion: Motion) -> NDArray[np.uint8]:
        """RGB picture, uint8 (512, 512, 3)."""
        driving, here = self.drive(source, motion)[None], source.keypoints[None]
        warped = self._warping.run({"volume": source.volume, "driving": driving, "source": here})
        return large(self._generator.run({"features": warped["features"]})["picture"][0])

    def paint(self, source: KeypointSource, motion: Motion) -> Painting:
        """The same, of which nothing is as it was."""
        return Painting(self.render(source, motion))

    def step(self, source: KeypointSource, motion: Motion) -> NDArray[np.uint8]:
        """The same as I420 planes, uint8 (768, 512)."""
        return np.asarray(cv2.cvtColor(self.render(source, motion), cv2.COLOR_RGB2YUV_I420), np.uint8)


def large(picture: FloatArray) -> NDArray[np.uint8]:
    """A generator's picture (3, S, S) in [0, 1] as RGB uint8 (512, 512, 3); levels are cut off, not rounded, as the
    authors do."""
    levels = (np.clip(picture, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    if levels.shape[0] != FRAME_SIZE:
        levels = np.asarray(cv2.resize(levels, (FRAME_SIZE, FRAME_SIZE), interpolation=cv2.INTER_CUBIC), np.uint8)
    return np.ascontiguousarray(levels)
