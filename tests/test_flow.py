import numpy as np
from numpy.typing import NDArray

from engines import atlas
from engines.expression import FloatArray
from engines.flow import NO_PART, Flow, Window, flow_to_source, rasterize, view_source
from engines.head_mesh import Part

Triangles = NDArray[np.int32]
Parts = NDArray[np.uint8]
SIZE = 256

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


def flow_between(source: FloatArray, target: FloatArray, triangles: Triangles = SQUARE, parts: Parts = SKIN) -> Flow:
    view = view_source(source, triangles, SIZE)
    return flow_to_source(rasterize(target, triangles, Window.whole(SIZE)), triangles, parts, view)


def places(flow: Flow) -> FloatArray:
    """Where each pixel lies in the atlas, in pixels."""
    fraction = np.dstack([flow.fraction & 31, flow.fraction >> 5])
    return (flow.grid + fraction / 32).astype(np.float32)


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


def test_flow_points_back_to_the_source() -> None:
    flow = flow_between(corners(-0.25, 0.125, 0.3), corners(0.125, 0.0, 0.3))
    here = Window.whole(SIZE).pixels(np.array([[0.125, 0.0, 0]], np.float32))[0, :2].round().astype(int)
    moved = places(flow)[here[1], here[0]] - here
    np.testing.assert_allclose(moved, [-0.375 * SIZE / 2, 0.125 * SIZE / 2 + atlas.PICTURE * SIZE], atol=1 / 32)
    np.testing.assert_allclose(flow.coarse[32, 36], [-0.375, 0.125], atol=1e-3)
    assert flow.seen[here[1], here[0]] == 255


def test_flow_goes_on_just_outside_the_mesh_and_fades_further_out() -> None:
    flow = flow_between(corners(-0.1, 0.0, 0.3), corners(0.1, 0.0, 0.3))
    just_above = places(flow)[SIZE // 2 - 45, SIZE // 2 + 13]
    np.testing.assert_allclose(
        just_above, [SIZE // 2 + 13 - 0.2 * SIZE / 2, SIZE // 2 - 45 + atlas.PICTURE * SIZE], atol=2
    )
    np.testing.assert_allclose(places(flow)[0, 0], [0, atlas.PICTURE * SIZE])


def test_what_the_figure_uncovers_shows_the_backdrop() -> None:
    flow = flow_between(corners(-0.3, 0.0, 0.3), corners(0.3, 0.0, 0.3))
    uncovered = SIZE // 2, SIZE // 2 - 60
    np.testing.assert_allclose(places(flow)[uncovered], [uncovered[1], uncovered[0] + atlas.BACKDROP * SIZE])


def test_what_another_surface_hid_in_the_source_is_not_seen() -> None:
    far, near = corners(0, 0, 0.4, 10), corners(0, 0, 0.2, 9)
    triangles = np.concatenate([SQUARE, SQUARE + 4])
    labels = np.full(4, Part.SKIN, np.uint8)
    seen = flow_between(
        np.concatenate([far, near]), np.concatenate([far, corners(5, 5, 0.2, 9)]), triangles, labels
    ).seen
    middle = SIZE // 2
    assert seen[middle, middle] == 0 and seen[middle, middle - int(0.35 * middle)] == 255


def test_hair_is_seen_and_teeth_are_never_taken_from_the_source() -> None:
    points = corners(0, 0, 0.5)
    for part, expected in ((Part.HAIR, 255), (Part.CLOTH, 255), (Part.UPPER_TEETH, 0), (Part.TONGUE, 0)):
        assert flow_between(points, points, parts=np.full(2, part, np.uint8)).seen.max() == expected


def test_surface_seen_at_a_grazing_angle_is_looked_up_in_the_figure() -> None:
    narrow, wide = corners(0, 0, 0.5), corners(0, 0, 0.5)
    narrow[:, 0] *= 0.2
    flow = flow_between(narrow, wide)
    middle = SIZE // 2
    assert places(flow)[middle, middle, 1] < SIZE, "the figure comes first in the atlas"
    assert flow.seen[middle, middle] == 255
    assert flow.seen[middle, middle - int(0.49 * middle)] == 0, "at the outline it is not trusted"
