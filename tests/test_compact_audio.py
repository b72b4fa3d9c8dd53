import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install visavis[train]")

from torch import Tensor  # noqa: E402

from networks import compact_audio  # noqa: E402
from networks.compact_audio import SAMPLES_PER_FEATURE, CompactAudio, LogMel, VoiceMemory, grown  # noqa: E402


def network(seed: int = 0) -> CompactAudio:
    torch.manual_seed(seed)
    return CompactAudio(width=16, dilations=(1, 2)).eval()


def noise(seconds: float, batch: int = 1) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(batch, int(seconds * 50) * SAMPLES_PER_FEATURE) * 0.05


@pytest.mark.parametrize("chunk", [1, 2, 7])
def test_chunks_of_any_length_equal_the_whole(chunk: int) -> None:
    net, pcm = network(), noise(0.84, batch=2)
    with torch.no_grad():
        whole = net(pcm, *net.start(2))[0]
        state, parts = net.start(2), []
        for piece in pcm.split(chunk * SAMPLES_PER_FEATURE, dim=1):
            part, *state = net(piece, *state)
            parts.append(part)
    assert whole.shape == (2, 42, 16)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-5, rtol=1e-4)


def test_the_future_is_not_heard() -> None:
    net, pcm = network(), noise(0.6)
    changed = pcm.clone()
    changed[:, 20 * SAMPLES_PER_FEATURE :] *= -3
    with torch.no_grad():
        before, after = (net(sound, *net.start())[0] for sound in (pcm, changed))
    torch.testing.assert_close(before[:, :20], after[:, :20], atol=0, rtol=0)
    assert (before[:, 20] - after[:, 20]).abs().max() > 1e-3


def test_a_new_state_has_heard_silence() -> None:
    net, pcm = network(), noise(0.4)
    quiet = torch.zeros(1, 100 * SAMPLES_PER_FEATURE)
    with torch.no_grad():
        _, samples, spectrum, *_ = net(quiet, *net.start())
        assert not samples.any() and not spectrum.any()
        heard, fresh = LogMel()(pcm, torch.zeros(1, 1, 240))
    assert heard.shape == (1, 64, 40) and heard.min() >= 0 and fresh.shape == (1, 1, 240)


def test_a_tone_lights_its_band() -> None:
    time = torch.arange(16_000) / 16_000
    low, high = (
        LogMel()(torch.sin(2 * torch.pi * hertz * time)[None] * 0.1, torch.zeros(1, 1, 240))[0][0, :, 50].argmax()
        for hertz in (300, 3000)
    )
    assert 5 <= low <= 12 and 38 <= high <= 46


def test_every_weight_learns() -> None:
    net = network().train()
    net(noise(0.4), *net.start())[0].square().sum().backward()
    silent = [name for name, weight in net.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert silent == []


def test_channels_are_dropped_in_training_alone() -> None:
    net, pcm = network(), noise(0.4)
    with torch.no_grad():
        one, other = (net(pcm, *net.start())[0] for _ in range(2))
        net.train()
        dropped, again = (net(pcm, *net.start())[0] for _ in range(2))
    assert torch.equal(one, other)
    assert not torch.equal(dropped, one) and not torch.equal(dropped, again)


def test_a_larger_network_begins_where_the_smaller_ended() -> None:
    small, pcm = network(), noise(0.4)
    large = CompactAudio(width=16, dilations=(1, 2, 4), expansion=3).eval()
    large.load_state_dict(grown(small.state_dict(), large.state_dict()))
    says = large(pcm, *large.start())[0]
    torch.testing.assert_close(says, small(pcm, *small.start())[0])
    says.square().sum().backward()
    learning = [weight.grad for name, weight in large.named_parameters() if name.endswith("narrow.weight")]
    assert len(learning) == 3 and all(gradient is not None and gradient.any(dim=0).all() for gradient in learning)


def test_only_smaller_networks_of_the_same_kind_grow() -> None:
    small, large = network().state_dict(), CompactAudio(width=16, dilations=(1, 2, 4)).state_dict()
    with pytest.raises(ValueError, match="does not fit"):
        grown({"first_norm.gain": torch.ones(1, 17, 1)}, small)
    with pytest.raises(ValueError, match=r"another network: blocks\.2"):
        grown(large, small)


def test_a_memory_sums_spans_as_it_would_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    memory, x = VoiceMemory(16, kinds=3, size=4).eval(), torch.randn(2, 16, 30)
    past = torch.rand(2, 3, 5)
    with torch.no_grad():
        whole, kinds, end = memory(x, past)
        monkeypatch.setattr(compact_audio, "_SPAN", 7)
        parts, _, part_end = memory(x, past)
        weights = torch.softmax(kinds, dim=1)
        sums = past[:, :, -1]
        for step in range(30):
            sums = sums * 0.5 ** (1 / 500) + weights[:, :, step]
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(part_end, end)
    torch.testing.assert_close(end[:, :, -1], sums)


def test_a_voice_that_is_known_sounds_different_from_a_stranger() -> None:
    net, pcm = network(), noise(0.4)
    with torch.no_grad():
        _, *state = net(noise(8), *net.start())
        for index in range(len(state) - 1):
            state[index] = torch.zeros_like(state[index])  # all that it heard of late
        known, stranger = net(pcm, *state)[0], net(pcm, *net.start())[0]
        state[-1] *= 2.0**-40
        forgotten = net(pcm, *state)[0]
    assert (known - stranger).abs().max() > 0.01
    torch.testing.assert_close(forgotten, stranger)
