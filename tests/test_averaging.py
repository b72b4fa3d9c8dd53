import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install visavis[train]")

from training import averaging  # noqa: E402


def test_a_share_of_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new, old, out = tmp_path / "new.pt", tmp_path / "old.pt", tmp_path / "mean.pt"
    torch.save({"model": {"weight": torch.tensor([1.0, 4.0])}, "record": {"step": 7}, "optimizer": {}}, new)
    torch.save({"model": {"weight": torch.tensor([0.0, 8.0]).half()}, "record": {"step": 3}}, old)
    monkeypatch.setattr(sys, "argv", ["averaging", str(new), str(old), "--share", "0.75", "--out", str(out)])
    averaging.main()
    state = torch.load(out, weights_only=True)
    assert state["model"]["weight"].tolist() == [0.75, 5.0] and state["model"]["weight"].dtype == torch.float16
    assert state["record"] == {"step": 7, "averaged with": str(old), "share": 0.75}


def test_what_the_old_network_lacked_counts_as_silent() -> None:
    new = {"block.widen.weight": torch.tensor([2.0, 4.0]), "block.narrow.weight": torch.tensor([2.0, 4.0])}
    old = {"block.widen.weight": torch.tensor([0.0]), "block.narrow.weight": torch.tensor([0.0])}
    mean = averaging.averaged(new, old, 0.5)
    assert mean["block.widen.weight"].tolist() == [1.0, 4.0] and mean["block.narrow.weight"].tolist() == [1.0, 2.0]


def test_weights_of_another_network_are_refused() -> None:
    one = {"weight": torch.zeros(2)}
    for other in ({"weight": torch.zeros(3)}, {"bias": torch.zeros(2)}):
        with pytest.raises(ValueError, match=r"another network|does not fit"):
            averaging.averaged(one, other, 0.5)
