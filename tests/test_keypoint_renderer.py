from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.avatar import Avatar, list_avatars, load_avatar
from engines.backend import Tensors
from engines.clip import ClipFrame
from engines.control_talk import ControlTalkLips
from engines.expression import EXPRESSION_INDEX
from engines.expression_transfer import ExpressionTransfer, motion_vector
from engines.frame_geometry import FrameGeometry
from engines.keypoint_face import Faces
from engines.keypoint_renderer import FACE_VID2VID, LIVE_PORTRAIT, Family, KeypointEncoder, KeypointRenderer, Mover
from engines.media import Motion, Voice

FAMILIES = pytest.mark.parametrize("family", [LIVE_PORTRAIT, FACE_VID2VID], ids=lambda family: family.name)


@dataclass
class SmallNetworks:
    """Networks that answer with what can be read back: a picture's brightness is where its first keypoint went."""

    faces: Faces
    loaded: list[str] = field(default_factory=list)
    stitching: float = 0.0

    def load(self, path: Path) -> "SmallNetwork":
        self.loaded.append(path.name)
        return SmallNetwork(self, path.stem.removeprefix("live_portrait_").removeprefix("face_vid2vid_"))


@dataclass
class SmallNetwork:
    networks: SmallNetworks
    name: str

    @property
    def inputs(self) -> Mapping[str, tuple[int, ...]]:
        return {}

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        count = self.networks.faces.keypoint_count
        # All the weight between classes 32 and 33: near 0 degrees.
        angles = {name: np.eye(1, 66, 32, dtype=np.float32) * 50 for name in ("pitch", "yaw", "roll")}
        if self.name in ("motion", "pose"):
            nothing = np.zeros((1, 3 * count), np.float32)
            return angles | {
                "t": np.zeros((1, 3), np.float32),
                "exp": nothing,
                "kp": nothing,
                "scale": np.ones((1, 1), np.float32),
            }
        if self.name == "detector":
            return {"canonical": np.zeros((1, count, 3), np.float32)}
        if self.name == "appearance":
            assert inputs["picture"].shape == (1, 3, 256, 256)
            return {"volume": inputs["picture"].mean().reshape(1, 1, 1, 1, 1)}
        if self.name == "stitching":
            assert inputs["given"].shape == (1, 6 * count)
            offsets = np.zeros((1, 3 * count + 2), np.float32)
            offsets[0, 0] = offsets[0, -2] = self.networks.stitching
            return {"offsets": offsets}
        if self.name == "warping":
            assert inputs["driving"].shape == inputs["source"].shape == (len(inputs["volume"]), count, 3)
            return {"features": inputs["driving"][:, 0, 0] - inputs["source"][:, 0, 0]}
        size = 512 if self.networks.faces.keypoint_count == 21 else 256
        return {
            "picture": np.ones((len(inputs["features"]), 3, size, size), np.float32)
            * inputs["features"][:, None, None, None]
        }


def opening(family: Family, amount: float = 0.4) -> ExpressionTransfer:
    """An open jaw moves the first keypoint to the right."""
    matrix = np.zeros((len(motion_vector(Motion())), 7 + 3 * family.faces.keypoint_count), np.float32)
    matrix[EXPRESSION_INDEX["jawOpen"], 7] = amount
    return ExpressionTransfer(matrix)


def jaw(amount: float) -> Motion:
    expression = Motion().expression.copy()
    expression[EXPRESSION_INDEX["jawOpen"]] = amount
    return Motion(expression)


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    return load_avatar(list_avatars()[0])


@FAMILIES
def test_the_motion_moves_the_keypoints_and_they_the_picture(family: Family, avatar: Avatar, tmp_path: Path) -> None:
    networks = SmallNetworks(family.faces)
    renderer = KeypointRenderer(family, networks, tmp_path, Mover(opening(family)))
    source = KeypointEncoder(family, networks, tmp_path)(avatar)
    assert source.volume.item() == pytest.approx(avatar.picture.mean() / 255, abs=0.01)
    assert all(name.startswith(family.name) and name.endswith(".onnx") for name in networks.loaded)
    assert renderer.render(source, Motion()).shape == (512, 512, 3)
    assert renderer.render(source, Motion()).max() == 0
    picture = renderer.render(source, jaw(1.0))
    assert picture.dtype == np.uint8 and np.all(picture == int(0.4 * 255))


