import numpy as np
import pytest

from engines.keypoint_face import FaceVid2VidFaces, KeypointFace, LivePortraitFaces


def outputs(keypoints: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    said = {name: rng.normal(size=(1, 66)) * 4 for name in ("pitch", "yaw", "roll")}
    said |= {"t": rng.normal(size=(1, 3)) * 0.1, "scale": rng.uniform(0.8, 1.6, (1, 1))}
    said |= {name: rng.normal(size=(1, 3 * keypoints)) * 0.1 for name in ("exp", "kp")}
    return {name: value.astype(np.float32) for name, value in said.items()} | {
        "canonical": rng.normal(size=(1, keypoints, 3)).astype(np.float32)
    }


def test_live_portrait_agrees_with_the_network_that_is_trained() -> None:
    torch = pytest.importorskip("torch", reason="the networks need PyTorch: pip install visavis[train]")
    from networks import live_portrait
    from networks.motion_extractor import Motion

    said = outputs(21)
    tensors = {name: torch.from_numpy(value) for name, value in said.items()}
    wanted = live_portrait.keypoints(live_portrait.decode(Motion(**{name: tensors[name] for name in Motion._fields})))
    found = LivePortraitFaces().keypoints(LivePortraitFaces().decode(said))
    np.testing.assert_allclose(found, wanted[0].numpy(), atol=3e-6)


def test_face_vid2vid_agrees_with_the_network_that_is_trained() -> None:
    torch = pytest.importorskip("torch", reason="the networks need PyTorch: pip install visavis[train]")
    from networks import face_vid2vid
    from networks.head_pose import HeadPose

    said = outputs(15, seed=1)
    tensors = {name: torch.from_numpy(value) for name, value in said.items()}
    pose = face_vid2vid.decode(HeadPose(**{name: tensors[name] for name in HeadPose._fields}))
    wanted = face_vid2vid.keypoints(tensors["canonical"], *pose)
    found = FaceVid2VidFaces().keypoints(FaceVid2VidFaces().decode(said))
    np.testing.assert_allclose(found, wanted[0].numpy(), atol=3e-6)


def test_a_face_moves_by_what_is_added_to_its_vector() -> None:
    face = LivePortraitFaces().decode(outputs(21))
    still = face.moved(np.zeros(70, np.float32))
    np.testing.assert_allclose(still.vector(), face.vector(), atol=1e-6)
    assert np.array_equal(still.kp, face.kp)
    change = np.zeros(70, np.float32)
    change[1], change[6], change[7 + 3 * 4 + 1] = 5.0, np.log(2), 0.25
    moved = face.moved(change)
    assert moved.angles[1] == pytest.approx(face.angles[1] + 5)
    assert moved.scale == pytest.approx(2 * face.scale)
    assert moved.exp[4, 1] == pytest.approx(face.exp[4, 1] + 0.25)


def test_an_unturned_face_is_where_its_keypoints_are() -> None:
    kp = np.random.default_rng(2).normal(size=(21, 3)).astype(np.float32)
    nought = np.zeros(3, np.float32)
    face = KeypointFace(nought, np.array([0.1, -0.2, 9.0], np.float32), 1.5, np.zeros((21, 3), np.float32), kp)
    np.testing.assert_allclose(LivePortraitFaces().keypoints(face), 1.5 * kp + np.array([0.1, -0.2, 0.0]), atol=1e-6)
    np.testing.assert_allclose(FaceVid2VidFaces().keypoints(face), kp + np.array([0.1, -0.2, 9.0]), atol=1e-6)
