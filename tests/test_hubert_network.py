from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the networks need PyTorch: pip install visavis[train]")

from numpy.typing import NDArray  # noqa: E402
from torch import Tensor  # noqa: E402

from build_trt import recipe, speech  # noqa: E402
from engines.backend import Tensors  # noqa: E402
from engines.hubert import StreamingHubert, Window  # noqa: E402
from engines.loudness import Level, normalised  # noqa: E402
from networks import hubert  # noqa: E402
from networks.hubert import Hubert, SpeechConfig  # noqa: E402

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
LARGE, BASE = hubert.LARGE | SIZES, hubert.BASE | SIZES
WINDOW = Window(4, 1, 2)

KNOWN = {
    "large": [-0.818376, 0.102677, 0.278579, 0.828232],
    "base": [1.834266, -1.67214, 0.494374, -1.55354],
}
"""What `transformers` 5.23 computes of the same weights and speech: a corner of the features."""


def filled(config: Mapping[str, Any]) -> Hubert:
    """A network of made-up weights."""
    network = Hubert(SpeechConfig.of(config)).eval()
    for name, value in network.state_dict().items():
        deviation = 1.5 / np.sqrt(value[0].numel()) if value.ndim > 1 else 0.2
        mean = 1.0 if name.endswith("norm.weight") else 0.0
        value.copy_(torch.from_numpy(recipe.tensor(name, value.shape, mean, deviation, 1)))
    return network


def spoken(seconds: float) -> Tensor:
    return torch.from_numpy(recipe.tensor("speech", (1, int(16_000 * seconds)), 0.0, 1.0, 1))


@pytest.fixture(params=["large", "base"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def network(kind: str) -> Hubert:
    return filled({"large": LARGE, "base": BASE}[kind])


def test_features_are_those_of_the_published_code(kind: str, network: Hubert) -> None:
    with torch.inference_mode():
        features = network(spoken(0.4))
    assert features.shape == (1, 19, 16)
    corner = [*features[0, 0, :2].tolist(), *features[0, -1, -2:].tolist()]
    assert corner == pytest.approx(KNOWN[kind], abs=2e-5)


def test_transformers_computes_the_same(kind: str, network: Hubert) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    config = transformers.HubertConfig(**{"large": LARGE, "base": BASE}[kind])
    theirs = transformers.HubertModel(config).eval()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    weight = state.pop("encoder.pos_conv_embed.conv.weight")
    state["encoder.pos_conv_embed.conv.parametrizations.weight.original0"] = weight.norm(dim=(0, 1), keepdim=True)
    state["encoder.pos_conv_embed.conv.parametrizations.weight.original1"] = weight
    theirs.load_state_dict(state, strict=False)
    ours = Hubert(SpeechConfig.of(config.to_dict())).eval()
    ours.load_state_dict(hubert.bare_names(theirs.state_dict()))
    with torch.inference_mode():
        torch.testing.assert_close(ours(spoken(0.5)), theirs(spoken(0.5)).last_hidden_state, atol=1e-5, rtol=1e-4)


class InTorch:
    """One half of the network, as a backend would run it."""

    def __init__(self, shape: tuple[int, ...], name: str, run: Callable[[Tensor], Tensor], output: str) -> None:
        self.inputs: Mapping[str, tuple[int, ...]] = {name: shape}
        self._name, self._run, self._output = name, run, output

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        assert inputs[self._name].shape == self.inputs[self._name]
        with torch.inference_mode():
            return {self._output: self._run(torch.from_numpy(inputs[self._name])).numpy()}


def streaming(network: Hubert, window: Window) -> StreamingHubert:
    halves = []
    for contract, half in speech.hubert(network, window):
        (given,), (made,) = contract.inputs, contract.outputs
        with torch.inference_mode():
            assert tuple(half(torch.zeros(given.shape)).shape) == made.shape
        halves.append(InTorch(given.shape, given.name, half, made.name))
    return StreamingHubert(halves[0], halves[1], window)


def test_a_stream_is_the_network_on_each_window(network: Hubert) -> None:
    pcm = spoken(1.0)[0].numpy() * np.float32(0.1)
    heard = streaming(network, WINDOW)
    state = heard.start()
    made = []
    for begin in range(0, len(pcm), 500):
        features, state = heard.hear(state, pcm[begin : begin + 500])
        made.append(features)
    level, _ = normalised(Level(), pcm)
    before = np.zeros(WINDOW.front_samples(keeps=False), np.float32)
    padded = torch.from_numpy(np.concatenate([before, level]))[None]
    ends = range(len(before) + 640, padded.shape[1] + 1, 640)
    with torch.inference_mode():
        wanted = torch.cat([network(padded[:, end - len(before) : end])[0, WINDOW.asked] for end in ends])
    np.testing.assert_allclose(np.concatenate(made), wanted, atol=2e-5)


def test_with_all_of_the_past_and_future_a_window_is_the_utterance() -> None:
    network = filled(LARGE)
    pcm = spoken(0.4)
    window = Window(0, 10, 0)
    features, _ = streaming(network, window).hear(streaming(network, window).start(), pcm[0].numpy())
    level = torch.from_numpy(normalised(Level(), pcm[0].numpy())[0])
    with torch.inference_mode():
        whole = network(torch.cat([torch.zeros(80), level])[None])[0]
    np.testing.assert_allclose(features, whole, atol=2e-5)


def test_other_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="'bert', not one of hubert, wav2vec2"):
        SpeechConfig.of(LARGE | {"model_type": "bert"})
    with pytest.raises(ValueError, match="hidden_act 'relu'"):
        SpeechConfig.of(LARGE | {"hidden_act": "relu"})
    assert SpeechConfig.of(LARGE | {"do_normalize": False}).normalised is False


def test_utterances_are_normalised_as_in_training() -> None:
    loud = spoken(0.2) * 7 + 3
    normal = hubert.normalised(loud)
    assert normal.mean().item() == pytest.approx(0, abs=1e-5) and normal.var().item() == pytest.approx(1, abs=1e-3)
