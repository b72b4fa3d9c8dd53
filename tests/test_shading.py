from dataclasses import replace

import numpy as np
import pytest

from engines.avatar import load_avatar
from engines.expression import EXPRESSION_INDEX, EXPRESSION_SIZE
from engines.face_geometry import FaceGeometry, SourceGeometry, face_geometry
from engines.head_mesh import Part
from engines.media import FRAME_SIZE, HeadPose, Motion
from engines.raster import Window, rasterize
from engines.shading import SLOPES, TURN_SCALE, find_slopes, skin_normals

WHOLE = Window.whole(FRAME_SIZE)


@pytest.fixture(scope="module")
def source() -> SourceGeometry:
    return load_avatar("ruth").geometry


def sloping(source: SourceGeometry, face: FaceGeometry, region: Window = WHOLE, cell: int = 8) -> np.ndarray:
    normals = skin_normals(face.vertices, source.skin)
    found = np.full((region.height // cell, region.width // cell, SLOPES), np.nan, np.float32)
    find_slopes(face.raster, source.mesh.triangles, normals, source.normals, region, found)
    return found


def skin_at_centres(source: SourceGeometry, face: FaceGeometry) -> np.ndarray:
    return face.raster.parts(source.mesh.parts)[4::8, 4::8] == Part.SKIN


def test_normals_of_a_ball_point_away_from_its_middle_and_others_nowhere() -> None:
    turns, heights = np.meshgrid(np.arange(24) * np.pi / 12, np.linspace(0.2, np.pi - 0.2, 16))
    across = np.sin(heights)
    ball = np.stack([across * np.sin(turns), np.cos(heights), across * np.cos(turns)], 2).reshape(-1, 3)
    skin = [
        corner
        for row in range(15)
        for column in range(24)
        for a, b in [(24 * row + column, 24 * row + (column + 1) % 24)]
        for corner in ((a, a + 24, b), (b, a + 24, b + 24))
    ]
    vertices = np.concatenate([ball, np.ones((1, 3))]).astype(np.float32)
    normals = skin_normals(vertices, np.array(skin, np.int32))
    inside = slice(24, -25)
    assert (np.sum(normals[inside] * vertices[inside], 1) > 0.999).all()
    assert (normals[-1] == 0).all()


def test_a_head_at_rest_slopes_as_its_source_and_only_skin_slopes(source: SourceGeometry) -> None:
    face = face_geometry(source, Motion())
    found, skin = sloping(source, face), skin_at_centres(source, face)
    assert found.shape == (64, 64, 6) and np.abs(found[..., 3:]).max() < 1e-4
    assert np.abs(np.linalg.norm(found[skin][:, :3], axis=1) - 1).mean() < 0.02
    assert (found[~skin] == 0).all() and skin.sum() > 300


def test_a_turned_head_turns_its_normals(source: SourceGeometry) -> None:
    face = face_geometry(source, Motion(pose=HeadPose(yaw=0.3)))
    turned = sloping(source, face)[skin_at_centres(source, face)]
    before = turned[:, :3] - turned[:, 3:] / TURN_SCALE
    angles = np.arctan2(turned[:, 0], turned[:, 2]) - np.arctan2(before[:, 0], before[:, 2])
    assert np.median(angles) == pytest.approx(0.3, abs=0.03)


def test_a_smile_turns_the_skin_beside_the_mouth_and_not_the_forehead(source: SourceGeometry) -> None:
    smile = np.zeros(EXPRESSION_SIZE, np.float32)
    smile[[EXPRESSION_INDEX[name] for name in ("mouthSmileLeft", "mouthSmileRight")]] = 1
    face = face_geometry(source, Motion(smile))
    turned = np.linalg.norm(sloping(source, face)[..., 3:], axis=2) / TURN_SCALE
    rows = slice(face.mouth.top // 8, (face.mouth.top + face.mouth.height) // 8)
    assert turned[rows].max() > 0.3 and turned[: face.eyes.top // 8].max() < 0.05


def test_a_window_shows_what_the_whole_picture_does_and_a_part_of_it_suffices(source: SourceGeometry) -> None:
    face = face_geometry(source, Motion(pose=HeadPose(yaw=0.1, pitch=0.1)))
    mouth = Window(WHOLE.scale, 200, 296, 112, 112)
    whole = sloping(source, face)
    np.testing.assert_allclose(sloping(source, face, mouth, 8), whole[37:51, 25:39], atol=1e-6)
    part = Window(WHOLE.scale, 192, 256, 160, 192)
    points = source.camera.project(face.vertices)
    in_part = replace(face, raster=rasterize(points, source.mesh.triangles, part))
    found = sloping(source, in_part)
    np.testing.assert_allclose(found[32:56, 24:44], whole[32:56, 24:44], atol=1e-4)
    assert (found[:32] == 0).all() and (found[56:] == 0).all() and (found[:, :24] == 0).all()