def test_stitching_mends_what_it_is_asked_to(avatar: Avatar, tmp_path: Path) -> None:
    networks = SmallNetworks(LIVE_PORTRAIT.faces, stitching=0.1)
    renderer = KeypointRenderer(LIVE_PORTRAIT, networks, tmp_path, Mover(opening(LIVE_PORTRAIT)))
    source = KeypointEncoder(LIVE_PORTRAIT, networks, tmp_path)(avatar)
    driven = renderer.drive(source, jaw(1.0))
    assert driven[0].tolist() == pytest.approx([0.4 + 0.1 + 0.1, 0, 0], abs=1e-6), "its own offset, and that of all"
    assert driven[1].tolist() == pytest.approx([0.1, 0, 0], abs=1e-6)


class Talk:
    """A voice network that answers with the first thing heard, and counts its batches."""

    inputs: Mapping[str, tuple[int, ...]] = {}

    def __init__(self) -> None:
        self.batches: list[int] = []

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        self.batches.append(len(inputs["audio"]))
        return {"bias": np.broadcast_to(inputs["audio"][:, :1, :1], inputs["exp"].shape)}


def test_what_lips_say_is_one_batch_and_who_has_no_voice_keeps_its_own(avatar: Avatar, tmp_path: Path) -> None:
    talk = Talk()
    lips = ControlTalkLips(talk, np.full((18, 4), -0.5, np.float32))
    networks = SmallNetworks(FACE_VID2VID.faces)
    source = KeypointEncoder(FACE_VID2VID, networks, tmp_path, lips)(avatar)
    assert np.all(source.face.exp == -0.5), "it was encoded with the mouth shut"
    assert np.all(source.keypoints == 0), "but its keypoints are where they are in the picture"
    talk.batches.clear()
    voices = [Voice(np.full((18, 4), heard, np.float32), 1.0) for heard in (1.0, 2.0)]
    motions = [replace(jaw(1.0), voice=voices[0]), jaw(1.0), replace(jaw(1.0), voice=voices[1])]
    moved = Mover(opening(FACE_VID2VID), lips)([source] * 3, motions)
    assert talk.batches == [2]
    opened = [face.exp[0, 0] for face in moved]
    assert opened == pytest.approx([-0.5 + 0.7, -0.5 + 0.4, -0.5 + 1.4], abs=1e-6)


def test_a_mouth_that_is_open_in_a_clip_is_shut_before_it_speaks(avatar: Avatar, tmp_path: Path) -> None:
    networks = SmallNetworks(LIVE_PORTRAIT.faces)
    encoder, mover = KeypointEncoder(LIVE_PORTRAIT, networks, tmp_path), Mover(opening(LIVE_PORTRAIT))
    still = encoder(avatar)
    lighter = np.full_like(avatar.picture, 200)
    geometry = FrameGeometry(avatar.geometry.mesh, avatar.geometry.camera, avatar.geometry.interior)
    source = encoder.follow(still, ClipFrame(lighter, geometry, jaw(0.5).expression))
    assert source.volume.item() == pytest.approx(200 / 255, abs=0.01)
    for motion, place in ((Motion(), -0.2), (jaw(0.5), 0.0), (jaw(1.0), 0.2)):
        (face,) = mover([source], [motion])
        assert face.exp[0, 0] == pytest.approx(place, abs=1e-6)


def test_lips_that_shut_the_mouth_themselves_shut_it_in_every_frame(avatar: Avatar, tmp_path: Path) -> None:
    lips = ControlTalkLips(Talk(), np.full((18, 4), -0.5, np.float32))
    encoder = KeypointEncoder(FACE_VID2VID, SmallNetworks(FACE_VID2VID.faces), tmp_path, lips)
    geometry = FrameGeometry(avatar.geometry.mesh, avatar.geometry.camera, avatar.geometry.interior)
    source = encoder.follow(encoder(avatar), ClipFrame(avatar.picture, geometry, jaw(0.5).expression))
    assert source.opening is None and np.all(source.face.exp == -0.5)
