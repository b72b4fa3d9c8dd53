from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import atlas
from engines.expression import FloatArray
from engines.flow import GRAZING, Flow, _find_ways, flow_to_source
from engines.head_mesh import Part
from engines.raster import Window, rasterize
from engines.source_view import HIDDEN, PARTLY, WHOLE, Unrolled, view_source

Triangles = NDArray[np.int32]
Parts = NDArray[np.uint8]
SIZE = 256

SQUARE = np.array([[0, 2, 1], [1, 2, 3]], np.int32)
"""Two triangles over corners (left top, right top, left bottom, right bottom), their front to the camera."""
SKIN = np.full(2, Part.SKIN, np.uint8)


def corners(x: float, y: float, half: float, depth: float = 10.0) -> FloatArray:
    points = [[x - half, y - half], [x + half, y - half], [x - half, y + half], [x + half, y + half]]
    return np.array([[*point, depth] for point in points], np.float32)


def flow_between(source: FloatArray, target: FloatArray, triangles: Triangles = SQUARE, parts: Parts = SKIN) -> Flow:
    view = view_source(source, triangles, parts, SIZE)
    return flow_to_source(target, triangles, Window.whole(SIZE), view)[1]


def places(flow: Flow) -> FloatArray:
    """Where each pixel lies in the source, in pixels."""
    bits = flow.place.astype(np.int64)
    return (np.dstack([bits & 16383, bits >> 14 & 16383]) / 32).astype(np.float32)


def shelves(flow: Flow) -> NDArray[np.uint32]:
    """Which picture of the atlas each pixel is looked up in."""
    return flow.place >> np.uint32(28)


def test_flow_points_back_to_the_source() -> None:
    flow = flow_between(corners(-0.25, 0.125, 0.3), corners(0.125, 0.0, 0.3))
    here = Window.whole(SIZE).pixels(np.array([[0.125, 0.0, 0]], np.float32))[0, :2].round().astype(int)
    moved = places(flow)[here[1], here[0]] - here
    np.testing.assert_allclose(moved, [-0.375 * SIZE / 2, 0.125 * SIZE / 2], atol=1 / 32)
    np.testing.assert_allclose(flow.coarse[32, 36], [-0.375, 0.125], atol=1e-3)
    assert flow.seen[here[1], here[0]] == 255 and flow.cover[here[1], here[0]] == 255
    assert shelves(flow)[here[1], here[0]] == atlas.PICTURE


def test_places_are_where_the_source_has_them_to_a_32nd_of_a_pixel() -> None:
    source, target, window = corners(0.1, -0.2, 0.25), corners(0, 0, 0.5), Window.whole(SIZE)
    flow = flow_between(source, target)
    rows, columns = np.nonzero(rasterize(target, SQUARE, window).covered())
    wanted = np.stack(
        [columns * 0.5 + (SIZE - 1) / 4 + 0.1 * SIZE / 2, rows * 0.5 + (SIZE - 1) / 4 - 0.2 * SIZE / 2], 1
    )
    assert np.abs(places(flow)[rows, columns] - wanted).max() <= 0.5 / 32 + 1e-3


def test_triangles_that_rounding_may_turn_away_are_followed_too() -> None:
    """Whether such a one shows is decided by whoever draws it, who may round otherwise."""
    pixels = np.array([[10, 10, 5], [20, 12, 5], [30, 14, 5], [30, 14.00001, 5], [30, 20, 5]], np.float32)
    source = corners(0, 0, 0.5)[[0, 1, 2, 2, 2]]
    triangles = np.array([[0, 1, 2], [0, 2, 1], [0, 1, 3], [0, 3, 1], [0, 1, 4]], np.int32)
    ways, marks = np.full((5, 9), np.nan, np.float32), np.zeros(5, np.uint32)
    _find_ways(pixels, triangles, source, np.zeros((2, 5), np.uint32), np.float32(GRAZING), ways, marks)
    assert np.isfinite(ways[:4]).all() and np.isnan(ways[4]).all(), "all but the one that shows its back"


def test_flow_goes_on_just_outside_the_mesh_and_fades_further_out() -> None:
    flow = flow_between(corners(0.0, 0.0, 0.3), corners(0.02, 0.0, 0.3))
    above = SIZE // 2 - 42, SIZE // 2 + 13
    np.testing.assert_allclose(places(flow)[above], [above[1] - 0.02 * SIZE / 2, above[0]], atol=0.1)
    assert flow.cover[above] == 255 and shelves(flow)[above] == atlas.PICTURE, "stray hair follows"
    assert flow.cover[0, 0] == 0
    assert np.abs(flow.coarse[0, 0]).max() == 0


def test_stray_hair_is_gone_when_the_head_has_moved_far() -> None:
    above = SIZE // 2 - 42, SIZE // 2 + 26
    covers = [
        flow_between(corners(0, 0, 0.3), corners(2 * pixels / SIZE, 0, 0.3)).cover[above] for pixels in (2, 8, 12, 16)
    ]
    assert covers[0] == covers[1] == 255 and 0 < covers[2] < 255 and covers[3] == 0


