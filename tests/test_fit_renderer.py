from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install visavis[train]")

from engines import layers  # noqa: E402
from training import fit_renderer  # noqa: E402


def test_heads_join_as_their_frames_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    def load(folder: Path, interior: Path, kind: str) -> str:
        loaded.append(folder.name)
        return f"{folder.name} with {len(list(folder.glob(f'{kind}*.npz')))}"

    def write(name: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()

    monkeypatch.setattr(fit_renderer, "load_identity", load)
    for name in ("ada/frames_00.npz", "held/frames_00.npz", "ben/states.npz"):
        write(name)
    heads = fit_renderer.Heads([tmp_path], {"held"})
    assert heads.look() and list(map(str, heads.identities())) == ["ada with 1"]
    assert not heads.look(), "nobody is loaded twice for nothing"
    write("ada/frames_01.npz")
    write("ben/frames_00.npz")
    assert heads.look() and list(map(str, heads.identities())) == ["ada with 2", "ben with 1"]
    assert loaded == ["ada", "ada", "ben"]


def test_layers_unfold_in_training_as_in_serving() -> None:
    folded = np.random.default_rng(0).normal(0, 1, (1, 6, 4, 16)).astype(np.float32)
    trained = fit_renderer.unfold_layer(torch.from_numpy(folded))[0].numpy().transpose(1, 2, 0)
    keep, colour = layers.unfold(folded[0])
    np.testing.assert_allclose(trained[..., :3] * 255, colour, atol=1e-3)
    np.testing.assert_allclose(1 - trained[..., 3], keep, atol=1e-5)


def test_what_is_outside_the_weight_does_not_count() -> None:
    target = torch.zeros(1, 3, 16, 16)
    output, weight = target.clone(), torch.ones(1, 1, 16, 16)
    output[..., 8:] = 1.0
    weight[..., 8:] = 0.0
    nothing = fit_renderer.picture_loss(target, target)
    assert fit_renderer.picture_loss(output, target, weight) == pytest.approx(float(nothing))
    assert fit_renderer.picture_loss(output, target) > nothing + 1
