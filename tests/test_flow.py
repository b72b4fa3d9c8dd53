import numpy as np

from engines.expression import FloatArray
from engines.flow import FLOW_SIZE, NO_PART, Window, picture_flow, rasterize, source_depth, visibility
from engines.head_mesh import Part

SQUARE = np.array([[0, 2, 1], [1, 2, 3]], np.int32)
"""Two triangles over corners (left top, right top, left bottom, right bottom), their front to the camera."""
SKIN = np.full(2, Part.SKIN, np.uint8)


def corners(x: float, y: float, half: float, depth: float = 10.0) -> FloatArray:
    points = [[x - half, y - half], [x + half, y - half], [x - half, y + half], [x + half, y + half]]
    return np.array([[*point, depth] for point in points], np.float32)


def test_window_centres_are_those_of_the_picture() -> None:
    whole = Window.whole(512).centers()
    part = Window(256, 100, 50, 20, 10).centers()
    np.testing.assert_allclose(part, whole[50:60, 100:120], atol=1e-6)
    np.testing.assert_allclose(whole[0, 0], [-1 + 1 / 512, -1 + 1 / 512], atol=1e-6)


def test_attributes_interpolate_over_a_square() -> None:
    points = corners(0, 0, 0.5)
    window = Window.whole(64)
    raster = rasterize(points, points, SQUARE, SKIN, window)
    covered = raster.parts == Part.SKIN
    assert covered.sum() == 32 * 32
    np.testing.assert_allclose(raster.values[..., :2][covered], window.centers()[covered], atol=1e-5)


def test_the_back_is_culled_and_the_near_hides_the_far() -> None:
    points = np.concatenate([corners(0, 0, 0.5, 10), corners(0, 0, 0.25, 5)])
    triangles = np.concatenate([SQUARE, SQUARE + 4])
    labels = np.array([Part.SKIN, Part.SKIN, Part.EYE, Part.EYE], np.uint8)
    for order in (slice(None), slice(None, None, -1)):
        parts = rasterize(points, points, triangles[order], labels[order], Window.whole(64)).parts
        assert parts[32, 32] == Part.EYE and parts[18, 18] == Part.SKIN and parts[0, 0] == NO_PART
    flipped = rasterize(points, points, triangles[:, ::-1].copy(), labels, Window.whole(64))
    assert (flipped.parts == NO_PART).all()


def test_flow_points_back_to_the_source() -> None:
    source, target = corners(-0.2, 0.1, 0.3), corners(0.1, 0.0, 0.3)
    window = Window.whole(FLOW_SIZE)
    raster = rasterize(target, source, SQUARE, SKIN, window)
    seen = visibility(raster, source_depth(source, SQUARE, SKIN))
    covered = raster.parts == Part.SKIN
    assert seen[covered].mean() > 0.95
    flow = picture_flow(raster, seen, window)
    np.testing.assert_allclose(flow[covered], np.broadcast_to([-0.3, 0.1], flow[covered].shape), atol=1e-5)


def test_flow_goes_on_just_outside_the_mesh_and_fades_further_out() -> None:
    source, target = corners(-0.2, 0.0, 0.3), corners(0.0, 0.0, 0.3)
    window = Window.whole(FLOW_SIZE)
    raster = rasterize(target, source, SQUARE, SKIN, window)
    flow = picture_flow(raster, visibility(raster, source_depth(source, SQUARE, SKIN)), window)
    np.testing.assert_allclose(flow[128, 172], [-0.2, 0.0], atol=0.03)
    np.testing.assert_allclose(flow[128, 255], [0, 0], atol=1e-6)


def test_what_another_surface_hid_in_the_source_is_not_seen() -> None:
    far, near = corners(0, 0, 0.4, 10), corners(0, 0, 0.2, 9)
    triangles = np.concatenate([SQUARE, SQUARE + 4])
    labels = np.full(4, Part.SKIN, np.uint8)
    source = np.concatenate([far, near])
    target = np.concatenate([far, corners(5, 5, 0.2, 9)])
    raster = rasterize(target, source, triangles, labels, Window.whole(128))
    seen = visibility(raster, source_depth(source, triangles, labels))
    assert seen[64, 64] == 0 and seen[64, 42] == 1


def test_teeth_are_never_taken_from_the_source() -> None:
    points = corners(0, 0, 0.5)
    teeth = np.full(2, Part.UPPER_TEETH, np.uint8)
    raster = rasterize(points, points, SQUARE, teeth, Window.whole(64))
    assert visibility(raster, source_depth(points, SQUARE, teeth)).max() == 0
