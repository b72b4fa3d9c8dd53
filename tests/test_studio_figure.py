"""The studio on the real assets: set VISAVIS_MAKEHUMAN to MakeHuman's data folder to run these."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.avatar import AVATARS
from engines.expression import EXPRESSION_NAMES
from engines.head_mesh import HeadMesh, Part, bone_transforms
from engines.keypoints import KEYPOINT_NAMES
from engines.raster import Window, rasterize
from tests.makehuman import ASSETS
from training.studio.camera import backdrop
from training.studio.cast import HELD_OUT, SHIPPED
from training.studio.crowd import passer_by
from training.studio.figure import Wardrobe
from training.studio.head_export import head_mesh
from training.studio.labels import keypoints, masks
from training.studio.rasterizer import Rasterizer
from training.studio.rig import RECIPES
from training.studio.sampler import random_motion, states
from training.studio.scene import Scene


@pytest.fixture(scope="module")
def scene() -> Scene:
    wardrobe = Wardrobe(ASSETS)
    return Scene(wardrobe, Rasterizer(128, supersampling=1), SHIPPED[0])


def test_the_mesh_moves_exactly_as_the_picture_does(scene: Scene, tmp_path: Path) -> None:
    head_mesh(scene.figure).save(tmp_path / "mesh.npz")
    mesh = HeadMesh.load(tmp_path / "mesh.npz")
    body = scene.figure.shapes["body"]
    rows = {tuple(vertex): row for row, vertex in enumerate(body.neutral)}
    skin = [index for index in np.unique(mesh.triangles[mesh.parts == 0]) if tuple(mesh.neutral[index]) in rows]
    drawn = [rows[tuple(mesh.neutral[index])] for index in skin]
    assert len(skin) > 5000
    rng = np.random.default_rng(3)
    for _ in range(5):
        motion = random_motion(rng)
        shown = body.skin(body.express(motion.expression), bone_transforms(scene.figure.joints, motion.pose))
        assert np.abs(mesh.pose(motion)[skin] - shown[drawn]).max() < 2e-3


def test_the_camera_projects_to_where_the_picture_shows_it(scene: Scene) -> None:
    motion = states()["turned"]
    white, black = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
    scene.figure.rasterizer.set_backdrop(backdrop(replace(SHIPPED[0], backdrop=(black, black))))
    on_black = scene.shoot(motion)
    scene.figure.rasterizer.set_backdrop(backdrop(replace(SHIPPED[0], backdrop=(white, white))))
    on_white = scene.shoot(motion)
    solid = (on_white.astype(int) - on_black).max(2) < 8
    near = cv2.dilate(solid.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    mesh = head_mesh(scene.figure)
    seen = scene.camera.project(mesh.pose(motion)[np.unique(mesh.triangles[mesh.parts == 0])])[:, :2]
    seen = seen[np.abs(seen).max(1) < 0.98]
    x, y = ((seen + 1) * 64).astype(int).T
    assert near[y, x].mean() > 0.998
    assert 0.2 < solid.mean() < 0.8


def test_hair_lies_where_the_picture_shows_it(scene: Scene) -> None:
    """Mira's hair is brown on a grey wall: darker than what surrounds it."""
    motion, mesh = states()["turned"], head_mesh(scene.figure)
    raster = rasterize(scene.camera.project(mesh.pose(motion)), mesh.triangles, Window.whole(128))
    scene.figure.rasterizer.set_backdrop(backdrop(SHIPPED[0]))
    dark = scene.shoot(motion).max(2) < 100
    hair = cv2.erode((raster.parts(mesh.parts) == Part.HAIR).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert 0.08 < hair.mean() < 0.3 and dark[hair].mean() > 0.9


def test_labels_tell_lips_from_what_lies_between_them(scene: Scene) -> None:
    mesh, wardrobe = head_mesh(scene.figure), scene.figure.wardrobe
    shut, wide = (masks(wardrobe, mesh, scene.camera, states()[name], 256) for name in ("neutral", "A"))
    assert shut["lips"].sum() > 100 and shut["teeth"].sum() + shut["tongue"].sum() < 5
    assert wide["teeth"].sum() > 40 and wide["tongue"].sum() > 40
    places, seen = keypoints(mesh, scene.camera, states()["A"])
    middle = seen[[KEYPOINT_NAMES.index(f"lip_{lip}_outer_middle") for lip in ("upper", "lower")], 1]
    rows = np.nonzero(wide["lips"].any(1))[0]
    assert places.shape == (len(KEYPOINT_NAMES), 3)
    np.testing.assert_allclose((middle + 1) * 128, (rows[0], rows[-1]), atol=4)
    blink = masks(wardrobe, mesh, scene.camera, states()["blink"], 256)
    assert shut["eyes"].sum() > 60 and blink["eyes"].sum() < 0.2 * shut["eyes"].sum()


def test_the_shipped_packs_are_what_the_studio_makes(scene: Scene) -> None:
    made, shipped = head_mesh(scene.figure), HeadMesh.load(AVATARS / SHIPPED[0].id / "mesh.npz")
    np.testing.assert_array_equal(made.triangles, shipped.triangles)
    np.testing.assert_array_equal(made.keypoints, shipped.keypoints)
    np.testing.assert_allclose(made.neutral, shipped.neutral, atol=1e-5)
    np.testing.assert_allclose(made.deltas, shipped.deltas, atol=1e-3)


def test_pictures_are_repeatable_and_differ_between_motions(scene: Scene) -> None:
    neutral = scene.shoot(states()["neutral"])
    wide = scene.shoot(states()["A"])
    np.testing.assert_array_equal(neutral, scene.shoot(states()["neutral"]))
    mouth = np.abs(wide.astype(int) - neutral)[70:100, 48:80].mean()
    assert mouth > 3 * np.abs(wide.astype(int) - neutral)[:30].mean() and mouth > 4


def test_every_recipe_names_what_exists() -> None:
    assert set(RECIPES) <= set(EXPRESSION_NAMES)
    missing = set(EXPRESSION_NAMES) - set(RECIPES)
    assert missing == {f"eyeLook{way}{side}" for way in ("In", "Out") for side in ("Left", "Right")}
    for recipe in RECIPES.values():
        assert set(recipe.poses) <= set(ASSETS.face_poses)
        for target in recipe.targets:
            assert ASSETS.has_target(f"expression/units/caucasian/{target}")


def test_every_slider_and_picture_of_the_cast_exists() -> None:
    for identity in (*SHIPPED, *HELD_OUT, *(passer_by(number) for number in range(100))):
        for slider in identity.sliders:
            name, negative, positive = slider.split("|")
            assert ASSETS.has_target(f"{name}-{negative}") and ASSETS.has_target(f"{name}-{positive}"), slider
        assert (ASSETS.root / "skins" / "textures" / f"{identity.skin}.jpg").is_file()
        assert (ASSETS.root / "hair" / identity.hair).is_dir() and (ASSETS.root / "clothes" / identity.garment).is_dir()
