from dataclasses import replace

import numpy as np
import pytest

from engines.avatar import list_avatars, load_avatar
from engines.expression import EXPRESSION_INDEX, rest_expression
from engines.face_geometry import face_geometry
from engines.flow import flow_to_source
from engines.frame_geometry import FrameGeometry
from engines.head_mesh import Part
from engines.media import Motion
from engines.raster import Window
from engines.source_view import glimpse


@pytest.fixture(scope="module")
def geometry() -> FrameGeometry:
    source = load_avatar(list_avatars()[0]).geometry
    bare = source.mesh.parts < Part.HAIR
    mesh = replace(source.mesh, triangles=source.mesh.triangles[bare], parts=source.mesh.parts[bare])
    return FrameGeometry(mesh, source.camera, source.interior, source.mesh.pose(motion(jawOpen=0.1)))


def motion(**coefficients: float) -> Motion:
    expression = rest_expression()
    for name, value in coefficients.items():
        expression[EXPRESSION_INDEX[name]] = value
    return Motion(expression)


@pytest.mark.parametrize(
    "said", [motion(jawOpen=0.1), motion(jawOpen=0.7), motion(browInnerUp=0.8, mouthSmileLeft=0.5)]
)
def test_where_something_moves_the_part_is_drawn_as_the_whole_is(geometry: FrameGeometry, said: Motion) -> None:
    points, whole = geometry.camera.project(geometry.mesh.pose(said)), Window.whole(512)
    triangles, parts = geometry.mesh.triangles, geometry.mesh.parts
    _, wanted = flow_to_source(points, triangles, whole, glimpse(geometry.points, triangles, parts, whole))
    raster, flow = geometry.trace(points, Window(256, 200, 240, 112, 112))
    part, inner = raster.window, replace(raster.window, left=raster.window.left + 16, top=raster.window.top + 16)
    inner = replace(inner, width=part.width - 32, height=part.height - 32)
    assert part.width == part.height < 400 and part.left % 8 == part.top % 8 == part.width % 8 == 0
    covered = inner.cut(wanted.cover) > 0
    assert covered.mean() > 0.5
    for bits in (0, 14):
        one, other = (inner.cut(each.place)[covered] >> bits & 16383 for each in (wanted, flow))
        away = np.abs(one.astype(int) - other)
        assert away.max() <= 1 and away.mean() < 0.01, "but for rounding"
    for name in ("cover", "seen"):
        assert np.array_equal(inner.cut(getattr(wanted, name)), inner.cut(getattr(flow, name)))
    outside = np.ones((512, 512), bool)
    part.cut(outside)[:] = False
    assert not flow.cover[outside].any()
    rows, columns = np.nonzero(outside & (wanted.cover == 255) & (wanted.seen > 0))
    place = wanted.place[rows, columns]
    assert np.abs((place & 16383) / 32 - columns).max() < 0.5 and np.abs((place >> 14 & 16383) / 32 - rows).max() < 0.5


def test_windows_are_drawn_though_nothing_moves_there(geometry: FrameGeometry) -> None:
    shown = face_geometry(geometry, motion(jawOpen=0.1))
    assert np.abs(shown.flow.coarse).max() < 2 * 0.1 / 512
    assert shown.eyes_maps[..., 1].sum() > 300, "eyeballs"
    assert (shown.eyes.cut(shown.flow.seen) > 0).mean() > 0.5
