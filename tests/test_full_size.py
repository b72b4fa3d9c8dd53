from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.avatar import Avatar, list_avatars, load_avatar
from engines.clip import ClipFrame
from engines.drawing import Drawing, Painting
from engines.expression import FloatArray
from engines.expression_transfer import ExpressionTransfer
from engines.full_size import Gallery, family_transfer, full_size_drawing
from engines.keypoint_face import MOVE_SIZE
from engines.keypoint_renderer import LIVE_PORTRAIT, Mover
from engines.landmarks import Crop
from engines.media import FRAME_TICKS, Motion, MotionFrame
from engines.pipeline import Engine, Pipeline
from engines.scene import Patch, Scene
from engines.source_cache import SourceCache
from tests.test_keypoint_renderer import SmallNetworks, jaw, opening


@dataclass
class SmallStep:
    """Shows how bright each volume is and how far its first keypoint is moved."""

    kept: dict[int, float] = field(default_factory=dict)
    batches: list[int] = field(default_factory=list)

    def keep(self, volume: FloatArray, canonical: FloatArray, keypoints: FloatArray) -> int:
        assert canonical.shape == keypoints.shape == (21, 3)
        slot = next(slot for slot in range(100) if slot not in self.kept)
        self.kept[slot] = float(volume.mean())
        return slot

    def drop(self, slot: int) -> None:
        del self.kept[slot]

    def draw(self, slots: Sequence[int], moves: FloatArray, patches: Sequence[Patch | None]) -> list[NDArray[np.uint8]]:
        self.batches.append(len(slots))
        drawn = []
        for slot, move, patch in zip(slots, moves, patches, strict=True):
            height, width = patch.photo.shape[:2] if patch else (512, 512)
            planes = np.full((height * 3 // 2, width), 128, np.uint8)
            planes[: height // 2] = round(self.kept[slot] * 255)
            planes[height // 2 : height] = round(move[MOVE_SIZE] * 100)
            drawn.append(planes)
        return drawn


@pytest.fixture(scope="module")
def avatars() -> list[Avatar]:
    return [load_avatar(name) for name in list_avatars()[:3]]


@pytest.fixture
def drawing(tmp_path: Path) -> Drawing:
    return full_size_drawing(LIVE_PORTRAIT, SmallNetworks(LIVE_PORTRAIT.faces), tmp_path, opening(LIVE_PORTRAIT))


def hung(step: SmallStep, places: int) -> Gallery:
    cores = ThreadPoolExecutor(2, "gallery")
    return Gallery(LIVE_PORTRAIT.faces, Mover(opening(LIVE_PORTRAIT)), step, places, cores)


class Deaf:
    """Ears that nobody asks."""

    lookahead_frames = 0

    def open(self, lookahead_ms: int) -> "Deaf":
        return self

    def hear(self, ears: Sequence[Any], pcm: FloatArray) -> FloatArray:
        raise NotImplementedError

    def forget(self) -> None:
        pass

    def close(self) -> None:
        pass


def shown(drawing: Drawing, gallery: Gallery, avatar: Avatar, scene: Scene | None = None) -> Pipeline:
    pipeline = Engine(Deaf(), Drawing(drawing.sources, gallery.open)).open(avatar)
    pipeline.scene = scene
    return pipeline


def moved(amount: float, time: int = 0) -> MotionFrame:
    return MotionFrame(jaw(amount), time, 3)


def test_everybody_gets_a_picture_of_the_own_avatar_and_motion(avatars: list[Avatar], drawing: Drawing) -> None:
    step = SmallStep()
    gallery = hung(step, places=8)
    pipelines = [shown(drawing, gallery, avatars[index]) for index in (0, 1, 0)]
    work = list(zip(pipelines, (moved(0.5, 10), moved(1.0, 20), moved(0, 30)), strict=True))
    frames = gallery.draw_all(work)
    assert step.batches == [3] and len(step.kept) == 2
    for frame, (pipeline, motion) in zip(frames, work, strict=True):
        assert (frame.media_time, frame.epoch, frame.motion) == (motion.media_time, 3, motion.motion)
        assert frame.planes[0, 0] == pytest.approx(pipeline.avatar.picture.mean(), abs=2)
    assert [int(frame.planes[300, 0]) for frame in frames] == [20, 40, 0]


def test_who_draws_alone_has_the_networks_of_all(avatars: list[Avatar], drawing: Drawing) -> None:
    step = SmallStep()
    gallery = hung(step, places=2)
    pipeline = shown(drawing, gallery, avatars[0])
    (together,), alone = gallery.draw_all([(pipeline, moved(0.5))]), pipeline.draw(moved(0.5))
    np.testing.assert_array_equal(together.planes, alone.planes)
    assert step.batches == [1, 1]


def test_sources_that_were_not_shown_for_the_longest_make_room(avatars: list[Avatar], drawing: Drawing) -> None:
    step = SmallStep()
    gallery = hung(step, places=2)
    for index in (0, 1, 0, 2, 0):
        frame = gallery.draw_all([(shown(drawing, gallery, avatars[index]), moved(0.0))])[0]
        assert frame.planes[0, 0] == pytest.approx(avatars[index].picture.mean(), abs=2)
    assert len(step.kept) == 2


def test_a_scene_is_shown_around_the_face(avatars: list[Avatar], drawing: Drawing) -> None:
    scene = Scene(np.full((400, 600, 3), 200, np.uint8), Crop(300, 200, 300))
    gallery = hung(SmallStep(), places=2)
    (frame,) = gallery.draw_all([(shown(drawing, gallery, avatars[0], scene), moved(1.0))])
    picture = cv2.cvtColor(frame.planes, cv2.COLOR_YUV2RGB_I420)
    assert picture.shape == (400, 600, 3)
    assert np.abs(picture[:, :100].astype(int) - 200).max() <= 2
    assert picture[300, 300].max() < 60


class Film(Scene):
    """Brighter from frame to frame."""

    def at(self, media_time: int) -> Scene:
        return Scene(np.full((400, 600, 3), media_time // FRAME_TICKS, np.uint8), Crop(300, 200, 300))


def test_everybody_gets_the_own_scene_of_the_moment(avatars: list[Avatar], drawing: Drawing) -> None:
    step = SmallStep()
    gallery, photo = hung(step, places=2), np.full((300, 300, 3), 90, np.uint8)
    film = Film(np.zeros((400, 600, 3), np.uint8), Crop(300, 200, 300))
    scenes = [film, None, Scene(photo, Crop(100, 100, 50)), film]
    pipelines = [shown(drawing, gallery, avatars[0], scene) for scene in scenes]
    times = [100 * FRAME_TICKS, 0, 0, 200 * FRAME_TICKS]
    frames = gallery.draw_all(list(zip(pipelines, [moved(1.0, time) for time in times], strict=True)))
    assert step.batches == [4], "all at once"
    assert [frame.planes.shape for frame in frames] == [(600, 600), (768, 512), (450, 300), (600, 600)]
    corners = [cv2.cvtColor(frame.planes, cv2.COLOR_YUV2RGB_I420)[-1, -1, 0] for frame in frames]
    assert np.abs(np.array(corners, int)[[0, 2, 3]] - (100, 90, 200)).max() <= 2


def test_a_transfer_is_measured_once(drawing: Drawing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    networks = SmallNetworks(LIVE_PORTRAIT.faces)
    drawn: list[Motion] = []

    class Actor:
        def paint(self, source: Any, motion: Motion) -> Painting:
            drawn.append(motion)
            return Painting(np.zeros((512, 512, 3), np.uint8))

        def step(self, source: Any, motion: Motion) -> NDArray[np.uint8]:
            raise NotImplementedError

    actors = replace(drawing, open=Actor)
    shares: list[float] = []
    first = family_transfer(LIVE_PORTRAIT, networks, tmp_path, actors, shares.append)
    assert shares[-1] == 1.0 and shares == sorted(shares)
    count = len(drawn)
    again = family_transfer(LIVE_PORTRAIT, networks, tmp_path, actors)
    assert isinstance(first, ExpressionTransfer) and np.array_equal(first.matrix, again.matrix)
    assert len(drawn) == count > 4 * 60


def test_a_source_is_encoded_once(avatars: list[Avatar]) -> None:
    encoded: list[str] = []

    class Names:
        def __call__(self, avatar: Avatar) -> str:
            encoded.append(avatar.id)
            return avatar.id

        def follow(self, still: str, frame: ClipFrame) -> str:
            raise NotImplementedError

    sources = SourceCache(Names())
    assert [sources.get(avatar) for avatar in (*avatars, *avatars)] == [avatar.id for avatar in avatars] * 2
    assert encoded == [avatar.id for avatar in avatars]
