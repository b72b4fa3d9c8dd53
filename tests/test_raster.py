import numpy as np

from engines.expression import FloatArray
from engines.head_mesh import Part
from engines.raster import NO_PART, Window, rasterize

SQUARE = np.array([[0, 2, 1], [1, 2, 3]], np.int32)
"""Two triangles over corners (left top, right top, left bottom, right bottom), their front to the camera."""
SKIN = np.full(2, Part.SKIN, np.uint8)


def corners(x: float, y: float, half: float, depth: float = 10.0) -> FloatArray:
    points = [[x - half, y - half], [x + half, y - half], [x - half, y + half], [x + half, y + half]]
    return np.array([[*point, depth] for point in points], np.float32)


def centers(size: int) -> FloatArray:
    """Picture coordinates of the pixel centres of the whole picture, (size, size, 2)."""
    at = ((np.arange(size) + 0.5) / (size / 2) - 1).astype(np.float32)
    return np.dstack(np.meshgrid(at, at))


def test_window_centres_are_those_of_the_picture() -> None:
    whole = centers(512)
    np.testing.assert_allclose(whole[0, 0], [-1 + 1 / 512, -1 + 1 / 512], atol=1e-6)
    rows, columns = np.mgrid[50:60, 100:120]
    points = np.pad(whole[50:60, 100:120].reshape(-1, 2), ((0, 0), (0, 1)))
    for window, left, top in ((Window.whole(512), 0, 0), (Window(256, 100, 50, 20, 10), 100, 50)):
        expected = np.stack([columns.ravel() - left, rows.ravel() - top], axis=1)
        np.testing.assert_allclose(window.pixels(points)[:, :2], expected, atol=1e-4)


def test_attributes_interpolate_over_a_square() -> None:
    points = corners(0, 0, 0.5)
    window = Window.whole(64)
    raster = rasterize(points, SQUARE, window)
    covered = raster.parts(SKIN) == Part.SKIN
    assert covered.sum() == 32 * 32
    np.testing.assert_allclose(raster.interpolate(SQUARE, points)[covered][:, :2], centers(64)[covered], atol=1e-5)


def test_the_back_is_culled_and_the_near_hides_the_far() -> None:
    points = np.concatenate([corners(0, 0, 0.5, 10), corners(0, 0, 0.25, 5)])
    triangles = np.concatenate([SQUARE, SQUARE + 4])
    labels = np.array([Part.SKIN, Part.SKIN, Part.EYE, Part.EYE], np.uint8)
    for order in (slice(None), slice(None, None, -1)):
        parts = rasterize(points, triangles[order], Window.whole(64)).parts(labels[order])
        assert parts[32, 32] == Part.EYE and parts[18, 18] == Part.SKIN and parts[0, 0] == NO_PART
    flipped = rasterize(points, triangles[:, ::-1].copy(), Window.whole(64))
    assert (flipped.triangle == -1).all()


def test_neighbours_leave_no_seam() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        points = corners(0, 0, 0.6) + np.pad(rng.uniform(-0.2, 0.2, (4, 2)), ((0, 0), (0, 1))).astype(np.float32)
        covered = rasterize(points, SQUARE, Window.whole(128)).triangle >= 0
        filled = np.maximum.accumulate(covered, 1) & np.maximum.accumulate(covered[:, ::-1], 1)[:, ::-1]
        np.testing.assert_array_equal(covered, filled)


def test_a_window_cuts_the_parts_of_the_whole() -> None:
    raster = rasterize(corners(0, 0, 0.5), SQUARE, Window.whole(64))
    window = Window(32, 10, 20, 16, 8)
    np.testing.assert_array_equal(raster.parts(SKIN, window), raster.parts(SKIN)[20:28, 10:26])


def test_what_reaches_over_the_border_shows_nowhere_else() -> None:
    """Rows lie behind each other in memory, and are walked in steps that are wider than most triangles."""
    for x, y in ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (-1.0, -1.0)):
        covered = rasterize(corners(x, y, 0.25), SQUARE, Window.whole(40)).covered()
        here = np.abs(centers(40) - (x, y)).max(axis=2) < 0.25
        np.testing.assert_array_equal(covered, here)
