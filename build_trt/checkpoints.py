"""The public checkpoints: what their networks' parameters are called and how large they are, and telling which network
a file holds. No file is trusted: nothing in it is executed, and whatever is not an array of numbers is left out."""

import json
import pickle
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from networks import face_vid2vid, stitching
from networks.appearance import Appearance
from networks.control_talk import ControlTalk
from networks.head_pose import HeadPoseEstimator
from networks.hubert import KINDS, Hubert, SpeechConfig, WeightNormConv1d, bare_names
from networks.keypoint_detector import KEYPOINTS, KeypointDetector
from networks.motion_extractor import KEYPOINTS as PORTRAIT_KEYPOINTS
from networks.motion_extractor import MotionExtractor
from networks.spade import SpadeGenerator, SpectralConv2d
from networks.warping import Warping

State = Mapping[str, Tensor]
Shapes = dict[str, tuple[int, ...]]

_ALIKE: Final = 0.5
"""Share of parameters, of all that either has, that a file must have in common with the network it is taken for."""
_COUNTER: Final = "num_batches_tracked"
"""Batch norm counts in it how long it learnt: not every copy of a checkpoint keeps it, and nothing needs it."""
_ORIGINAL: Final = "resblocks_2d."
_BEGINNING: Final = "model.audio_encoder."
_LICENCES: Final[Mapping[str, str]] = {
    "live_portrait": (
        "MIT (KwaiVGI/LivePortrait). Of its companions, the face detection and landmarks of InsightFace are for "
        "non-commercial research only; Visavis neither needs nor imports them."
    ),
    "face_vid2vid": (
        "CC BY-NC 4.0: not for commercial use (zhanglonghao1992/One-Shot_Free-View_Neural_Talking_Head_Synthesis, from "
        "which ControlTalk's renderer derives; for ControlTalk's own weights no licence is stated)."
    ),
    "control_talk": "Code under MIT (NetEase-Media/ControlTalk); none is stated for the weights: ask the authors.",
}


class CannotImport(ValueError):
    """What is wrong with a file, for the person who brought it."""


class NotNeeded(CannotImport):
    """A file that holds nothing Visavis runs: no harm in a folder of others."""


@dataclass(frozen=True, slots=True)
class Published:
    """One network as it was published, perhaps in one of several variants."""

    family: str
    """Folder of what it becomes here."""
    title: str
    parts: Callable[[State], Mapping[str, State]]
    """Its parameters by the name of the network of ours that they belong to."""
    shapes: Shapes
    parameters: int
    licence: str
    beside: Mapping[str, str] = field(default_factory=dict)
    """Text files that belong to it, by name."""


@dataclass(frozen=True, slots=True)
class Match:
    """A state dict beside the network it looks most like."""

    published: Published
    state: State
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    wrong: tuple[str, ...]
    """Names whose shapes differ."""

    @property
    def fits(self) -> bool:
        return not (self.missing or self.extra or self.wrong)

    def complaints(self) -> list[str]:
        """What does not fit, one by one."""
        shapes = self.published.shapes
        return [
            *(f"missing: {name} {list(shapes[name])}" for name in self.missing),
            *(f"not of this network: {name} {list(self.state[name].shape)}" for name in self.extra),
            *(f"{name} is {list(self.state[name].shape)}, not {list(shapes[name])}" for name in self.wrong),
        ]


def published_shapes(network: nn.Module) -> Shapes:
    """Names and shapes of a network's state dict before norms of its weights are folded."""
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    for name, module in network.named_modules():
        if isinstance(module, SpectralConv2d):
            weight = shapes.pop(f"{name}.weight")
            columns = module.weight[0].numel()
            shapes |= {f"{name}.weight_orig": weight, f"{name}.weight_u": weight[:1], f"{name}.weight_v": (columns,)}
        elif isinstance(module, WeightNormConv1d):
            weight = shapes.pop(f"{name}.weight")
            shapes |= {f"{name}.weight_g": (1, 1, weight[2]), f"{name}.weight_v": weight}
    return shapes


def count(network: nn.Module) -> int:
    """What a network has learnt, in numbers."""
    return sum(parameter.numel() for parameter in network.parameters())


@cache
def networks() -> tuple[Published, ...]:
    """Everything that can be imported but for HuBERT, which comes with a configuration of its own."""

    def one(family: str, title: str, part: str, network: nn.Module) -> Published:
        shapes = published_shapes(network)
        return Published(family, title, lambda state: {part: state}, shapes, count(network), _LICENCES[family])

    def generator(middle: int) -> Published:
        parts = Appearance(), Warping(KEYPOINTS), SpadeGenerator(upscale=1, middle=middle)
        shapes = published_shapes(parts[0]) | published_shapes(parts[1])
        shapes |= {f"{face_vid2vid.DECODER}{name}": shape for name, shape in published_shapes(parts[2]).items()}
        return Published(
            "face_vid2vid",
            "SPADE generator",
            lambda state: face_vid2vid.parts(state)._asdict(),
            shapes,
            sum(map(count, parts)),
            _LICENCES["face_vid2vid"],
        )

    portrait, face = partial(one, "live_portrait"), partial(one, "face_vid2vid")
    with torch.device("meta"):  # shapes without memory
        return (
            portrait("appearance feature extractor", "appearance", Appearance()),
            portrait("motion extractor", "motion", MotionExtractor()),
            portrait("warping module", "warping", Warping(PORTRAIT_KEYPOINTS)),
            portrait("SPADE generator", "generator", SpadeGenerator(upscale=2)),
            portrait("stitching", "stitching", stitching.stitching()),
            portrait("lip retargeting", "lips", stitching.lips()),
            portrait("eye retargeting", "eyes", stitching.eyes()),
            face("keypoint detector", "detector", KeypointDetector()),
            face("keypoint detector at full size", "detector", KeypointDetector(reduced=False)),
            face("head pose and expression estimator", "pose", HeadPoseEstimator()),
            generator(6),
            generator(2),
            one("control_talk", "lipControlNet", "audio2exp", ControlTalk()),
        )


