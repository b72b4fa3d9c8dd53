"""Catmull-Clark against values worked out by hand."""

import itertools

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the studio needs the train extra: pip install visavis[train]")

from training.studio.assets import Face
from training.studio.subdivision import corners, select, subdivide, vertex_normals

CUBE = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))
FACES: list[Face] = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]


def test_a_cube_becomes_the_known_shape() -> None:
    fine = subdivide(8, FACES, 8, FACES)
    points = fine.matrix @ CUBE
    assert len(points) == 8 + 6 + 12 and len(fine.faces) == 24
    np.testing.assert_allclose(points[:8], CUBE * 5 / 9)
    np.testing.assert_allclose(np.abs(points[8:14]).sum(1), 1)
    np.testing.assert_allclose(np.sort(np.abs(points[14:]), axis=1), np.tile([0, 0.75, 0.75], (12, 1)))


def test_a_border_stays_on_its_curve_and_texture_is_linear() -> None:
    square = np.array([(0.0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)])
    fine = subdivide(4, [(0, 1, 2, 3)], 4, [(0, 1, 2, 3)])
    points, uvs = fine.matrix @ square, fine.uv_matrix @ square[:, :2]
    np.testing.assert_allclose(points[0], (0.125, 0.125, 0))
    np.testing.assert_allclose(points[4], (0.5, 0.5, 0))
    np.testing.assert_allclose(uvs[:4], square[:, :2])
    assert len(fine.faces) == len(fine.face_uvs) == 4


def test_quads_are_cut_and_equal_corners_joined() -> None:
    cut = corners([(0, 1, 2, 3), (1, 4, 5, 2)], [(0, 1, 2, 3), (1, 4, 5, 2)])
    assert len(cut.triangles) == 4 and len(cut.vertices) == 6
    seam = corners([(0, 1, 2, 3), (1, 4, 5, 2)], [(0, 1, 2, 3), (6, 4, 5, 7)])
    assert len(seam.vertices) == 8


def test_normals_point_out_and_faces_can_be_chosen() -> None:
    outward = vertex_normals(CUBE, corners(FACES, FACES).triangles)
    np.testing.assert_allclose(np.linalg.norm(outward, axis=1), 1)
    assert ((outward * CUBE).sum(1) > 0.9).all()
    faces, uvs = select(FACES, FACES, lambda index, face: 0 in face)
    assert faces == uvs == [FACES[0], FACES[2], FACES[4]]
