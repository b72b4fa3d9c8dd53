import numpy as np
import pytest

from engines.clip_track import follow, longest, smooth, smooth_points
from engines.portrait import NoPortrait
from tests.clips import Watcher, filmed, sway
from tests.portraits import shipped_points


def test_the_longest_run_without_a_cut_is_found() -> None:
    usable = [True] * 4 + [False] + [True] * 7
    assert longest(usable, set()) == (5, 12)
    assert longest(usable, {10}) == (5, 10)
    assert longest(usable, {7}) == (7, 12)
    assert longest([False, False], set()) == (0, 0) and longest([True], set()) == (0, 1)


def test_tremble_is_smoothed_away_and_motion_is_not() -> None:
    time = np.arange(60)[:, None, None]
    head = shipped_points()[None] + np.concatenate([40 * np.sin(time / 4), 9.0 * (time > 30)], axis=2)
    noise = np.random.default_rng(0).normal(0, 1, head.shape)
    calm = smooth_points((head + noise).astype(np.float32))
    assert np.abs(calm - head).mean() < 0.6 * np.abs(noise).mean()
    assert np.abs(calm - head).mean((1, 2))[30:33].max() < 0.8, "not even a jerk of the camera is blurred"


def test_smoothing_keeps_straight_ways_straight_to_their_ends() -> None:
    line = np.linspace(0, 5, 30)[:, None] * np.array([1.0, -2.0])
    np.testing.assert_allclose(smooth(line, 3.0), line, atol=1e-9)


def test_a_face_is_followed() -> None:
    watcher = Watcher()
    track = follow(filmed(55), watcher)
    assert len(track) == 55 and track.notes == () and watcher.searches == 1
    places = track.points - shipped_points()
    np.testing.assert_allclose(places[20].mean(0), sway(20), atol=0.6)
    assert np.abs(track.frame(20).astype(int) - filmed(21)[20]).mean() < 2


def test_the_longest_stretch_is_taken_and_said() -> None:
    def cut(index: int) -> tuple[int, int] | None:
        return None if 20 <= index < 26 else (10, 20) if index < 20 else sway(index)

    track = follow(filmed(80, cut), Watcher(cut))
    assert len(track) == 54 and "1.0 to 3.2 s" in track.notes[0]


@pytest.mark.parametrize(
    ("way", "code"),
    [
        (lambda index: None, "no_face"),
        (lambda index: sway(index) if index % 30 < 20 else None, "too_short"),
        (lambda index: (0, 0) if index // 20 % 2 else (128, 128), "too_short"),
    ],
    ids=["nobody", "comes and goes", "cuts"],
)
def test_refusals_say_why(way: object, code: str) -> None:
    with pytest.raises(NoPortrait) as refusal:
        follow(filmed(60, way), Watcher(way))  # type: ignore[arg-type]
    assert refusal.value.code == code