def speech(folder: Path) -> Published | None:
    """The HuBERT or wav2vec 2.0 that a folder's `config.json` describes; None if it describes none.

    Raises CannotImport if it describes one with parts that are not supported.
    """
    described = _json(folder / "config.json")
    if described.get("model_type") not in KINDS:
        return None
    heard = _json(folder / "preprocessor_config.json")
    described |= {key: heard[key] for key in ("do_normalize",) if key in heard}
    try:
        with torch.device("meta"):
            network = Hubert(SpeechConfig.of(described))
    except (ValueError, KeyError) as error:
        raise CannotImport(f"config.json describes what Visavis cannot run: {error}") from error
    title = f"{described['model_type']}, {described['num_hidden_layers']} layers, {described['hidden_size']} features"
    return Published(
        "hubert",
        title,
        lambda state: {"hubert": state},
        published_shapes(network),
        count(network),
        _stated_licence(folder),
        {"config.json": json.dumps(described, indent=1)},
    )


def _json(file: Path) -> dict[str, Any]:
    """An object in a file; an empty one if there is none."""
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _stated_licence(folder: Path) -> str:
    """The licence that the card of a model names."""
    card = folder / "README.md"
    found = re.search(r"^licen[cs]e: *(\S+)", card.read_text(errors="replace"), re.M) if card.exists() else None
    return f"{found[1]}, says its card." if found else "None is stated in its folder: see where you downloaded it."


def read(path: Path) -> Mapping[str, Any]:
    """All that a checkpoint file holds.

    Raises CannotImport if it is none, NotNeeded if it holds something that would have to be executed.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise NotNeeded("it holds more than arrays, which would have to be executed, or is damaged") from error
    except (SafetensorError, RuntimeError, EOFError, OSError) as error:
        raise CannotImport(f"it cannot be read: {error}") from error
    if not isinstance(content, Mapping):
        raise NotNeeded(f"it holds no parameters by name, but a {type(content).__name__}")
    return content


def tables(content: Mapping[Any, Any], key: str = "") -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Every state dict in a file, however deep, and the keys that lead to it."""
    state = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if state:
        yield key, without_prefix(state)
        return
    for name, value in content.items():
        if isinstance(value, Mapping) and isinstance(name, str) and not name.startswith("optimizer"):
            yield from tables(value, f"{key}.{name}" if key else name)


def without_prefix(state: dict[str, Tensor], prefix: str = "module.") -> dict[str, Tensor]:
    """Names without the prefix that training on several GPUs put before all of them."""
    if not all(name.startswith(prefix) for name in state):
        return state
    return {name.removeprefix(prefix): value for name, value in state.items()}


def recognise(state: dict[str, Tensor], beside: Published | None = None) -> list[Match]:
    """The networks that a state dict holds: itself, or several under the first parts of its names. Empty if none.

    `beside` is what a configuration in the same folder describes. Raises CannotImport or NotNeeded for networks that
    are known, and not run.
    """
    if beside and (bare := bare_names(state)):
        return [compare(beside, _plain_names(bare))]
    if any(name.startswith(_ORIGINAL) for name in state):
        raise CannotImport(
            "its generator is the one of `--gen original`, another network than the SPADE generator that Visavis runs: "
            "bring a checkpoint that was trained with `--gen spade`"
        )
    if any(name.startswith(_BEGINNING) for name in state):
        raise NotNeeded("audio_encoder.pt is what training lipControlNet began with; lipControlNet.pt is enough")
    if found := best_match(state):
        return [found]
    groups: dict[str, dict[str, Tensor]] = {}
    for name, value in state.items():
        first, _, rest = name.partition(".")
        groups.setdefault(first, {})[rest] = value
    matches = (best_match(without_prefix(group)) for group in groups.values())
    return [match for match in matches if match]


def _plain_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names as they were before PyTorch had parametrisations."""
    new = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    return {re.sub("|".join(new), lambda hit: new[hit[0]], name): value for name, value in state.items()}


def best_match(state: State) -> Match | None:
    """The network most like a state dict, by names first and then by shapes; None if none is much like it."""

    def likeness(published: Published) -> tuple[float, int]:
        common = state.keys() & published.shapes.keys()
        of_size = sum(tuple(state[name].shape) == published.shapes[name] for name in common)
        return len(common) / len(state.keys() | published.shapes.keys()), of_size

    published = max(networks(), key=likeness)
    return compare(published, state) if likeness(published)[0] >= _ALIKE else None


def compare(published: Published, state: State) -> Match:
    """What of `published` the state dict lacks, has beside it, and has in another shape."""
    shapes = published.shapes
    # Counters may be missing, and are then nought.
    state = {name: torch.zeros((), dtype=torch.int64) for name in shapes if name.endswith(_COUNTER)} | dict(state)
    wrong = (name for name in shapes.keys() & state.keys() if tuple(state[name].shape) != shapes[name])
    missing, extra = shapes.keys() - state.keys(), state.keys() - shapes.keys()
    return Match(published, state, tuple(sorted(missing)), tuple(sorted(extra)), tuple(sorted(wrong)))
