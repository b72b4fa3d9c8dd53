from argparse import Namespace
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="building plans needs onnx: pip install visavis[train]")

import numpy as np
import onnx
from onnx import TensorProto, helper

from build_trt import build, command
from build_trt.build import ONCE, Job, compact_networks, jobs
from build_trt.islands import ISLANDS
from build_trt.plans import CannotBuild
from engines.openvino_backend import OpenVinoBackend
from engines.plan_files import PlanCard
from realtime.cli import main


def test_what_looks_once_is_built_for_one_row() -> None:
    paths = [Path("renderer_source.onnx"), Path("renderer_painter.onnx")]
    assert jobs(paths, [1, 4]) == [Job(paths[0], 1), Job(paths[1], 1), Job(paths[1], 4)]


def test_every_network_has_its_islands() -> None:
    assert {path.stem for path in compact_networks()} <= set(ISLANDS)
    assert set(ISLANDS) >= ONCE


def test_plans_of_chosen_networks_are_built_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tensorrt_rtx", reason="building plans needs it: pip install tensorrt-rtx")
    asked = ["build", "--network", "audio2", "renderer_s", "--rows", "2", "1", "--library", "tensorrt_rtx"]
    folders = ["--plans", str(tmp_path / "plans"), "--models", str(tmp_path / "models"), "--capability", "8.9"]
    assert main([*asked, *folders]) == 0
    cards = [PlanCard.read(path) for path in (tmp_path / "plans").glob("*.json")]
    built = {(card.network, card.rows, card.precision) for card in cards}
    assert built == {("audio2exp", 1, "half"), ("audio2exp", 2, "half"), ("renderer_source", 1, "half")}
    assert "compute capability 8.9" in capsys.readouterr().err
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "plans").iterdir()}
    assert main([*asked, *folders]) == 0
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "plans").iterdir()}


def test_the_report_compares_every_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tensorrt_rtx", reason="building plans needs it: pip install tensorrt-rtx")
    pytest.importorskip("onnxruntime", reason="computing graphs needs ONNX Runtime: pip install visavis[train]")
    asked = ["build", "--network", "renderer_source", "--rows", "1", "--library", "tensorrt_rtx", "--check"]
    assert main([*asked, "--plans", str(tmp_path), "--models", str(tmp_path)]) == 0
    table = capsys.readouterr().out.splitlines()
    _, name, worst, level, half, *_ = (cell.strip() for cell in table[2].split("|"))
    assert name == "renderer_source" and float(worst) < 1e-4 and float(level) > 80 and float(half) > 45


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (["--network", "whirl"], "no network's name begins with whirl"),
        (["--capability", "7.0"], "too old"),
    ],
)
def test_what_cannot_be_built_ends_with_2_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], asked: list[str], reason: str
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="building plans needs it: pip install tensorrt-rtx")
    folders = ["--plans", str(tmp_path), "--models", str(tmp_path), "--library", "tensorrt_rtx"]
    assert main(["build", *asked, *folders]) == 2
    assert reason in capsys.readouterr().err


def test_a_missing_library_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def missing(wanted: object) -> None:
        raise CannotBuild("no TensorRT is installed: pip install 'visavis[gpu]'")

    monkeypatch.setattr("build_trt.plans.find_library", missing)
    assert main(["build"]) == 2
    assert "no TensorRT is installed" in capsys.readouterr().err


def test_a_capability_is_two_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["build", "--capability", "Ada"])
    assert "is no compute capability such as 8.9" in capsys.readouterr().err


def test_nothing_imported_needs_no_pytorch(tmp_path: Path) -> None:
    assert list(build.imported_networks(tmp_path, print)) == []


def test_what_was_imported_is_exported_for_the_cpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch", reason="exporting needs PyTorch: pip install visavis[build]")
    safetensors = pytest.importorskip("safetensors.torch", reason="needs safetensors: pip install visavis[build]")
    from networks.control_talk import ControlTalk

    folder = tmp_path / "control_talk"
    folder.mkdir()
    torch.manual_seed(0)
    safetensors.save_file(ControlTalk().state_dict(), folder / "audio2exp.safetensors")
    asked = ["build", "--export", "--models", str(tmp_path)]
    assert main(asked) == 0 and "1 networks" in capsys.readouterr().err
    network = OpenVinoBackend("f32").load(tmp_path / "control_talk.onnx")
    assert dict(network.inputs) == {"audio": (1, 18, 1024), "exp": (1, 15, 3)}
    assert main(asked) == 0 and "exporting" not in capsys.readouterr().err  # it is there
    assert not list(tmp_path.glob("*.cpu.onnx"))  # CPUs can run this one as it is


def test_volumes_get_a_form_for_cpus(tmp_path: Path) -> None:
    shapes = {"volume": (1, 1, 2, 3, 4), "grid": (1, 2, 2, 2, 3), "y": (1, 1, 2, 2, 2)}
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    node = helper.make_node("GridSample", ["volume", "grid"], ["y"], mode="linear", padding_mode="zeros")
    graph = helper.make_graph([node], "graph", values[:2], values[2:])
    path = tmp_path / "sample.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), str(path))
    build.write_for_cpu(path)
    assert (tmp_path / "sample.cpu.onnx").exists()
    volume = np.arange(24, dtype=np.float32).reshape(shapes["volume"])
    output = OpenVinoBackend("f32").load(path).run({"volume": volume, "grid": np.zeros(shapes["grid"], np.float32)})
    np.testing.assert_allclose(output["y"], (volume[0, 0, :, 1, 1:3]).mean(), atol=1e-4)  # all ask for its middle


def test_it_runs_as_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def run(parsed: Namespace) -> int:
        asked.append(parsed.network)
        return 0

    monkeypatch.setattr(command, "run", run)
    assert command.main(["--network", "live_portrait"]) == 0 and asked == [["live_portrait"]]
