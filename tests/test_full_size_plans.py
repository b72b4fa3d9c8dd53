"""Every full-size network, with made-up weights: exported, held to its contract, and built into a plan."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="building plans needs onnx: pip install visavis[train]")
torch = pytest.importorskip("torch", reason="exporting needs PyTorch: pip install visavis[train]")

import numpy as np  # noqa: E402
from torch import nn  # noqa: E402

from build_trt import full_size, speech  # noqa: E402
from build_trt.build import ONCE, write_for_cpu  # noqa: E402
from build_trt.contracts import Contract  # noqa: E402
from build_trt.export import export  # noqa: E402
from build_trt.graph import Graph  # noqa: E402
from build_trt.islands import ISLANDS  # noqa: E402
from build_trt.plans import Library, build, find_library  # noqa: E402
from engines.hubert import FINE  # noqa: E402
from engines.openvino_backend import OpenVinoBackend  # noqa: E402
from networks import hubert  # noqa: E402
from networks.control_talk import ControlTalk  # noqa: E402
from networks.face_vid2vid import FaceVid2Vid  # noqa: E402
from networks.hubert import Hubert, SpeechConfig  # noqa: E402
from networks.live_portrait import LivePortrait  # noqa: E402
from networks.realtalk import AudioToExpression, ExpressionToFace  # noqa: E402

SMALL_HUBERT = SpeechConfig.of(
    hubert.LARGE
    | {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "conv_dim": [16] * 7,
        "num_conv_pos_embedding_groups": 4,
    }
)
"""HuBERT-large in small: its layers differ in size alone."""


def all_networks() -> Iterator[tuple[Contract, nn.Module]]:
    with torch.device("meta"):
        families = LivePortrait(), FaceVid2Vid(), ControlTalk(), Hubert(SMALL_HUBERT), ExpressionToFace()
    portrait, face, talk, ear, painter = families
    yield from full_size.live_portrait(portrait)
    yield from full_size.face_vid2vid(face)
    yield from full_size.audio2exp(talk)
    yield from full_size.real_talk(AudioToExpression(), painter)
    yield from speech.hubert(ear, FINE)


NETWORKS = {contract.name: (contract, network) for contract, network in all_networks()}


def with_weights(network: nn.Module) -> nn.Module:
    """Small random weights: some in every layer, none that run away."""
    torch.manual_seed(0)
    if any(parameter.is_meta for parameter in network.parameters()):
        network = network.to_empty(device="cpu")
    network.eval()
    for name, tensor in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            tensor.zero_()
        elif tensor.ndim == 1:
            tensor.fill_(1.0 if name.endswith(("running_var", "weight")) else 0.01)
        else:
            tensor.normal_(0, (tensor[0].numel()) ** -0.5)
    return network


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Exported as they are asked for."""
    folder = tmp_path_factory.mktemp("networks")

    class Exported(dict[str, Path]):
        def __missing__(self, name: str) -> Path:
            contract, network = NETWORKS[name]
            self[name] = export(with_weights(network), contract, folder)
            return self[name]

    return Exported()


@pytest.fixture(scope="module")
def library() -> Library:
    pytest.importorskip("tensorrt_rtx", reason="building plans needs it: pip install tensorrt-rtx")
    return find_library("tensorrt_rtx")


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_keeps_its_contract_and_becomes_a_plan(
    name: str, files: dict[str, Path], library: Library, tmp_path: Path
) -> None:
    contract, _ = NETWORKS[name]
    graph = Graph.read(files[name])
    assert graph.inputs == {tensor.name: tensor.shape for tensor in contract.inputs}
    assert graph.outputs == {tensor.name: tensor.shape for tensor in contract.outputs}
    assert next(entry.version for entry in graph.head.opset_import) >= 20
    plan = build(files[name], tmp_path, library, (8, 9), 1 if name in ONCE else 2, ISLANDS[name])
    assert plan.stat().st_size > 0.4 * files[name].stat().st_size


def test_volumes_are_sampled_on_the_cpu_too(files: dict[str, Path]) -> None:
    """face-vid2vid's warping in OpenVINO, which has no 5-D sampler, against PyTorch."""
    contract, _ = NETWORKS["face_vid2vid_warping"]
    path = files[contract.name]
    assert sum(node.op_type == "GridSample" for node in Graph.read(path).nodes) == 2
    write_for_cpu(path)
    inputs = contract.draw()
    _, network = NETWORKS[contract.name]
    with torch.no_grad():
        want = network(*map(torch.from_numpy, inputs.values())).numpy()
    got = OpenVinoBackend("f32").load(path).run(inputs)["features"]
    np.testing.assert_allclose(got, want, atol=2e-4 * float(np.abs(want).max()))
    assert want.std() > 1e-3
