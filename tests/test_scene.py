import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.landmarks import Crop, cut
from engines.scene import FEATHER, NoScene, Scene

PHOTO = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (361, 641, 3), np.uint8), (0, 0), 6)
SQUARE = Crop(300.0, 170.0, 240.0, 0.1)


@pytest.mark.parametrize("square", [SQUARE, Crop(320.0, 180.0, 700.0, -0.05)], ids=["inside", "larger than the photo"])
def test_what_was_cut_out_goes_back_without_a_trace(square: Crop) -> None:
    scene = Scene(PHOTO, square)
    assert scene.size == (640, 360)
    whole = scene.paste(cut(PHOTO, square, 512))
    assert np.abs(whole.astype(int) - PHOTO[:360, :640]).max() <= 3


def test_nothing_changes_outside_the_square_and_nothing_jumps_at_its_border() -> None:
    whole = Scene(PHOTO, SQUARE).paste(np.zeros((512, 512, 3), np.uint8)).astype(float)
    photo = PHOTO[:360, :640].astype(float)
    y, x = np.mgrid[:360, :640].astype(np.float32)
    place = SQUARE.to_crop(np.stack([x + 0.5, y + 0.5], -1))
    depth = (1 - np.abs(place).max(-1)) * 256
    assert np.array_equal(whole[depth < 0], photo[depth < 0])
    assert whole[depth > FEATHER + 1].max() == 0
    share = 1 - whole.mean(-1) / photo.mean(-1)
    step = max(np.abs(np.diff(share, axis=0)).max(), np.abs(np.diff(share, axis=1)).max())
    # 40 pixels of 512 are 19 of this photo: a smooth step of 19 pixels rises by 1.5 / 19 at most.
    assert step < 1.5 / 19 * 1.3


def test_planes_are_those_of_the_whole_picture() -> None:
    picture = np.full((512, 512, 3), (200, 40, 90), np.uint8)
    scene = Scene(PHOTO, SQUARE)
    planes, wanted = scene.step(picture), cv2.cvtColor(scene.paste(picture), cv2.COLOR_RGB2YUV_I420)
    assert planes.shape == (540, 640)
    assert np.array_equal(planes, wanted)
    assert np.array_equal(planes, scene.step(picture)), "a frame leaves nothing behind"


@pytest.mark.parametrize("square", [SQUARE, Crop(320.0, 180.0, 700.0, -0.05)], ids=["inside", "larger than the photo"])
def test_only_what_is_new_of_a_picture_goes_over_the_photo(square: Crop) -> None:
    scene, picture = Scene(PHOTO, square), np.full((512, 512, 3), (200, 40, 90), np.uint8)
    new = np.zeros((64, 64), np.float32)
    untouched = cv2.cvtColor(np.ascontiguousarray(PHOTO[:360, :640]), cv2.COLOR_RGB2YUV_I420)
    assert np.array_equal(scene.step(picture, new), untouched)
    new[30:40, 20:32] = 0.4
    planes, all_over = scene.step(picture, new)[:360], scene.step(picture)[:360]
    y, x = np.mgrid[:360, :640].astype(np.float32)
    cells = (square.to_crop(np.stack([x + 0.5, y + 0.5], -1)) + 1) * 32
    away = np.maximum(np.abs(cells[..., 0] - 26) - 6, np.abs(cells[..., 1] - 35) - 5)
    assert np.array_equal(planes[away < 0], all_over[away < 0]), "all of it where it is new"
    assert np.array_equal(planes[away > 3], untouched[:360][away > 3])
    beside = (away > 0) & (away < 2.5)
    assert (planes[beside] != all_over[beside]).any() and (planes[beside] != untouched[:360][beside]).any()


def test_an_avatar_without_a_photo_says_so(tmp_path: Path) -> None:
    with pytest.raises(NoScene, match="made of photos"):
        Scene.load(tmp_path)


def test_a_scene_is_made_smaller_for_those_who_cannot_take_all_of_it(tmp_path: Path) -> None:
    square = {"x": 300.0, "y": 170.0, "side": 240.0, "roll": 0.1}
    cv2.imwrite(str(tmp_path / "scene.png"), PHOTO)
    (tmp_path / "scene.png").rename(tmp_path / "scene.jpg")
    (tmp_path / "scene.json").write_text(json.dumps(square))
    assert Scene.exists(tmp_path)
    assert Scene.load(tmp_path).size == (640, 360)
    scene = Scene.load(tmp_path, 320 * 180)
    assert scene.size == (318, 180)
    wanted = cv2.resize(PHOTO[..., ::-1], (319, 180), interpolation=cv2.INTER_AREA)[:, :318]
    off = np.abs(scene.paste(cut(np.ascontiguousarray(PHOTO[..., ::-1]), Crop(**square), 512)).astype(int) - wanted)
    assert off.max() <= 8 and off.mean() < 1
