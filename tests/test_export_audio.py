from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="exporting needs onnx: pip install visavis[train]")
torch = pytest.importorskip("torch", reason="exporting needs PyTorch: pip install visavis[train]")

from build_trt import contracts  # noqa: E402
from build_trt.export import OneState, audio_parity, export  # noqa: E402
from engines.openvino_backend import OpenVinoBackend  # noqa: E402
from engines.pipeline import WEIGHTS  # noqa: E402
from networks.audio2exp import Audio2Exp  # noqa: E402
from networks.compact_audio import CompactAudio  # noqa: E402


def networks() -> tuple[CompactAudio, Audio2Exp]:
    torch.manual_seed(0)
    features, audio2exp = CompactAudio(width=16, dilations=(1, 2)), Audio2Exp(16)
    for head in audio2exp.parameters():
        torch.nn.init.normal_(head, std=0.2)
    return features, audio2exp


def test_exported_networks_step_like_the_whole(tmp_path: Path) -> None:
    features, audio2exp = networks()
    export(OneState(features), contracts.audio_features(features), tmp_path)
    export(audio2exp, contracts.audio2exp(16 + 3), tmp_path)
    differences = audio_parity(features, audio2exp, tmp_path, seconds=1.0)
    assert set(differences) == {"audio_features", "audio2exp"}
    assert max(differences.values()) < 1e-4


def test_the_parity_check_notices_other_weights(tmp_path: Path) -> None:
    features, audio2exp = networks()
    export(OneState(features), contracts.audio_features(features), tmp_path)
    export(audio2exp, contracts.audio2exp(16 + 3), tmp_path)
    with torch.no_grad():
        features.last_norm.gain[0, 0] += 0.5
    assert audio_parity(features, audio2exp, tmp_path, seconds=0.4)["audio_features"] > 1e-3


def test_a_network_that_breaks_its_contract_is_not_exported(tmp_path: Path) -> None:
    _, audio2exp = networks()
    contract = contracts.audio2exp(16 + 3)
    wrong = contracts.Contract(contract.name, contract.inputs, (contracts.Tensor("bias", (1, 1, 9)),))
    with pytest.raises(ValueError, match="its contract says"):
        export(audio2exp, wrong, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_shipped_files_keep_their_contracts() -> None:
    backend, features = OpenVinoBackend("f32"), CompactAudio()
    for contract in (contracts.audio_features(features), contracts.audio2exp(features.size)):
        network = backend.load(WEIGHTS / contract.file)
        assert dict(network.inputs) == {tensor.name: tensor.shape for tensor in contract.inputs}
