from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install torch")
pytest.importorskip("scipy", reason="the studio needs the train extra: pip install visavis[train]")
pytest.importorskip("moderngl", reason="the studio needs the train extra: pip install visavis[train]")

from engines import landmarks as served  # noqa: E402
from engines.keypoints import MIRROR  # noqa: E402
from engines.landmarks import TRACKED, LandmarkFinder  # noqa: E402
from engines.openvino_backend import OpenVinoBackend  # noqa: E402
from networks.landmarks import CROP_SIZE, Landmarks  # noqa: E402
from tests.portraits import ruled, shipped_points  # noqa: E402
from training.evaluate_landmarks import errors  # noqa: E402
from training.fit_landmarks import losses  # noqa: E402
from training.landmark_batches import Heads, batches, degrade, make_sample  # noqa: E402
from training.landmark_dataset import clutter  # noqa: E402


@pytest.fixture
def heads() -> Heads:
    """Three pictures that say where each pixel is, each with a face's points in it."""
    points = np.stack([shipped_points() / 2] * 3)
    return Heads(np.stack([ruled(256, 256)] * 3), points.astype(np.float32))


def test_points_move_with_the_crop(heads: Heads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.landmark_batches.degrade", lambda rng, crop, points: crop)
    rng = np.random.default_rng(0)
    checked = 0
    for _ in range(12):
        crop, points, present = make_sample(rng, heads.images[0], heads.points[0])
        assert crop.shape == (CROP_SIZE, CROP_SIZE, 3) and points.shape == (len(TRACKED), 2)
        if not present:
            continue
        pixels = ((points + 1) * CROP_SIZE / 2).astype(int)
        inside = (pixels > 2).all(1) & (pixels < CROP_SIZE - 3).all(1)
        shown = crop[pixels[inside, 1], pixels[inside, 0], 0].astype(float)
        straight = 10 + (heads.points[0][:, 0] - 0.5) * 230 / 256
        mirrored = straight[[TRACKED.index(MIRROR[index]) for index in TRACKED]]
        off = [np.abs(shown - expected[inside]).mean() for expected in (straight, mirrored)]
        assert min(off) < 4
        checked += 1
    assert checked > 4


def test_the_same_seed_gives_the_same_batches(heads: Heads) -> None:
    first, again, other = (next(batches(heads, [ruled(300, 300)], 6, seed)) for seed in (1, 1, 2))
    assert first.crops.shape == (6, 3, CROP_SIZE, CROP_SIZE) and first.crops.min() >= 0 and first.crops.max() <= 1
    assert torch.equal(first.crops, again.crops) and torch.equal(first.points, again.points)
    assert not torch.equal(first.crops, other.crops)


def test_degraded_crops_stay_pictures(heads: Heads) -> None:
    rng = np.random.default_rng(3)
    points = (heads.points[0] / 128 - 1).astype(np.float32)
    crops = [degrade(rng, clutter(rng, CROP_SIZE), points) for _ in range(20)]
    assert all(crop.dtype == np.uint8 and crop.shape == (CROP_SIZE, CROP_SIZE, 3) for crop in crops)
    assert np.std([crop.mean() for crop in crops]) > 5


def test_training_lowers_the_losses(heads: Heads) -> None:
    torch.manual_seed(0)
    network = Landmarks(len(TRACKED))
    batch = next(batches(heads, [], 4, 5))
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    history = []
    for _ in range(6):
        parts = losses(network, batch)
        total = torch.stack(list(parts.values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        history.append(float(total.detach()))
    assert history[-1] < 0.9 * history[0]


def test_the_exported_network_says_what_pytorch_says(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="export needs onnx: pip install visavis[train]")
    from build_trt.contracts import landmarks as contract
    from build_trt.export import export, halve_weights

    torch.manual_seed(0)
    network = Landmarks(len(TRACKED)).eval()
    path = export(network, contract(len(TRACKED)), tmp_path)
    full = path.stat().st_size
    halve_weights(path)
    assert path.stat().st_size < 0.6 * full < 0.6 * 4e6
    crop = torch.rand(1, 3, CROP_SIZE, CROP_SIZE)
    with torch.no_grad():
        points = network(crop)[0].numpy()
    told = OpenVinoBackend("f32").load(path).run({"crop": crop.numpy()})["points"]
    np.testing.assert_allclose(told, points, atol=0.01)
    assert LandmarkFinder(OpenVinoBackend("f32"), tmp_path).find(np.zeros((64, 64, 3), np.uint8)) is not None


def test_both_sides_agree_on_the_size_of_a_crop() -> None:
    assert served.CROP_SIZE == CROP_SIZE


def test_errors_are_measured_in_distances_between_the_eyes() -> None:
    truth = shipped_points()
    face = served.Face(truth + np.array([3, 4], np.float32), np.ones(len(TRACKED), np.float32), 1.0)
    np.testing.assert_allclose(errors(face, truth), 5 / face.eye_distance, rtol=1e-4)
