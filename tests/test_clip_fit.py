from dataclasses import replace

import numpy as np
import pytest

from engines.clip_fit import best_frame, fit_track, take_shots, talks
from engines.clip_track import Track
from engines.expression import EXPRESSION_INDEX, FloatArray
from engines.face_basis import FaceBasis
from engines.face_fit import DISTANCE, FaceFit, camera_around
from engines.landmarks import TRACKED, Crop
from engines.media import HeadPose, Motion
from engines.pictures import to_jpeg
from engines.portrait import NoPortrait

JAW = EXPRESSION_INDEX["jawOpen"]
FRAMES = 30


@pytest.fixture(scope="module")
def basis() -> FaceBasis:
    return FaceBasis.load()


def seen(basis: FaceBasis, yaw: float, jaw: float, crop: Crop) -> FloatArray:
    """Tracked keypoints (P, 2), in pixels, of the mean head."""
    expression = np.zeros(len(EXPRESSION_INDEX), np.float32)
    expression[JAW] = jaw
    posed = basis.mean.pose(Motion(expression, HeadPose()))[basis.mean.keypoints[list(TRACKED)]]
    return crop.to_picture(camera_around(basis, yaw, 0.0).project(posed)[:, :2])


def track(basis: FaceBasis, turn: float) -> tuple[Track, np.ndarray]:
    """A head that turns by `turn` and back, speaks and wanders; and the opening of its jaw."""
    time = np.arange(FRAMES) / FRAMES
    jaws = 0.15 + 0.15 * np.sin(20 * time)
    crops = [Crop(320 + 60 * at, 240 - 30 * at, 300 + 40 * at, 0.08 - 0.1 * at) for at in time]
    yaws = turn * np.sin(np.pi * time)
    points = np.stack([seen(basis, *each) for each in zip(yaws, jaws, crops, strict=True)])
    frames = [to_jpeg(np.zeros((480, 640, 3), np.uint8))] * FRAMES
    return Track(frames, points, np.full((FRAMES, len(TRACKED)), 0.5, np.float32), ()), jaws


def test_one_head_is_fitted_to_all_frames(basis: FaceBasis) -> None:
    clip, jaws = track(basis, 0.2)
    used, fits, person = fit_track(clip, basis)
    begin = next(index for index in range(FRAMES) if np.array_equal(clip.points[index], used.points[0]))
    assert 18 <= len(used) == len(fits) <= FRAMES and talks(fits)
    found = [fit.expression[JAW] for fit in fits]
    assert np.corrcoef(found, jaws[begin : begin + len(fits)])[0, 1] > 0.97
    shots = take_shots(used, fits, person)
    for index in (0, len(fits) // 2):
        square, camera = shots.squares[index], shots.cameras[index]
        shown = camera.project(shots.shown[index])[person.mean.keypoints[list(TRACKED)], :2]
        assert np.abs(square.to_picture(shown) - used.points[index]).max() < 1.0, "the mesh is where the frame shows it"
        assert square.roll == 0 and square.y - square.side / 2 >= -1e-3, "upright, and within the frame"
        assert np.linalg.norm(np.subtract(camera.at, camera.eye)) == pytest.approx(DISTANCE, rel=1e-4)
        opened = np.linalg.norm(shots.shown[index] - shots.rest[index], axis=1).max()
        assert opened == pytest.approx(0, abs=0.3) and (opened > 0.03) == (found[index] > 0.05)
    steps = np.abs(np.diff([(square.x, square.y, square.side) for square in shots.squares], n=2, axis=0))
    assert steps.max() < 0.2, "a calm hand holds the camera"


def test_a_head_that_turns_away_is_refused(basis: FaceBasis) -> None:
    clip, _ = track(basis, 1.1)
    with pytest.raises(NoPortrait) as refusal:
        fit_track(clip, basis)
    assert refusal.value.code == "too_turned"


def test_the_portrait_has_its_mouth_shut_and_its_eyes_open(basis: FaceBasis) -> None:
    rest = np.zeros(len(EXPRESSION_INDEX), np.float32)
    fit = FaceFit(camera_around(basis, 0, 0), Crop(0, 0, 9), np.zeros(0, np.float32), rest, 0.0, 0.0, 0.0)
    speaks, blinks = rest.copy(), rest.copy()
    speaks[JAW], blinks[EXPRESSION_INDEX["eyeBlinkLeft"]] = 0.5, 0.8
    turned = replace(fit, yaw=0.3)
    fits = [replace(fit, expression=speaks), replace(fit, expression=blinks), turned, fit]
    assert best_frame(fits) == 3 and best_frame(fits[:3]) == 2
    assert not talks([fit] * 5)
