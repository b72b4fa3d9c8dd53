"""From a video file to the frames of a call."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from engines import portrait_pack
from engines.avatar import Avatar, list_avatars, load_avatar
from engines.clip import ClipFrame, Reel, turning
from engines.clip_pack import hold_still
from engines.controls import Controls
from engines.drive import UNDRIVEN, Drive
from engines.expression import EXPRESSION_INDEX, rest_expression
from engines.landmarks import TRACKED, TRACKED_NAMES
from engines.media import FRAME_TICKS, HeadPose, Motion
from engines.openvino_backend import OpenVinoBackend
from engines.pipeline import WEIGHTS, compact_drawing
from engines.portrait import NoPortrait
from engines.portrait_pack import AvatarMaker
from engines.scene import Scene
from tests.clips import Watcher, filmed, mp4
from tests.portraits import shipped_points

JAW = EXPRESSION_INDEX["jawOpen"]


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> AvatarMaker:
    maker = AvatarMaker(tmp_path_factory.mktemp("avatars"))
    maker.__dict__["_finder"] = Watcher(tremble=0.4)
    return maker


@pytest.fixture(scope="module")
def avatar(maker: AvatarMaker) -> Avatar:
    made = maker.create(mp4(filmed(52)), "Aunt Eva")
    assert made.points == {} and made.notes == () and made.id.startswith("aunt-eva-")
    return maker.load(made.id)


def frame(avatar: Avatar, index: int) -> ClipFrame:
    assert avatar.clip is not None
    return avatar.clip.frame(index * FRAME_TICKS)


def jaw(amount: float) -> Motion:
    expression = rest_expression()
    expression[JAW] = amount
    return Motion(expression)


def test_a_clip_plays_forth_and_back() -> None:
    assert [turning(index * FRAME_TICKS, 4) for index in range(-1, 9)] == [1, 0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert turning(FRAME_TICKS - 1, 4) == 0


def test_every_frame_has_a_head_where_it_shows_one(avatar: Avatar) -> None:
    assert avatar.clip is not None and 30 <= len(avatar.clip) <= 52
    for index in (0, len(avatar.clip) // 2):
        shown = frame(avatar, index)
        geometry = shown.geometry
        places = (geometry.keypoints[list(TRACKED), :2] + 1) * 256
        true = _mapped(shown.picture)
        assert np.linalg.norm(places - true, axis=1).mean() < 2.0
        assert shown.opening[JAW] < 0.15


def _mapped(picture: np.ndarray) -> np.ndarray:
    """The keypoints of the avatar that ships, (P, 2), in pixels of a picture that shows it somewhere."""
    original = load_avatar(list_avatars()[0]).picture
    grey = [cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in (original, picture)]
    warp = np.eye(2, 3, dtype=np.float32)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 1e-4)
    _, warp = cv2.findTransformECC(grey[0], grey[1], warp, cv2.MOTION_AFFINE, criteria, None, 5)
    return np.asarray(shipped_points() @ warp[:, :2].T + warp[:, 2])


def test_what_does_not_move_is_the_frame_itself_and_the_mouth_opens(avatar: Avatar) -> None:
    drawing = compact_drawing(OpenVinoBackend("f32"), WEIGHTS)
    renderer, media_time = drawing.open(), 20 * FRAME_TICKS
    source, picture = drawing.sources.at(avatar, media_time), frame(avatar, 20).picture.astype(int)
    still, speaking = (renderer.paint(source, motion).picture.astype(int) for motion in (Motion(), jaw(0.6)))
    assert np.abs(still - picture).mean() < 0.4
    changed = np.abs(speaking - picture).max(2) > 24
    rows, columns = np.nonzero(changed)
    points = (frame(avatar, 20).geometry.keypoints[list(TRACKED), :2] + 1) * 256
    assert changed.sum() > 400
    nose = points[TRACKED_NAMES.index("nose_tip"), 1]
    assert np.mean(rows > nose) > 0.9 and np.mean(np.abs(columns - points[:, 0].mean()) < 110) > 0.95


def test_the_clip_leads_where_nobody_directs(avatar: Avatar) -> None:
    assert avatar.clip is not None
    controls, drive = avatar.clip.lead(Controls(pose=HeadPose(yaw=0.3), gaze=(0.1, 0)), UNDRIVEN)
    assert controls == Controls(gaze=(0.1, 0)) and drive.pose == HeadPose() and drive.gaze == (0.0, 0.0)
    assert drive.lids is not None and drive.face is not None and not drive.lids.any() and not drive.face.any()
    tracked = Drive(lids=np.array([0.4, 0.5]), pose=HeadPose(yaw=0.2))
    _, drive = avatar.clip.lead(Controls(), tracked)
    assert drive.lids is tracked.lids and drive.pose == HeadPose()


def test_lids_that_are_down_go_no_further(avatar: Avatar) -> None:
    assert avatar.clip is not None
    left = EXPRESSION_INDEX["eyeBlinkLeft"]
    avatar.clip._arrays["expressions"][5, left] = 0.7
    motion = Motion(rest_expression() + np.float32(0.9))
    beyond = avatar.clip.beyond(motion, 5 * FRAME_TICKS).expression
    assert beyond[left] == pytest.approx(0.2, abs=1e-4) and beyond[JAW] == pytest.approx(0.9)
    avatar.clip._arrays["expressions"][5, left] = 0.0


def test_the_face_goes_back_into_its_frame(avatar: Avatar) -> None:
    scene = Scene.load(avatar.folder)
    assert scene.size == (640, 640)
    one, other = scene.at(0), scene.at(15 * FRAME_TICKS)
    assert np.abs(one._planes.astype(int) - other._planes)[:640].mean() > 1
    whole, clip = other.paste(frame(avatar, 15).picture), cv2.cvtColor(other._planes, cv2.COLOR_YUV2RGB_I420)
    assert np.abs(whole.astype(int) - clip).mean() < 1.5
    assert Scene.load(avatar.folder, 320 * 320).at(15 * FRAME_TICKS).size == (320, 320)


def test_beside_the_face_a_scene_is_the_clip_itself(avatar: Avatar) -> None:
    drawing, media_time = compact_drawing(OpenVinoBackend("f32"), WEIGHTS), 20 * FRAME_TICKS
    painting = drawing.open().paint(drawing.sources.at(avatar, media_time), jaw(0.6))
    scene = Scene.load(avatar.folder).at(media_time)
    assert painting.new is not None
    frame, planes = (np.asarray(each, int) for each in (scene._planes, scene.step(painting.picture, painting.new)))
    changed = np.abs(planes - frame)[: scene.size[1]] > 0
    assert 0.02 < changed.mean() < 0.3
    whole = scene.step(painting.picture).astype(int)
    assert np.abs(planes - whole)[: scene.size[1]].mean() < 1.5, "as if all were laid there"


def test_frames_shown_lately_stay_decoded_for_all(avatar: Avatar, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = Scene.load(avatar.folder), Scene.load(avatar.folder)
    shown = one.at(17 * FRAME_TICKS)
    planes = shown._planes.copy()
    shown.step(np.zeros((512, 512, 3), np.uint8))
    monkeypatch.setattr(Reel, "frame", None)
    assert np.array_equal(other.at(17 * FRAME_TICKS)._planes, planes), "nothing was drawn into it"


def test_a_portrait_in_a_clip_holds_still(tmp_path: Path) -> None:
    still = load_avatar(list_avatars()[0])
    moving = hold_still(still, tmp_path)
    assert moving.clip is not None and len(moving.clip) == 2
    drawing = compact_drawing(OpenVinoBackend("f32"), WEIGHTS)
    drawn = drawing.open().paint(drawing.sources.at(moving, FRAME_TICKS), Motion())
    assert np.abs(drawn.picture.astype(int) - still.picture).mean() < 1


def test_points_of_a_clip_cannot_be_moved(maker: AvatarMaker, avatar: Avatar) -> None:
    assert maker.points(avatar.id).points == {}
    with pytest.raises(NoPortrait, match="cannot be moved"):
        maker.refit(avatar.id, {"chin": (0.5, 0.8)})


def test_a_refused_clip_leaves_nothing_behind(
    maker: AvatarMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        assert not list(tmp_path.iterdir()), "nothing is written before"
        raise NoPortrait("eyes_hidden", "The eyes cannot be seen.")

    monkeypatch.setattr(portrait_pack, "make_portrait", refuse)
    strict = AvatarMaker(tmp_path)
    strict.__dict__["_finder"] = maker._finder
    with pytest.raises(NoPortrait, match="eyes"):
        strict.create(mp4(filmed(52)), "Aunt Eva")
    assert not list(tmp_path.iterdir())


def test_a_broken_pack_is_told(avatar: Avatar, tmp_path: Path) -> None:
    edges = Reel.write(tmp_path / "reel", [b"one", b"three"])
    assert edges.tolist() == [0, 3, 8]
    (tmp_path / "reel").write_bytes(b"one")
    with pytest.raises(ValueError, match="3 bytes, not 8"):
        Reel(tmp_path / "reel", edges)
