from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines.atlas import GLOBE_SKIN, GLOBE_WORN, PICTURE, SKIN, WORN
from engines.avatar import load_avatar
from engines.face_geometry import SourceGeometry, face_geometry
from engines.globe import FILES, Globe, outwards, unroll
from engines.head_mesh import HeadMesh, Part
from engines.keypoints import KEYPOINT_NAMES
from engines.media import FRAME_SIZE, HeadPose, Motion
from engines.warp import warp

TURNED = Motion(pose=HeadPose(0.0, 0.35, 0.0))
RED, GREEN = (np.full((FRAME_SIZE, FRAME_SIZE, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 255, 0)))
NO_STRANDS = np.zeros((FRAME_SIZE, FRAME_SIZE), np.uint8)


def plain(name: str) -> SourceGeometry:
    """An avatar that ships, without a globe."""
    return replace(load_avatar(name).geometry, globe=None)


@pytest.fixture(scope="module")
def mesh() -> HeadMesh:
    return plain("jonas").mesh


def test_left_is_right_of_the_middle_and_up_is_above_it(mesh: HeadMesh) -> None:
    points = dict(zip(KEYPOINT_NAMES, unroll(mesh)[mesh.keypoints], strict=True))
    assert abs(points["nose_tip"][0]) < 0.02
    assert points["mouth_corner_left"][0] > 0.05 and points["mouth_corner_right"][0] < -0.05
    assert points["forehead"][1] < points["nose_tip"][1] < points["chin"][1] < 1
    assert points["nose_tip"][2] < points["mouth_corner_left"][2], "the nose is nearer to who looks from outside"


def test_the_globe_shows_ears_and_jaw_and_neither_backs_nor_edges(mesh: HeadMesh) -> None:
    shown = outwards(mesh)
    a, b, c = (unroll(mesh)[mesh.triangles[shown, corner]] for corner in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    assert (area < 0).all(), "their front is outside, wound as a raster draws them"
    assert np.abs(unroll(mesh)[np.unique(mesh.triangles[shown]), :2]).max() <= 1
    skin = unroll(mesh)[np.unique(mesh.triangles[shown & (mesh.parts == Part.SKIN)])]
    assert np.abs(skin[:, 0]).max() > 0.95 and skin[:, 1].max() > 0.8
    assert 0.3 < shown[mesh.parts == Part.SKIN].mean() < 0.9


def test_a_globe_tells_where_skin_and_what_is_worn_lie_on_it(mesh: HeadMesh) -> None:
    unrolled = Globe(RED, GREEN, NO_STRANDS).unrolled(mesh, plain("jonas").view)
    assert set(unrolled.shelf[mesh.parts == Part.SKIN]) == {0, GLOBE_SKIN}
    assert set(unrolled.shelf[mesh.parts >= Part.HAIR]) == {0, GLOBE_WORN}
    inside = (mesh.parts > Part.SKIN) & (mesh.parts < Part.HAIR)
    assert not unrolled.shelf[inside].any(), "eyes, teeth and tongue are on no globe"
    np.testing.assert_allclose(unrolled.pixels, (unroll(mesh)[:, :2] + 1) * FRAME_SIZE / 2 - 0.5, atol=1e-3)


def test_a_turn_uncovers_the_globe_and_leaves_the_rest_as_it_was() -> None:
    before = plain("jonas")
    after = replace(before, globe=Globe(RED, GREEN, NO_STRANDS))
    picture = load_avatar("jonas").picture
    flows = [face_geometry(geometry, TURNED).flow for geometry in (before, after)]
    shelf = np.where(flows[1].cover > 0, flows[1].place >> np.uint32(28), PICTURE)
    uncovered = shelf >= GLOBE_SKIN
    assert 2000 < (shelf == GLOBE_SKIN).sum() < 20000 and 2000 < (shelf == GLOBE_WORN).sum() < 20000
    np.testing.assert_array_equal(flows[0].place[~uncovered], flows[1].place[~uncovered])
    assert not flows[0].seen[uncovered].any() and (flows[1].seen[uncovered] == 255).all()
    assert set(flows[0].place[uncovered] >> np.uint32(28)) == {SKIN, WORN}
    np.testing.assert_array_equal(flows[0].cover, flows[1].cover)
    np.testing.assert_array_equal(flows[0].coarse, flows[1].coarse)
    warped = warp(after.atlas(picture), face_geometry(after, TURNED)).astype(int)
    whole = flows[1].cover == 255
    assert (warped[whole & (shelf == GLOBE_SKIN)] == [255, 0, 0]).all()
    assert (warped[whole & (shelf == GLOBE_WORN)] == [0, 255, 0]).all()


def test_at_rest_hardly_anything_is_looked_up_on_it_whatever_strands_there_are() -> None:
    geometry = replace(plain("mira"), globe=Globe(RED, GREEN, NO_STRANDS + 1))
    flow = face_geometry(geometry, Motion()).flow
    assert ((flow.place >> np.uint32(28) >= GLOBE_SKIN) & (flow.cover > 0)).mean() < 0.003


def test_a_globe_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert Globe.load(tmp_path) is None
    strands = NO_STRANDS.copy()
    strands[:, 100:200] = 1
    Globe(RED, GREEN, strands).save(tmp_path)
    globe = Globe.load(tmp_path)
    assert globe is not None
    for read, written in ((globe.skin, RED), (globe.worn, GREEN)):
        assert np.abs(read.astype(int) - written).max() <= 3, "JPEG"
    np.testing.assert_array_equal(globe.strands, strands)


def test_a_broken_globe_is_refused(tmp_path: Path) -> None:
    Globe(RED, GREEN, NO_STRANDS).save(tmp_path)
    (tmp_path / FILES[1]).write_bytes(b"no picture")
    with pytest.raises(ValueError, match="globe_worn"):
        Globe.load(tmp_path)
    (tmp_path / FILES[1]).unlink()
    with pytest.raises(ValueError, match="globe_worn"):
        Globe.load(tmp_path)
