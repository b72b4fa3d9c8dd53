from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="building plans needs onnx: pip install visavis[train]")

import onnx
from onnx import TensorProto, helper

from build_trt import plans
from build_trt.build import compact_networks
from build_trt.graph import Graph
from build_trt.islands import ISLANDS
from build_trt.plans import LIBRARIES, CannotBuild, Library, build, find_library, target
from engines.pipeline import WEIGHTS
from engines.plan_files import PlanCard, find_plans

AMPERE = (8, 6)


@pytest.fixture(scope="module")
def library() -> Library:
    """TensorRT-RTX builds without a GPU."""
    pytest.importorskip("tensorrt_rtx", reason="building plans needs it: pip install tensorrt-rtx")
    return find_library("tensorrt_rtx")


@pytest.mark.parametrize("rows", [1, 8])
@pytest.mark.parametrize("path", compact_networks(), ids=lambda path: path.stem)
def test_every_shipped_network_becomes_a_plan(path: Path, rows: int, library: Library, tmp_path: Path) -> None:
    shares: list[float] = []
    plan = build(path, tmp_path, library, AMPERE, rows, ISLANDS[path.stem], shares.append)
    assert plan.stat().st_size > 0.4 * path.stat().st_size
    assert find_plans(tmp_path, path, library.name, library.version, AMPERE, "half") == {rows: plan}
    assert len(shares) > 10 and shares == sorted(shares) and 0 < shares[0] < 0.2 and shares[-1] == 1
    assert PlanCard.read(plan.with_suffix(".json")).single == ISLANDS[path.stem].single


def test_a_plan_is_built_once(library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = WEIGHTS / "renderer_source.onnx"
    first = build(network, tmp_path, library, AMPERE, 1)
    monkeypatch.setattr(plans, "compile_plan", lambda *inputs: pytest.fail("built again"))
    assert build(network, tmp_path, library, AMPERE, 1) == first
    assert build(network, tmp_path, library, (12, 0), 1) == first  # runs on all from Ampere on
    with pytest.raises(pytest.fail.Exception, match="built again"):
        build(network, tmp_path, library, AMPERE, 2)


def test_half_a_plan_is_no_plan(library: Library, tmp_path: Path) -> None:
    network = WEIGHTS / "renderer_source.onnx"
    plan = build(network, tmp_path, library, AMPERE, 1)
    plan.unlink()
    assert build(network, tmp_path, library, AMPERE, 1).exists()


def unknown_operator(folder: Path) -> Path:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 4)) for name in ("x", "y")]
    node = helper.make_node("Whirl", ["x"], ["y"], "the whirl", domain="someone")
    graph = helper.make_graph([node], "graph", values[:1], values[1:])
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("someone", 1)]
    path = folder / "whirl.onnx"
    onnx.save(helper.make_model(graph, opset_imports=imports), str(path))
    return path


def test_what_the_parser_does_not_know_is_named(library: Library, tmp_path: Path) -> None:
    with pytest.raises(CannotBuild, match=r"cannot read whirl: .*the whirl"):
        build(unknown_operator(tmp_path), tmp_path / "plans", library, AMPERE, 1)
    assert not (tmp_path / "plans").exists()


def test_a_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(CannotBuild, match=r"tensorrt: .*tensorrt_rtx: .*pip install 'visavis\[gpu\]'"):
        find_library()


@pytest.mark.parametrize(
    ("name", "version", "volumes"),
    [("tensorrt", "10.16.1", False), ("tensorrt", "11.2.1", True), ("tensorrt_rtx", "1.5.0", False)],
)
def test_volumes_are_rewritten_for_libraries_without_them(name: plans.LibraryName, version: str, volumes: bool) -> None:
    values = {"volume": (1, 1, 2, 3, 4), "grid": (1, 2, 2, 2, 3), "y": (1, 1, 2, 2, 2)}
    infos = [helper.make_tensor_value_info(each, TensorProto.FLOAT, shape) for each, shape in values.items()]
    node = helper.make_node("GridSample", ["volume", "grid"], ["y"], mode="linear", padding_mode="zeros")
    graph = helper.make_graph([node], "graph", infos[:2], infos[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    module = type(plans)("library")
    module.__version__ = version  # type: ignore[attr-defined]
    prepared = plans.prepare(Graph.of(model), None, 2, Library(name, module))
    samples = [node for node in prepared.nodes if node.op_type == "GridSample"]
    assert len(samples) == (1 if volumes else 2)
    assert prepared.outputs == {"y": (2, 1, 2, 2, 2)}


def test_what_is_built_for() -> None:
    data_centre, rtx = (Library(name, plans) for name in LIBRARIES)
    assert target(rtx, (8, 9)) == target(rtx, (12, 0)) == (8, 0)
    assert target(rtx, (7, 5)) == (7, 5)
    assert target(data_centre, (9, 0)) == (9, 0)
    with pytest.raises(CannotBuild, match=r"7\.0 is too old"):
        target(data_centre, (7, 0))
