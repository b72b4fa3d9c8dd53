import json
from dataclasses import replace
from pathlib import Path

import pytest

from engines.plan_files import NoPlan, PlanCard, digest, find_plans, plan_folder

LIBRARY = ("tensorrt", "11.4.0.106")


@pytest.fixture
def network(tmp_path: Path) -> Path:
    path = tmp_path / "painter.onnx"
    path.write_bytes(b"graph")
    return path


def card(network: Path, rows: int = 1) -> PlanCard:
    return PlanCard(network.stem, digest(network), "half", ("Pow",), rows, *LIBRARY, (9, 0))


def test_a_plan_is_found_by_its_card(network: Path, tmp_path: Path) -> None:
    plans = tmp_path / "plans"
    paths = {rows: card(network, rows).write(plans, b"plan %d" % rows) for rows in (16, 2, 1)}
    found = find_plans(plans, network, *LIBRARY, (9, 0), "half")
    assert found == paths and list(found) == [1, 2, 16]
    assert found[16].read_bytes() == b"plan 16"
    assert PlanCard.read(found[1].with_suffix(".json")) == card(network)
    assert sorted(path.suffix for path in plans.iterdir()) == [".json"] * 3 + [".plan"] * 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"source": "0" * 64}, "of another version of the network"),
        ({"recipe": 0}, "prepared in a way of another version"),
        ({"version": "11.2"}, "by tensorrt 11.2"),
        ({"library": "tensorrt_rtx", "version": "1.6"}, "by tensorrt_rtx 1.6"),
        ({"capability": (8, 9)}, "for compute capability 8.9"),
        ({"precision": "single"}, "none at all"),
    ],
)
def test_a_plan_that_does_not_fit_is_named_with_the_reason(
    network: Path, tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    replace(card(network), **change).write(tmp_path, b"plan")  # type: ignore[arg-type]
    with pytest.raises(NoPlan, match=reason) as told:
        find_plans(tmp_path, network, *LIBRARY, (9, 0), "half")
    assert "visavis build" in str(told.value)


def test_portable_plans_run_on_later_gpus(network: Path, tmp_path: Path) -> None:
    portable = replace(card(network), library="tensorrt_rtx", version="1.6", capability=(8, 0))
    portable.write(tmp_path, b"plan")
    assert list(find_plans(tmp_path, network, "tensorrt_rtx", "1.6", (12, 0), "half")) == [1]
    with pytest.raises(NoPlan, match=r"for compute capability 8\.0"):
        find_plans(tmp_path, network, "tensorrt_rtx", "1.6", (7, 5), "half")


def test_weights_beside_the_graph_count(network: Path) -> None:
    before = digest(network)
    network.with_name("painter.onnx.data").write_bytes(b"weights")
    assert digest(network) != before


def test_a_damaged_card_is_told(network: Path, tmp_path: Path) -> None:
    path = card(network).write(tmp_path, b"plan").with_suffix(".json")
    path.write_text(json.dumps({"network": "painter"}))
    with pytest.raises(ValueError, match="is no card of a plan"):
        find_plans(tmp_path, network, *LIBRARY, (9, 0), "half")


def test_the_folder_is_the_one_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    monkeypatch.delenv("VISAVIS_PLANS", raising=False)
    assert plan_folder() == Path("/cache/visavis/plans")
    monkeypatch.setenv("VISAVIS_PLANS", "/plans")
    assert plan_folder() == Path("/plans")
    assert plan_folder("/mine") == Path("/mine")
