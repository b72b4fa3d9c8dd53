from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="counting needs onnx: pip install visavis[train]")
torch = pytest.importorskip("torch", reason="exporting needs PyTorch: pip install visavis[train]")

from torch import nn  # noqa: E402

from benchmarks import gpu  # noqa: E402
from benchmarks.wav2lip_size import Wav2LipSize  # noqa: E402
from benchmarks.work import Work, count, total  # noqa: E402
from build_trt.contracts import Contract, Tensor  # noqa: E402
from build_trt.export import export  # noqa: E402
from build_trt.graph import Graph  # noqa: E402
from engines.gpu import NoGpu  # noqa: E402


def test_work_is_counted_in_the_graph(tmp_path: Path) -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, groups=1),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 4, 2, 2),
        nn.Flatten(),
        nn.Linear(64, 5),
    )
    contract = Contract("network", (Tensor("x", (1, 3, 2, 2)),), (Tensor("y", (1, 5)),))
    work = count(Graph.read(export(network, contract, tmp_path)))
    assert work.flops == 2 * (4 * 8 * 27 + 4 * 8 * 4 * 4 + 64 * 5)
    assert work.activations == 12 + 32 + 64 + 5
    assert work.weights == sum(parameter.numel() for parameter in network.parameters())


def test_a_depthwise_convolution_costs_a_channel(tmp_path: Path) -> None:
    contract = Contract("network", (Tensor("x", (1, 6, 4, 4)),), (Tensor("y", (1, 6, 4, 4)),))
    path = export(nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False), contract, tmp_path)
    assert count(Graph.read(path)).flops == 2 * 6 * 16 * 9


def test_the_floor_is_arithmetic_or_memory() -> None:
    work = Work(flops=1000, activations=10, weights=100)
    assert work.floor(4, 2, flops_per_second=1000, bytes_per_second=1e9) == 4
    assert work.floor(4, 2, flops_per_second=1e9, bytes_per_second=1) == 2 * (2 * 10 * 4 + 100)
    assert total([work, work]) == Work(2000, 20, 200)


def test_wav2lip_has_its_published_size() -> None:
    network = Wav2LipSize().eval()
    assert sum(parameter.numel() for parameter in network.parameters()) == 36_298_035
    with torch.no_grad():
        assert network(torch.zeros(1, 1, 80, 16), torch.zeros(1, 6, 96, 96)).shape == (1, 3, 96, 96)


def test_without_a_gpu_nothing_is_measured(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def missing() -> None:
        raise NoGpu("there is no NVIDIA GPU 0 to be used")

    monkeypatch.setattr(gpu, "CudaGpu", missing)
    assert gpu.main([]) == 0
    told = capsys.readouterr()
    assert told.out == "" and "No GPU here: figures still to be measured" in told.err
