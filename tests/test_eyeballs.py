from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.avatar import Avatar, list_avatars, load_avatar
from engines.eyeballs import FILE, LIT, EyeballLayer, Eyeballs, Gleam
from engines.eyes import DEGREE
from engines.face_geometry import FaceGeometry, face_geometry
from engines.keypoints import KEYPOINT_NAMES
from engines.media import HeadPose, Motion
from engines.warp import warp
from training.studio.sampler import lips_of, motion

GREEN = (0, 255, 0)


def looking(down: float = 0.0, aside: float = 0.0, shut: float = 0.0) -> Motion:
    """A gaze in degrees, down and to the model's left, with lids that follow it, and shut so far."""
    return motion(lips_of("neutral"), blink=(shut, shut), gaze=(down * DEGREE, aside * DEGREE))


def laid(
    avatar: Avatar, shown: Motion, eyeballs: Eyeballs | None = None
) -> tuple[NDArray[np.uint8], FaceGeometry, Gleam]:
    """The warp of an avatar with the eyes' window laid, its geometry, and the gleam."""
    balls = eyeballs or avatar.eyeballs
    assert balls is not None
    face = face_geometry(avatar.geometry, shown)
    warped = warp(avatar.geometry.atlas(avatar.picture), face)
    return warped, face, EyeballLayer(balls, avatar.geometry).lay(warped, face)


def eye(face: FaceGeometry) -> NDArray[np.bool_]:
    return np.asarray(face.eyes_maps[..., 1] > 0)


@pytest.mark.parametrize("name", list_avatars())
def test_put_together_they_are_the_portrait_s(name: str) -> None:
    avatar = load_avatar(name)
    balls = avatar.eyeballs
    assert balls is not None
    height, width = balls.bare.shape[:2]
    portrait = avatar.picture[balls.top : balls.top + height, balls.left : balls.left + width].astype(float)
    together = balls.bare[..., :3] * (balls.light / LIT) + balls.shine
    face = face_geometry(avatar.geometry, Motion())
    shown = np.zeros(avatar.picture.shape[:2], bool)
    face.eyes.cut(shown)[:] = eye(face)
    inside = shown[balls.top : balls.top + height, balls.left : balls.left + width]
    assert np.abs(together - portrait)[inside].mean() < 10
    assert (balls.shine > 40).any() and (balls.shine.max(2) > 0)[balls.bare[..., 3] == 0].sum() == 0
    assert 300 < (balls.bare[..., 3] > 128).sum() < 1400, "two corneas"


def test_at_rest_the_source_is_right_and_stays() -> None:
    avatar = load_avatar("mira")
    warped, face, gleam = laid(avatar, Motion())
    before = face_geometry(avatar.geometry, Motion())
    seen = before.eyes.cut(before.flow.seen) > 0
    untouched = warp(avatar.geometry.atlas(avatar.picture), before)
    np.testing.assert_array_equal(face.eyes.cut(warped)[seen], face.eyes.cut(untouched)[seen])
    assert not gleam.light.any()


@pytest.mark.parametrize("gaze", [(15.0, 0.0), (28.0, 0.0), (-10.0, 0.0), (0.0, 20.0)])
def test_a_look_shows_nothing_but_eyeball_which_counts_as_seen(gaze: tuple[float, float]) -> None:
    avatar = load_avatar("mira")
    assert avatar.eyeballs is not None
    green = np.full_like(avatar.eyeballs.bare, 255)
    green[..., :3] = GREEN
    lit = np.full_like(avatar.eyeballs.light, LIT)
    balls = Eyeballs(green, lit, np.zeros_like(lit), avatar.eyeballs.left, avatar.eyeballs.top)
    warped, face, gleam = laid(avatar, looking(*gaze), balls)
    window, inside = face.eyes.cut(warped), eye(face)
    assert (window[inside] == GREEN).all() and not (window[~inside] == GREEN).all(1).any()
    assert (face.eyes_maps[inside][:, 0] == 1).all() and (face.eyes.cut(face.flow.seen)[inside] == 255).all()
    assert not gleam.light.any()


@pytest.mark.parametrize("pose", [HeadPose(0.2, 0.3, 0.4), HeadPose(-0.2, -0.3, 0.4), HeadPose(0.0, 0.0, -0.5)])
def test_eyeballs_are_laid_to_their_corners_however_the_head_is_turned(pose: HeadPose) -> None:
    avatar = load_avatar("kenji")
    _, face, _ = laid(avatar, replace(looking(-10.0, 15.0), pose=pose))
    inside = eye(face)
    assert inside.sum() > 150 and (face.eyes_maps[inside][:, 0] == 0).sum() <= 2


@pytest.mark.parametrize("gaze", [(10.0, 0.0), (0.0, 12.0), (0.0, -12.0)])
def test_a_highlight_goes_half_as_far_as_the_iris(gaze: tuple[float, float]) -> None:
    avatar = load_avatar("amara")
    assert avatar.eyeballs is not None

    def places(shown: Motion) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """The middle of the left eye's iris, and of what shines on it."""
        _, face, gleam = laid(avatar, shown)
        iris = (face.keypoints[KEYPOINT_NAMES.index("iris_left"), :2] + 1) * 256 - 0.5
        window = gleam.window
        light = gleam.light.mean(2) * (np.arange(window.width) + window.left > 256)
        rows, columns = np.nonzero(light > 0.5 * light.max())
        return iris, np.array([columns.mean() + window.left, rows.mean() + window.top])

    start = looking(4.0, 4.0)  # as of here the highlight is drawn
    (iris, shine), (iris_before, shine_before) = places(looking(4.0 + gaze[0], 4.0 + gaze[1])), places(start)
    np.testing.assert_allclose(shine - shine_before, (iris - iris_before) / 2, atol=1.2)


def test_shut_lids_hide_highlights() -> None:
    _, _, gleam = laid(load_avatar("priya"), looking(10.0, 5.0, shut=1.0))
    assert gleam.light.sum() < 0.05 * laid(load_avatar("priya"), looking(10.0, 5.0))[2].light.sum()


def test_a_gleam_brightens_the_eye_and_not_the_lashes_painted_over_it() -> None:
    warped, _, gleam = laid(load_avatar("jonas"), looking(8.0, 6.0))
    lit = gleam.light.max(2) > 20
    assert 4 < lit.sum() < 120
    bright, dark = warped.copy(), np.zeros_like(warped)
    gleam.add(bright)
    gleam.add(dark)
    brighter = gleam.window.cut(bright).astype(int) - gleam.window.cut(warped)
    assert (brighter[lit].max(1) > 15).all() and brighter.min() >= 0
    assert gleam.window.cut(dark)[lit].max() < 0.1 * brighter[lit].max()


def test_they_are_read_as_they_were_written(tmp_path: Path) -> None:
    assert Eyeballs.load(tmp_path) is None
    written = load_avatar("ruth").eyeballs
    assert written is not None
    written.save(tmp_path)
    read = Eyeballs.load(tmp_path)
    assert read is not None and (read.left, read.top) == (written.left, written.top)
    for name in ("bare", "light", "shine"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
    assert (tmp_path / FILE).stat().st_size < 30_000


def test_something_else_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / FILE, eyes_bare=np.zeros(3))
    with pytest.raises(ValueError, match="no eyeballs"):
        Eyeballs.load(tmp_path)
