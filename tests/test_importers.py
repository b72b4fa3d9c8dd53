import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the networks need PyTorch: pip install visavis[train]")
pytest.importorskip("safetensors", reason="checkpoints need safetensors: pip install visavis[build]")

from safetensors.torch import load_file, save_file  # noqa: E402

from build_trt import imported  # noqa: E402
from build_trt.checkpoints import CannotImport, NotNeeded  # noqa: E402
from build_trt.importers import Imported, import_path  # noqa: E402
from networks import stitching  # noqa: E402
from networks.hubert import Hubert, SpeechConfig  # noqa: E402
from realtime.cli import main  # noqa: E402
from tests.test_checkpoints import SMALL  # noqa: E402


@pytest.fixture
def retargeting(tmp_path: Path) -> Path:
    """A checkpoint of LivePortrait's smallest networks, as it is published."""
    torch.manual_seed(0)
    made = {"retarget_shoulder": stitching.stitching(), "retarget_mouth": stitching.lips()}
    file = tmp_path / "brought" / "stitching_retargeting_module.pth"
    file.parent.mkdir()
    torch.save({key: {f"module.{n}": v for n, v in net.state_dict().items()} for key, net in made.items()}, file)
    return file


def test_a_file_is_converted_once(retargeting: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    first = [result for result in import_path(retargeting, models) if isinstance(result, Imported)]
    assert [(one.title, one.parameters, one.new) for one in first] == [
        ("stitching", 45_249, True),
        ("lip retargeting", 37_311, True),
    ]
    written = models / "live_portrait" / "stitching.safetensors"
    saved = torch.load(retargeting, weights_only=True)["retarget_shoulder"]
    for name, value in load_file(written).items():
        assert torch.equal(value, saved[f"module.{name}"])
    card = written.with_suffix(".md").read_text()
    assert "MIT" in card and "45,249 parameters" in card and "entry `retarget_shoulder`" in card
    before = written.stat().st_mtime_ns
    assert not any(one.new for one in import_path(retargeting, models) if isinstance(one, Imported))
    assert written.stat().st_mtime_ns == before


def test_safetensors_are_read_too_and_half_precision_is_widened(tmp_path: Path) -> None:
    state = {f"retarget_mouth_module.{name}": value.half() for name, value in stitching.lips().state_dict().items()}
    save_file(state, tmp_path / "stitching_retargeting_module.safetensors")
    (result,) = import_path(tmp_path / "stitching_retargeting_module.safetensors", tmp_path / "models")
    assert isinstance(result, Imported)
    widened = load_file(result.files[0])["mlp.0.bias"]
    assert widened.dtype == torch.float32 and torch.equal(widened, state["retarget_mouth_module.mlp.0.bias"].float())


def test_a_file_that_does_not_fit_leaves_nothing_behind(retargeting: Path, tmp_path: Path) -> None:
    saved = torch.load(retargeting, weights_only=True)
    del saved["retarget_mouth"]["module.mlp.4.bias"]
    torch.save(saved, retargeting)
    (result,) = import_path(retargeting, tmp_path / "models")
    assert isinstance(result, CannotImport) and "missing: mlp.4.bias [64]" in str(result)
    assert not (tmp_path / "models").exists()


class Bomb:
    """Unpickling it would write a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.target,))


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    torch.save({"state_dict": Bomb(tmp_path / "exploded")}, tmp_path / "bomb.pt")
    (result,) = import_path(tmp_path / "bomb.pt", tmp_path / "models")
    assert isinstance(result, CannotImport) and "would have to be executed" in str(result)
    assert not (tmp_path / "exploded").exists()


def test_what_is_no_checkpoint_is_told(tmp_path: Path) -> None:
    (tmp_path / "letter.pth").write_bytes(b"Dear Eva")
    (tmp_path / "cut.safetensors").write_bytes(b"\xff" * 8)
    (tmp_path / "empty").mkdir()
    for name, reason in (
        ("letter.pth", "damaged"),
        ("cut.safetensors", "cannot be read"),
        ("missing.pth", "does not exist"),
        ("empty", "nothing below"),
    ):
        (result,) = import_path(tmp_path / name, tmp_path / "models")
        assert isinstance(result, CannotImport) and not isinstance(result, NotNeeded)
        assert reason in str(result), name


def test_in_a_folder_the_rest_is_left_out_and_twins_are_not_guessed_between(retargeting: Path, tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, retargeting.with_name("other.pt"))
    torch.save({"state_dict": {"weight": torch.zeros(3)}}, retargeting.with_name("landmark.bin"))
    results = list(import_path(retargeting.parent, tmp_path / "models"))
    assert [type(result) for result in results] == [NotNeeded, NotNeeded, Imported, Imported]
    twin = retargeting.with_name("twin.pth")
    twin.write_bytes(retargeting.read_bytes())
    *_, last = import_path(retargeting.parent, tmp_path / "models")
    assert isinstance(last, CannotImport) and "holds the same network as" in str(last)


def test_a_folder_of_transformers_becomes_a_speech_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    brought = tmp_path / "hubert-small"
    brought.mkdir()
    (brought / "config.json").write_text(json.dumps(SMALL))
    network = Hubert(SpeechConfig.of(SMALL)).eval()
    state = network.state_dict()
    weight = state.pop("encoder.pos_conv_embed.conv.weight")
    state["encoder.pos_conv_embed.conv.weight_g"] = weight.norm(dim=(0, 1), keepdim=True)
    state["encoder.pos_conv_embed.conv.weight_v"] = weight * 3
    save_file(state, brought / "model.safetensors")
    torch.save(state, brought / "pytorch_model.bin")
    (result,) = import_path(brought, tmp_path / "models")
    assert isinstance(result, Imported) and result.licence.startswith("None is stated")
    speech = torch.randn(1, 2000)
    with torch.inference_mode():
        torch.testing.assert_close(imported.hubert(tmp_path / "models")(speech), network(speech))


def test_networks_that_nobody_brought_are_told(tmp_path: Path) -> None:
    for ask in (imported.live_portrait, imported.face_vid2vid, imported.control_talk, imported.hubert):
        with pytest.raises(imported.NotImported, match="visavis import"):
            ask(tmp_path)


def test_the_command_prints_files_and_licences(
    retargeting: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VISAVIS_MODELS", str(tmp_path / "models"))
    assert main(["import", str(retargeting)]) == 0
    said = capsys.readouterr().out
    assert "imported live_portrait: stitching, 45,249 parameters" in said
    assert str(tmp_path / "models" / "live_portrait" / "lips.safetensors") in said
    assert "live_portrait: MIT" in said.splitlines()[-1]
    assert main(["import", str(retargeting), str(tmp_path / "missing.pt"), "--models", str(tmp_path / "else")]) == 2
    heard = capsys.readouterr()
    assert "missing.pt does not exist" in heard.err and str(tmp_path / "else") in heard.out


def test_the_command_says_what_importing_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from realtime import import_command

    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name="torch")

    monkeypatch.setattr(import_command, "import_module", missing)
    assert main(["import", "any.pth"]) == 2
    assert "pip install 'visavis[build]'" in capsys.readouterr().err
