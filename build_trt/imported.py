"""The full-size networks with the weights that `visavis import` wrote."""

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from networks.control_talk import ControlTalk
from networks.face_vid2vid import FaceVid2Vid
from networks.hubert import Hubert, SpeechConfig
from networks.live_portrait import LivePortrait


class NotImported(FileNotFoundError):
    """Networks are asked for whose checkpoint nobody imported."""


def live_portrait(models: Path) -> LivePortrait:
    """LivePortrait, ready to run. Raises NotImported for what is not in the folder `models`."""
    with torch.device("meta"):
        family = LivePortrait()
    for name, network in family.named_children():
        _fill(network, models / "live_portrait" / f"{name}.safetensors")
    return family.eval()


def face_vid2vid(models: Path) -> FaceVid2Vid:
    """face-vid2vid, ready to run, in the variant that was imported. Raises NotImported."""
    folder = models / "face_vid2vid"
    middle = sum(
        name.endswith("conv_0.bias") and name.startswith("G_middle")
        for name in _names(folder / "generator.safetensors")
    )
    with torch.device("meta"):
        family = FaceVid2Vid(reduced="down.weight" in _names(folder / "detector.safetensors"), middle=middle)
    for name, network in family.named_children():
        _fill(network, folder / f"{name}.safetensors")
    return family.eval()


def control_talk(models: Path) -> ControlTalk:
    """ControlTalk's Audio2Exp, ready to run. Raises NotImported."""
    with torch.device("meta"):
        network = ControlTalk()
    _fill(network, models / "control_talk" / "audio2exp.safetensors")
    return network.eval()


def hubert(models: Path) -> Hubert:
    """HuBERT or wav2vec 2.0, ready to run, as its configuration describes it. Raises NotImported."""
    file = _there(models / "hubert" / "hubert.safetensors")
    with torch.device("meta"):
        network = Hubert(SpeechConfig.of(json.loads(file.with_name("config.json").read_text())))
    _fill(network, file)
    return network.eval()


def _there(file: Path) -> Path:
    if not file.exists():
        raise NotImported(f"{file} is not there yet: bring its checkpoint with `visavis import`")
    return file


def _fill(network: nn.Module, file: Path) -> None:
    network.load_state_dict(load_file(_there(file)), assign=True)


def _names(file: Path) -> set[str]:
    with safe_open(_there(file), framework="pt") as opened:
        return set(opened.keys())
