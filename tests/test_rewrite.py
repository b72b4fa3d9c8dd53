from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="rewriting graphs needs onnx: pip install visavis[train]")
pytest.importorskip("onnxruntime", reason="computing graphs needs ONNX Runtime: pip install visavis[train]")
torch = pytest.importorskip("torch", reason="exporting needs PyTorch: pip install visavis[train]")

import onnx  # noqa: E402
from torch import Tensor as Value  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from build_trt import contracts  # noqa: E402
from build_trt.build import compact_networks  # noqa: E402
from build_trt.check import on_openvino  # noqa: E402
from build_trt.contracts import Contract, Tensor  # noqa: E402
from build_trt.export import export  # noqa: E402
from build_trt.graph import Array, Graph  # noqa: E402
from build_trt.precision import on_cpu  # noqa: E402
from build_trt.rewrite import CannotRewrite, with_rows, without_volumes  # noqa: E402

SHIPPED = compact_networks()
run = on_cpu()


def noise(graph: Graph, rows: int = 1) -> dict[str, Array]:
    rng = np.random.default_rng(0)
    shapes = graph.inputs.items()
    return {name: rng.uniform(-0.5, 0.5, (rows, *shape[1:])).astype(np.float32) for name, shape in shapes}


def exported(network: nn.Module, inputs: Mapping[str, tuple[int, ...]], output: tuple[int, ...], folder: Path) -> Path:
    tensors = tuple(Tensor(name, shape) for name, shape in inputs.items())
    return export(network, Contract("network", tensors, (Tensor("y", output),)), folder)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_folding_changes_no_number(path: Path) -> None:
    graph = Graph.of(onnx.load(str(path)))
    folded, inputs = graph.folded(), noise(graph)
    assert "Shape" not in {node.op_type for node in folded.nodes}
    onnx.checker.check_model(folded.model())
    want, got = run(graph, inputs), run(folded, inputs)
    for name in want:
        np.testing.assert_allclose(got[name], want[name], atol=1e-5)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_three_rows_at_once_are_three_times_one(path: Path) -> None:
    folded = Graph.read(path)
    inputs = noise(folded, rows=3)
    several = with_rows(folded, 3)
    onnx.checker.check_model(several.model())
    together = run(several, inputs)
    for row in range(3):
        alone = run(folded, {name: tensor[row : row + 1] for name, tensor in inputs.items()})
        for name, tensor in alone.items():
            np.testing.assert_allclose(together[name][row : row + 1], tensor, rtol=1e-6, atol=5e-5)


class Sampled(nn.Module):
    def forward(self, volume: Value, grid: Value) -> Value:
        return F.grid_sample(volume, grid, align_corners=False)


class Joined(nn.Module):
    """A constant beside the rows, and a resize to a size."""

    beside: Value

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("beside", torch.linspace(0, 1, 18).reshape(1, 2, 3, 3))

    def forward(self, x: Value) -> Value:
        joined = torch.cat([x, self.beside.expand(x.shape[0], -1, -1, -1)], 1)
        return F.interpolate(joined, size=(6, 9)).reshape(x.shape[0] * 4, 54)


def test_constants_beside_rows_are_repeated(tmp_path: Path) -> None:
    model = Graph.read(exported(Joined(), {"x": (1, 2, 3, 3)}, (4, 54), tmp_path))
    inputs = noise(model, rows=2)
    together = run(with_rows(model, 2), inputs)["y"]
    for row in range(2):
        alone = run(model, {"x": inputs["x"][row : row + 1]})["y"]
        np.testing.assert_array_equal(together[4 * row : 4 * row + 4], alone)


class Swapped(nn.Module):
    def forward(self, x: Value) -> Value:
        return x.transpose(0, 1).reshape(1, 6)


def test_rows_that_move_are_refused(tmp_path: Path) -> None:
    model = Graph.read(exported(Swapped(), {"x": (1, 6)}, (1, 6), tmp_path))
    with pytest.raises(CannotRewrite, match="moves the rows"):
        with_rows(model, 2)


class Stacked(nn.Module):
    def forward(self, x: Value, y: Value) -> Value:
        joined: Value = torch.cat([x, y]).sum(0, keepdim=True)
        return joined


def test_rows_that_are_joined_are_refused(tmp_path: Path) -> None:
    model = Graph.read(exported(Stacked(), {"x": (1, 6), "y": (1, 6)}, (1, 6), tmp_path))
    with pytest.raises(CannotRewrite, match="joined or parted"):
        with_rows(model, 2)


@pytest.mark.parametrize("reach", [0.9, 1.0, 1.7], ids=["inside", "edges", "outside"])
def test_volumes_are_sampled_without_a_volume_sampler(tmp_path: Path, reach: float) -> None:
    shapes = {"volume": (2, 3, 4, 5, 6), "grid": (2, 2, 7, 3, 3)}
    path = exported(Sampled(), shapes, (2, 3, 2, 7, 3), tmp_path)
    model = Graph.read(path)
    assert [node.op_type for node in model.nodes] == ["GridSample"]  # native, as TensorRT 11 takes it
    rewritten = without_volumes(model)
    onnx.checker.check_model(rewritten.model())
    rng = np.random.default_rng(1)
    volume = rng.standard_normal(shapes["volume"]).astype(np.float32)
    grid = rng.uniform(-reach, reach, shapes["grid"]).astype(np.float32)
    grid[0, 0, 0] = np.array([[1, 1, 1], [-1, -1, -1], [0, 0, 0]])
    grid[0, 0, 1] = np.array([[1, -1, 0], [1.01, 1.01, 1.01], [-5, 5, 0]])
    want = Sampled()(torch.from_numpy(volume), torch.from_numpy(grid)).numpy()
    inputs = {"volume": volume, "grid": grid}
    np.testing.assert_allclose(run(rewritten, inputs)["y"], want, atol=2e-5)
    np.testing.assert_allclose(on_openvino(rewritten, inputs)["y"], want, atol=2e-5)


class Reflected(nn.Module):
    def forward(self, volume: Value, grid: Value) -> Value:
        return F.grid_sample(volume, grid, padding_mode="border", align_corners=False)


def test_other_edges_than_zeros_are_refused(tmp_path: Path) -> None:
    shapes = {"volume": (1, 1, 2, 2, 2), "grid": (1, 2, 2, 2, 3)}
    model = Graph.read(exported(Reflected(), shapes, (1, 1, 2, 2, 2), tmp_path))
    with pytest.raises(CannotRewrite, match="only linear samples with zeros outside"):
        without_volumes(model)


def test_networks_are_exported_with_volumes_and_layers_of_their_own() -> None:
    assert contracts.OPSET >= 20
