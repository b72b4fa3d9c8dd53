"""Looks behind the lids of a head of the studio: set VISAVIS_MAKEHUMAN to MakeHuman's data folder to do so."""

import numpy as np
import pytest

from engines.avatar import AVATARS
from engines.eyeballs import LIT
from engines.face_geometry import Interior, SourceGeometry
from engines.media import FRAME_SIZE, Motion
from tests.makehuman import ASSETS
from training.studio.cast import SHIPPED
from training.studio.eyeballs import make_eyeballs
from training.studio.figure import Wardrobe
from training.studio.head_export import head_mesh
from training.studio.rasterizer import Rasterizer
from training.studio.scene import Scene


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene(Wardrobe(ASSETS), Rasterizer(FRAME_SIZE, supersampling=1), SHIPPED[0])


def test_eyeballs_are_round_and_their_light_and_shine_make_the_portrait(scene: Scene) -> None:
    before = scene.shoot(Motion())
    mesh = head_mesh(scene.figure)
    geometry = SourceGeometry(mesh, scene.camera, Interior.load(AVATARS / scene.figure.identity.id))
    balls = make_eyeballs(scene, geometry)
    np.testing.assert_array_equal(scene.shoot(Motion()), before)
    behind = balls.bare[..., 3] > 128
    columns = np.nonzero(behind.any(0))[0]
    gaps = np.nonzero(np.diff(columns) > 1)[0]
    assert len(gaps) == 1, "two corneas"
    for one in np.split(columns, gaps + 1):
        assert abs(int(behind[:, one].any(1).sum()) - len(one)) <= 2, "round, also behind the lids"
    height, width = behind.shape
    portrait = before[balls.top : balls.top + height, balls.left : balls.left + width].astype(float)
    together = balls.bare[..., :3] * (balls.light / LIT) + balls.shine
    middle = np.nonzero(behind.any(1))[0].mean().round().astype(int)
    rows = slice(middle - 1, middle + 4)
    assert np.abs(together - portrait)[rows][behind[rows]].mean() < 12
    assert balls.shine.max() > 40 and balls.light[behind].mean() > 0.5 * LIT
