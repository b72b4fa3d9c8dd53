"""Reading MakeHuman's formats from small texts."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the studio needs the train extra: pip install visavis[train]")

from training.studio.assets import Assets, parse_mhclo, parse_obj, parse_target


def test_obj_keeps_polygons_groups_and_texture_coordinates() -> None:
    mesh = parse_obj(
        iter(
            """
            # a quad and a triangle
            v 0 0 0
            v 1 0 0
            v 1 1 0
            v 0 1 .5
            vt 0 0
            vt 1 .25
            g body
            f 1/1 2/2 3/1 4/1
            g joint-neck
            f 1 2 3
            """.splitlines()
        )
    )
    assert mesh.vertices.shape == (4, 3)
    assert mesh.faces == [(0, 1, 2, 3), (0, 1, 2)]
    assert mesh.face_uvs == [(0, 1, 0, 0), (0, 0, 0)]
    assert mesh.face_groups == ["body", "joint-neck"]
    np.testing.assert_allclose(mesh.vertices[3], (0, 1, 0.5))


def test_target_skips_comments_and_blank_lines() -> None:
    index, offsets = parse_target("# basemesh hm08\n\n12 .1 0 -.25\n7 0 1e-3 0\n")
    assert index.tolist() == [12, 7]
    np.testing.assert_allclose(offsets, [(0.1, 0, -0.25), (0, 0.001, 0)])


def test_mhclo_reads_both_kinds_of_rows_and_headers_among_them() -> None:
    name, rows, scales = parse_mhclo(
        iter(
            """
            # comment
            name short
            obj_file short.obj
            x_scale 5399 11998 1.42
            z_scale 962 5320 2.0
            verts 0
            material short.mhmat
            tag hair
            42
            1 2 3 .5 .25 .25 .01 -.02 .03
            delete_verts
            10 - 12 14
            """.splitlines()
        )
    )
    assert name == "short.obj"
    assert scales == {0: (5399, 11998, 1.42), 2: (962, 5320, 2.0)}
    assert rows == [[42, 42, 42, 1, 0, 0, 0, 0, 0], [1, 2, 3, 0.5, 0.25, 0.25, 0.01, -0.02, 0.03]]


def test_a_folder_without_the_base_mesh_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"3dobjs/base\.obj is missing"):
        Assets(tmp_path)
