"""Names and shapes of the published networks, as a few figures: entries, parameters, and a checksum of them all."""

import json
import zlib
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the networks need PyTorch: pip install visavis[train]")
pytest.importorskip("safetensors", reason="checkpoints need safetensors: pip install visavis[build]")

from torch import Tensor  # noqa: E402

from build_trt import checkpoints  # noqa: E402
from build_trt.checkpoints import CannotImport, NotNeeded, Published  # noqa: E402
from networks import hubert  # noqa: E402

PUBLISHED = {
    "live_portrait: appearance feature extractor": (107, 836_224, 499568301),
    "live_portrait: motion extractor": (212, 28_118_728, 1492942712),
    "live_portrait: warping module": (97, 45_529_829, 741909224),
    "live_portrait: SPADE generator": (182, 55_365_388, 3030970175),
    "live_portrait: stitching": (8, 45_249, 1359273829),
    "live_portrait: lip retargeting": (8, 37_311, 119061084),
    "live_portrait: eye retargeting": (12, 144_703, 128124940),
    "face_vid2vid: keypoint detector": (75, 41_940_047, 3101554711),
    "face_vid2vid: head pose and expression estimator": (402, 30_254_838, 1268434125),
    "face_vid2vid: SPADE generator": (386, 100_988_176, 3627524724),
    "control_talk: lipControlNet": (26, 47_514_646, 2712600440),
}


def published(name: str) -> Published:
    return next(one for one in checkpoints.networks() if f"{one.family}: {one.title}" == name)


def state_of(one: Published) -> dict[str, Tensor]:
    """A state dict of the right shapes that takes no memory."""
    return {name: torch.empty(shape, device="meta") for name, shape in one.shapes.items()}


@pytest.mark.parametrize("name", PUBLISHED)
def test_names_and_shapes_are_the_published_ones(name: str) -> None:
    one = published(name)
    lines = "\n".join(f"{entry} {list(shape)}" for entry, shape in sorted(one.shapes.items()))
    assert (len(one.shapes), one.parameters, zlib.crc32(lines.encode())) == PUBLISHED[name]


@pytest.mark.parametrize("one", checkpoints.networks(), ids=lambda one: f"{one.family} {one.title} {len(one.shapes)}")
def test_every_network_is_told_by_its_parameters(one: Published) -> None:
    (match,) = checkpoints.recognise(state_of(one))
    assert match.published is one and match.fits
    parts = one.parts(match.state)
    assert sum(map(len, parts.values())) == len(one.shapes)


def test_what_does_not_fit_is_told_by_name_and_shape() -> None:
    state = state_of(published("live_portrait: lip retargeting"))
    state["mlp.9.bias"] = state.pop("mlp.2.bias")
    state["mlp.0.weight"] = torch.empty(128, 70, device="meta")
    (match,) = checkpoints.recognise(state)
    assert match.complaints() == [
        "missing: mlp.2.bias [128]",
        "not of this network: mlp.9.bias [128]",
        "mlp.0.weight is [128, 70], not [128, 65]",
    ]


def test_counters_of_batch_norm_may_be_missing() -> None:
    state = state_of(published("live_portrait: appearance feature extractor"))
    state = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    (match,) = checkpoints.recognise(state)
    assert match.fits and match.state["first.norm.num_batches_tracked"] == 0


def test_the_other_generator_and_the_beginning_of_lip_control_are_told() -> None:
    empty = torch.empty(1, device="meta")
    with pytest.raises(CannotImport, match="--gen original"):
        checkpoints.recognise({"first.conv.weight": empty, "resblocks_2d.r0.conv1.weight": empty, "final.bias": empty})
    with pytest.raises(NotNeeded, match=r"lipControlNet\.pt is enough"):
        checkpoints.recognise({"model.audio_encoder.fc1.fc.bias": empty})
    assert checkpoints.recognise({"weight": empty, "bias": empty}) == []


def test_networks_of_one_flat_file_are_told_apart() -> None:
    flat = {
        f"{key}_module.{name}": value
        for key, title in (("retarget_shoulder", "stitching"), ("retarget_eye", "eye retargeting"))
        for name, value in state_of(published(f"live_portrait: {title}")).items()
    }
    matches = checkpoints.recognise(flat)
    assert [match.published.title for match in matches] == ["stitching", "eye retargeting"]
    assert all(match.fits for match in matches)


def test_state_dicts_are_found_however_deep_and_prefixes_taken_off() -> None:
    weight = torch.zeros(2)
    content = {
        "state_dict": {"module.a": weight, "module.b": weight},
        "nets": {"one": {"module.a": weight, "b": weight}},
        "optimizer_one": {"c": weight},
        "epoch": 3,
    }
    found = {key: set(state) for key, state in checkpoints.tables(content)}
    assert found == {"state_dict": {"a", "b"}, "nets.one": {"module.a", "b"}}


SMALL = hubert.LARGE | {
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "conv_dim": [4] * 7,
    "num_conv_pos_embeddings": 6,
    "num_conv_pos_embedding_groups": 2,
}


@pytest.mark.parametrize("prefix", ["", "hubert."])
@pytest.mark.parametrize(
    "norm", [("weight_g", "weight_v"), tuple(f"parametrizations.weight.original{i}" for i in range(2))]
)
def test_speech_networks_are_told_by_the_configuration_beside_them(
    tmp_path: Path, prefix: str, norm: tuple[str, str]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(SMALL))
    (tmp_path / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    one = checkpoints.speech(tmp_path)
    assert one and one.title == "hubert, 1 layers, 8 features" and one.licence == "apache-2.0, says its card."
    state = {prefix + name.replace("weight_g", norm[0]).replace("conv.weight_v", f"conv.{norm[1]}"): value
             for name, value in state_of(one).items()}  # fmt: skip
    heads = {"lm_head.weight": torch.zeros(2), f"{prefix}masked_spec_embed": torch.zeros(8)}
    (match,) = checkpoints.recognise(state | heads, one)
    assert match.fits and json.loads(one.beside["config.json"]) == SMALL


def test_speech_networks_with_unknown_parts_are_refused(tmp_path: Path) -> None:
    assert checkpoints.speech(tmp_path) is None
    for change, reason in (
        ({"add_adapter": True}, "add_adapter True"),
        ({"conv_stride": [5, 2, 2, 2, 2, 2, 1]}, "every 160"),
    ):
        (tmp_path / "config.json").write_text(json.dumps(SMALL | change))
        with pytest.raises(CannotImport, match=reason):
            checkpoints.speech(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    assert checkpoints.speech(tmp_path) is None
