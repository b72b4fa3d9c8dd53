"""Walks around a head of the studio: set VISAVIS_MAKEHUMAN to MakeHuman's data folder to take them."""

import numpy as np
import pytest

from engines.atlas import GLOBE_SKIN
from engines.media import FRAME_SIZE, Motion
from engines.source_view import HIDDEN, WHOLE, view_source
from tests.makehuman import ASSETS
from training.studio.cast import SHIPPED
from training.studio.figure import Wardrobe
from training.studio.globe import make_globe
from training.studio.head_export import head_mesh
from training.studio.rasterizer import Rasterizer
from training.studio.scene import Scene


@pytest.fixture(scope="module")
def scene() -> Scene:
    wardrobe = Wardrobe(ASSETS)
    return Scene(wardrobe, Rasterizer(FRAME_SIZE, supersampling=1), SHIPPED[1])


def test_the_globe_is_the_head_as_the_portrait_shows_it_and_what_that_hides(scene: Scene) -> None:
    mesh, portrait = head_mesh(scene.figure), scene.shoot(Motion())
    globe = make_globe(scene, mesh)
    view = view_source(scene.camera.project(mesh.pose(Motion())), mesh.triangles, mesh.parts, FRAME_SIZE)
    unrolled = globe.unrolled(mesh, view)
    shown = (unrolled.shelf == GLOBE_SKIN) & (view.sight == WHOLE).all(0)
    here, there = (
        picture[tuple(pixels[mesh.triangles[shown], :2].mean(1).round().astype(int).T[::-1])].astype(int)
        for picture, pixels in ((portrait, view.pixels), (globe.skin, unrolled.pixels))
    )
    assert shown.sum() > 1500 and np.abs(here - there).mean() < 8
    hidden = (unrolled.shelf == GLOBE_SKIN) & (view.sight == HIDDEN).all(0)
    places = unrolled.pixels[mesh.triangles[hidden]].mean(1).round().astype(int)
    cheeks = globe.skin[tuple(places[np.abs(places[:, 1] - 300) < 50].T[::-1])]
    assert len(cheeks) > 50 and (cheeks[:, 0] >= cheeks[:, 2]).mean() > 0.95, "it goes on as skin, not as wall"
    assert 0.02 < globe.strands.mean() < 0.4


def test_whoever_was_shot_from_elsewhere_looks_as_before(scene: Scene) -> None:
    before = scene.shoot(Motion())
    dressed, bare = scene.shot(scene.camera)
    np.testing.assert_array_equal(dressed, before)
    np.testing.assert_array_equal(scene.shoot(Motion()), before)
    assert (np.abs(bare.astype(int) - dressed).max(2) > 20).mean() > 0.1
