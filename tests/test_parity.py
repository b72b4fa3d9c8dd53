import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the networks need PyTorch: pip install visavis[train]")

from torch import Tensor  # noqa: E402

from build_trt import parity, recipe  # noqa: E402
from networks import live_portrait  # noqa: E402

SHAPES = {"pitch": [2, 66], "yaw": [2, 66], "roll": [2, 66], "kp": [2, 21, 3], "exp": [2, 21, 3], "t": [2, 3]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A set with one case, keypoints without networks, whose reference is our own."""
    inputs = {
        name: {"from": "recipe", "name": f"case.{name}", "shape": shape, "mean": 0.0, "std": 1.0}
        for name, shape in SHAPES.items()
    }
    scale = np.full((2, 1), 1.5, np.float32)
    inputs["scale"] = {"from": "npz", "shape": [2, 1]}
    arrays: dict[str, Any] = {"in.scale": scale}
    np.savez(tmp_path / "lp_keypoints.npz", **arrays)
    given = parity.inputs(tmp_path, "lp_keypoints", inputs, 3)
    outputs: dict[str, Any] = {}
    made = parity.live_portrait_keypoints(None, given)  # type: ignore[arg-type]
    for name in ("pitch_degrees", "transformed"):
        values = made[name].numpy()
        noise = recipe.noise(f"proj.lp_keypoints.{name}", values.shape, 0)
        step = [1] if values.ndim == 1 else [1, 5, 1]
        arrays[f"out.{name}"] = values[tuple(slice(None, None, s) for s in step)]
        proj = float((values * noise).sum() / np.sqrt(values.size))
        outputs[name] = {"shape": list(values.shape), "step": step, "tol": 1e-5, "tol_rms": 1e-5, "proj": proj}
    np.savez(tmp_path / "lp_keypoints.npz", **arrays)
    case = {"networks": [], "inputs": inputs, "outputs": outputs}
    (tmp_path / "index.json").write_text(json.dumps({"seed": 3, "cases": {"lp_keypoints": case}}))
    return tmp_path


def test_what_agrees_is_within_and_the_seed_is_the_indexs(folder: Path) -> None:
    found = list(parity.compare(folder))
    assert [one.output for one in found] == ["pitch_degrees", "transformed"]
    assert all(one.within for one in found) and found[1].worst < 1e-6
    assert not any(one.within for one in parity.compare(folder, seed=4))


def test_a_difference_that_the_thinned_output_does_not_show_is_seen_by_the_projection(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = live_portrait.keypoints

    def astray(face: live_portrait.Face) -> Tensor:
        points = place(face)
        points[:, 1] += 1e-3  # every fifth point is kept: not this one
        return points

    monkeypatch.setattr(live_portrait, "keypoints", astray)
    _, transformed = parity.compare(folder)
    assert transformed.worst < 1e-6 and transformed.projection > 1e-5 and not transformed.within


def test_the_command_fails_when_something_is_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["parity", str(folder)])
    assert parity.main() == 0
    assert "2 of 2 outputs within their tolerance" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["parity", str(folder), "--seed", "4"])
    assert parity.main() == 1
    assert capsys.readouterr().out.count("  OUT") == 2
    monkeypatch.setattr("sys.argv", ["parity", str(folder), "--case", "lp_F"])
    assert parity.main() == 1, "nothing compared is no agreement"


def test_unknown_cases_and_other_shapes_are_refused(folder: Path) -> None:
    index = json.loads((folder / "index.json").read_text())
    index["cases"]["lp_keypoints"]["outputs"]["transformed"]["shape"] = [2, 20, 3]
    (folder / "index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"transformed of shape \(2, 21, 3\), not \(2, 20, 3\)"):
        list(parity.compare(folder))
    index["cases"] = {"lp_soul": index["cases"]["lp_keypoints"]}
    (folder / "index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match="lp_soul is not one of lp_F"):
        list(parity.compare(folder))


def test_no_number_is_within_no_tolerance() -> None:
    wanted = {"shape": [1], "step": [1], "tol": 1.0, "tol_rms": 1.0, "proj": 0.0}
    found = parity.difference("a", "b", np.full(1, np.nan, np.float32), np.zeros(1), wanted)
    assert not found.within


@pytest.mark.skipif(
    "VISAVIS_PARITY" not in os.environ, reason="VISAVIS_PARITY names no folder of reference outputs to compare with"
)
@pytest.mark.parametrize("case", parity.CASES)
def test_our_networks_compute_what_the_published_ones_compute(case: str) -> None:
    torch.set_num_threads(1)
    found = list(parity.compare(Path(os.environ["VISAVIS_PARITY"]), cases=[case]))
    assert found and not [one for one in found if not one.within]