def test_all_around_the_mesh_its_rim_goes_on_without_a_gap() -> None:
    moved = np.array([5, -3]) / (SIZE / 2)
    flow = flow_between(corners(0, 0, 0.3), corners(moved[0], moved[1], 0.3))
    covered = rasterize(corners(moved[0], moved[1], 0.3), SQUARE, Window.whole(SIZE)).covered()
    beside = atlas.widen(covered, atlas.HALO) > covered
    corner = cv2.dilate(covered, np.ones((1, 17), np.uint8)) + cv2.dilate(covered, np.ones((17, 1), np.uint8)) == 0
    y, x = np.nonzero(beside & ~corner)
    assert len(y) > 4 * 70 * atlas.HALO
    np.testing.assert_allclose(places(flow)[y, x] - np.stack([x, y], 1), [[-5, 3]] * len(y), atol=1 / 16)
    assert (flow.cover[y, x] == 255).all() and (shelves(flow)[y, x] == atlas.PICTURE).all()


def test_what_the_figure_uncovers_shows_the_backdrop() -> None:
    flow = flow_between(corners(-0.3, 0.0, 0.3), corners(0.3, 0.0, 0.3))
    assert flow.cover[SIZE // 2, SIZE // 2 - 60] == 0


def test_a_new_outline_is_soft() -> None:
    """Half of the square was hidden behind another, so that its outline there is one that the source did not show."""
    points = np.concatenate([corners(0, 0, 0.4, 10), corners(0.4, 0, 0.39, 9)])
    moved = np.concatenate([corners(0, 0, 0.4, 10), corners(5, 5, 0.39, 9)])
    triangles, parts = np.concatenate([SQUARE, SQUARE + 4]), np.full(4, Part.SKIN, np.uint8)
    row = flow_between(points, moved, triangles, parts).cover[SIZE // 2]
    edge = int((0.4 + 1) * SIZE / 2 - 0.5)
    assert row[edge - 3] == 255 and 150 < row[edge] < 255 and 0 < row[edge + 1] < 120 and row[edge + 3] == 0


def test_what_another_surface_hid_in_the_source_is_not_seen() -> None:
    far, near = corners(0, 0, 0.4, 10), corners(0, 0, 0.2, 9)
    triangles = np.concatenate([SQUARE, SQUARE + 4])
    labels = np.full(4, Part.SKIN, np.uint8)
    flow = flow_between(np.concatenate([far, near]), np.concatenate([far, corners(5, 5, 0.2, 9)]), triangles, labels)
    middle = SIZE // 2
    assert flow.seen[middle, middle] == 0 and flow.seen[middle, middle - int(0.35 * middle)] == 255
    assert shelves(flow)[middle, middle] == atlas.SKIN


def test_skin_right_behind_hair_is_not_seen() -> None:
    """Nearer to it than the depth buffer tells apart."""
    face, fringe = corners(0, 0, 0.4, 10), corners(0, -0.3, 0.1, 9.98)
    triangles = np.concatenate([SQUARE, SQUARE + 4])
    labels = np.array([Part.SKIN, Part.SKIN, Part.HAIR, Part.HAIR], np.uint8)
    lifted = np.concatenate([face, corners(0, -0.8, 0.1, 9.98)])
    flow = flow_between(np.concatenate([face, fringe]), lifted, triangles, labels)
    beneath = int((-0.3 + 1) * SIZE / 2), SIZE // 2
    assert flow.seen[beneath] == 0 and shelves(flow)[beneath] == atlas.SKIN
    assert flow.seen[SIZE // 2, SIZE // 2] == 255


def test_skin_right_below_skin_that_stands_out_shows_some_of_that() -> None:
    """As the neck below a chin: next to its outline the source shows neither quite."""
    triangles = np.concatenate([SQUARE, SQUARE + 4])

    def seen(gap: float) -> NDArray[np.bool_]:
        chin, neck = corners(0, -0.3, 0.3, depth=9.5 - gap), corners(0, 0, 0.6, depth=9.5)
        apart = chin + np.array([0, -0.3, 0], np.float32)
        flow = flow_between(np.concatenate([chin, neck]), np.concatenate([apart, neck]), triangles, np.tile(SKIN, 2))
        return flow.seen[SIZE // 2 - 6 : SIZE // 2 + 6, SIZE // 2] > 0

    edge, rows = SIZE / 2 - 0.5, np.arange(SIZE // 2 - 6, SIZE // 2 + 6)
    assert seen(0.5)[rows > edge + 3].all() and not seen(0.5)[rows < edge + 1.5].any()
    assert seen(0.1)[rows > edge + 1].all(), "a fold of the skin is no chin"


def test_sight_tells_the_triangles_that_were_seen_whole_in_part_or_not() -> None:
    halved, near, hidden = corners(0, 0, 0.2, 10), corners(0.3, 0, 0.3, 9), corners(0.3, 0, 0.1, 10)
    triangles = np.concatenate([SQUARE, SQUARE + 4, SQUARE + 8])
    view = view_source(np.concatenate([halved, near, hidden]), triangles, np.full(6, Part.SKIN, np.uint8), SIZE)
    assert view.sight[0].tolist() == [PARTLY, PARTLY, WHOLE, WHOLE, HIDDEN, HIDDEN]


def test_hair_is_seen_and_teeth_are_never_taken_from_the_source() -> None:
    points = corners(0, 0, 0.5)
    for part, expected in ((Part.HAIR, 255), (Part.CLOTH, 255), (Part.UPPER_TEETH, 0), (Part.TONGUE, 0)):
        assert flow_between(points, points, parts=np.full(2, part, np.uint8)).seen.max() == expected


def test_surface_seen_at_a_grazing_angle_is_looked_up_where_it_is_drawn_out() -> None:
    narrow, wide = corners(0, 0, 0.5), corners(0, 0, 0.5)
    narrow[:, 0] *= 0.2
    middle = SIZE // 2
    for part, drawn in ((Part.SKIN, atlas.SKIN), (Part.HAIR, atlas.WORN)):
        flow = flow_between(narrow, wide, parts=np.full(2, part, np.uint8))
        assert shelves(flow)[middle, middle] == drawn and flow.seen[middle, middle] == 255
        assert flow.seen[middle, middle - int(0.49 * middle)] == 0, "at the outline it is not trusted"


def looked_around(target: FloatArray, strands: NDArray[np.uint8], lifted: FloatArray) -> Flow:
    """A face with a fringe before it, which lifts; the face can be found elsewhere, 10 pixels to the right."""
    face, fringe = corners(0, 0, 0.4, 10), corners(0, -0.3, 0.1, 9)
    triangles = np.concatenate([SQUARE, SQUARE + 4])
    labels = np.array([Part.SKIN, Part.SKIN, Part.HAIR, Part.HAIR], np.uint8)
    source = np.concatenate([face, fringe])
    view = view_source(source, triangles, labels, SIZE)
    pixels = np.ascontiguousarray(view.pixels[:, :2] + np.array([10, 0], np.float32))
    shelf = np.array([atlas.GLOBE_SKIN, atlas.GLOBE_SKIN, 0, 0], np.uint8)
    view = replace(view, unrolled=Unrolled.of(pixels, shelf, strands, view.pixels, triangles))
    return flow_to_source(np.concatenate([target, lifted]), triangles, Window.whole(SIZE), view)[1]


def test_what_the_source_did_not_see_is_looked_up_elsewhere() -> None:
    flow = looked_around(corners(0, 0, 0.4), np.zeros((SIZE, SIZE), np.uint8), corners(0, -0.8, 0.1, 9))
    beneath, beside = (int(0.35 * SIZE), SIZE // 2 + 3), (int(0.6 * SIZE), SIZE // 2)
    assert shelves(flow)[beneath] == atlas.GLOBE_SKIN and flow.seen[beneath] == 255
    np.testing.assert_allclose(places(flow)[beneath], [beneath[1] + 10, beneath[0]], atol=1 / 16)
    assert shelves(flow)[beside] == atlas.PICTURE
    np.testing.assert_allclose(places(flow)[beside], beside[::-1], atol=1 / 16)


def test_a_strand_over_skin_stays_only_while_hair_is_beside_it() -> None:
    """The source shows a strand just below the fringe, of which the mesh knows nothing."""
    face, fringe = corners(0, 0, 0.4), corners(0, -0.3, 0.1, 9)
    edge, middle = int((1 - 0.2) * SIZE / 2), SIZE // 2
    strands = np.zeros((SIZE, SIZE), np.uint8)
    strands[edge : edge + 3] = 1
    here = edge + 1, middle
    assert shelves(looked_around(face, strands, fringe))[here] == atlas.PICTURE
    lifted = looked_around(face, strands, corners(0, -0.4, 0.1, 9))
    assert shelves(lifted)[here] == atlas.GLOBE_SKIN and lifted.seen[here] == 255
    assert shelves(looked_around(face, 0 * strands, corners(0, -0.4, 0.1, 9)))[here] == atlas.PICTURE


def test_only_triangles_near_a_strand_may_be_of_skin_below_it() -> None:
    points, shelf = corners(0, 0, 0.25)[:, :2], np.array([atlas.GLOBE_SKIN] * 2 + [atlas.GLOBE_WORN] * 2, np.uint8)
    source = Window.whole(SIZE).pixels(np.concatenate([corners(-0.4, 0, 0.25), corners(0.4, 0, 0.25)]))
    triangles = np.concatenate([SQUARE[:1], SQUARE[:1] + 4, SQUARE[:1], SQUARE[:1] + 4])
    strands = np.zeros((SIZE, SIZE), np.uint8)
    strands[SIZE // 2, int(0.7 * SIZE)] = 1
    assert Unrolled.of(points, shelf, strands, source, triangles).below.tolist() == [False, True, False, False]
