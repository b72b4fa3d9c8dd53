from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.avatar import load_avatar
from engines.eyeballs import EyeballLayer
from engines.face_geometry import face_geometry
from engines.keypoints import KEYPOINT_NAMES, MIRROR
from engines.media import Motion
from engines.warp import warp

pytest.importorskip("torch", reason="training needs PyTorch: pip install visavis[train]")

from training.renderer_dataset import Identity, make_sample, mirrored


def test_a_look_is_learned_with_whole_eyeballs_and_without_what_they_reflect() -> None:
    avatar, look = load_avatar("ruth"), Motion(gaze=(0.3, 0.1))
    assert avatar.eyeballs is not None
    atlas, geometry = avatar.geometry.atlas(avatar.picture), face_geometry(avatar.geometry, look)
    laid = warp(atlas, geometry)
    gleam = EyeballLayer(avatar.eyeballs, avatar.geometry).lay(laid, geometry)
    truth = laid.copy()
    gleam.add(truth)
    assert np.abs(truth.astype(int) - laid).max() > 20
    whole = Identity("ruth", avatar.picture, atlas, avatar.geometry, truth[None], [look], avatar.eyeballs)
    learned, smeared = (make_sample(identity, 0) for identity in (whole, replace(whole, eyeballs=None)))
    assert np.abs(learned["target_eyes"] - learned["warped_eyes"]).max() < 2 / 255
    assert np.abs(smeared["target_eyes"] - smeared["warped_eyes"]).max() > 20 / 255


def test_a_mirror_shows_another_face_and_twice_the_same() -> None:
    rng = np.random.default_rng(0)
    shapes = {"keypoints": (len(MIRROR), 3), "main": (4, 6, 24), "mouth": (4, 6, 42), "target": (3, 8, 12)}
    sample = {name: rng.normal(0, 1, shape).astype(np.float32) for name, shape in shapes.items()}
    once = mirrored(sample)
    np.testing.assert_array_equal(once["target"], sample["target"][..., ::-1])
    for name in ("main", "mouth"):
        flat = [unfold(each[name][..., : 16 if name == "main" else 36]) for each in (sample, once)]
        np.testing.assert_array_equal(flat[1], flat[0][:, ::-1])
    signs = [-1, 1, -1, 1, 1, -1, 1, 1]
    np.testing.assert_array_equal(once["main"][:, ::-1, 16:], sample["main"][..., 16:] * signs)
    np.testing.assert_array_equal(once["mouth"][:, ::-1, 36:], sample["mouth"][..., 36:] * signs[2:])
    left, right = KEYPOINT_NAMES.index("mouth_corner_left"), KEYPOINT_NAMES.index("mouth_corner_right")
    np.testing.assert_array_equal(once["keypoints"][left], sample["keypoints"][right] * [-1, 1, 1])
    for name, tensor in mirrored(once).items():
        np.testing.assert_array_equal(tensor, sample[name])


def unfold(folded: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w, 4 C) to (2h, 2w, C)."""
    height, width, channels = folded.shape
    cells = folded.reshape(height, width, 2, 2, channels // 4).transpose(0, 2, 1, 3, 4)
    return cells.reshape(2 * height, 2 * width, channels // 4)
