import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install visavis[train]")

from torch import Tensor  # noqa: E402

from networks import compact_audio  # noqa: E402
from networks.compact_audio import (  # noqa: E402
    SAMPLES_PER_FEATURE,
    CompactAudio,
    LogMel,
    NasalDoubt,
    VoiceMemory,
    grown,
)


def network(seed: int = 0) -> CompactAudio:
    torch.manual_seed(seed)
    net = CompactAudio(width=16, dilations=(1, 2)).eval()
    torch.nn.init.normal_(net.doubt.hum.weight)
    torch.nn.init.zeros_(net.doubt.hum.bias)
    return net


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
    assert whole.shape == (2, 42, 16 + 3)
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
    learning = [name for name, weight in net.named_parameters() if not name.startswith("doubt.")]
    assert [name for name in learning if (grad := net.get_parameter(name).grad) is None or not grad.any()] == []


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
        memory = len(state) - 2
        for index in range(len(state)):
            if index != memory:
                state[index] = torch.zeros_like(state[index])  # all that it heard of late
        known, stranger = net(pcm, *state)[0], net(pcm, *net.start())[0]
        state[memory] *= 2.0**-40
        forgotten = net(pcm, *state)[0]
    assert (known - stranger).abs().max() > 0.01
    torch.testing.assert_close(forgotten, stranger)


def listener() -> NasalDoubt:
    """Is told what sounds: the first value is /m/, the second another nasal, the third neither."""
    doubt = NasalDoubt(3)
    with torch.no_grad():
        doubt.hum.weight.copy_(torch.eye(3).repeat(3, 1) * 20)
        doubt.hum.bias.zero_()
    return doubt


def voice(share: float, seconds: float) -> Tensor:
    """One that says a nasal for every sixth of its sounds, and this share of them as /m/: ``(1, n, 3)``."""
    torch.manual_seed(0)
    count = int(seconds * 50)
    nasal, m = torch.rand(count) < 1 / 6, torch.rand(count) < share
    kind = torch.where(nasal, torch.where(m, 0, 1), 2)
    return torch.eye(3)[kind][None]


@torch.no_grad()
def doubted(doubt: NasalDoubt, features: Tensor, past: Tensor | None = None) -> tuple[float, Tensor]:
    """What is taken off an /m/ after `features`, and what remains of them."""
    _, past = doubt(features, torch.zeros(1, 2, 1) if past is None else past)
    taken, _ = doubt(torch.eye(3)[None, :1], past)
    return taken[0, 0, 1].item(), past


def test_a_voice_that_says_m_too_often_is_believed_less_and_one_that_says_it_seldom_more() -> None:
    doubts = {share: doubted(listener(), voice(share, 60))[0] for share in (0.02, 0.25, 0.36, 0.6, 0.8, 0.98)}
    assert -2 == doubts[0.02] < doubts[0.25] < -0.2
    assert doubts[0.36] == 0, "languages differ as much"
    assert 1 < doubts[0.6] < doubts[0.8] == doubts[0.98] == 2.5
    assert 0.2 < doubted(listener(), voice(0.7, 10))[0] < doubted(listener(), voice(0.7, 60))[0]


def test_only_nasals_are_doubted_and_a_doubt_fades_without_them() -> None:
    doubt, silence = listener(), torch.eye(3)[None, [2]]
    strong, past = doubted(doubt, voice(0.8, 60))
    with torch.no_grad():
        taken, _ = doubt(torch.eye(3)[None], past)
    assert taken[0, 1].min() > 1 and taken[0, 2].abs().max() < 1e-6
    weaker, _ = doubted(doubt, silence.expand(1, 6000, 3), past)
    gone, _ = doubted(doubt, silence.expand(1, 20000, 3), past)
    assert 0 < weaker < strong and gone == 0
    assert doubted(NasalDoubt(3), voice(0.8, 60))[0] == 0, "hears no nasals before it has learned"


def test_doubts_of_many_voices_in_pieces_are_those_of_each_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    doubt, both = listener(), torch.cat([voice(0.8, 12), voice(0.1, 12)])
    with torch.no_grad():
        whole = torch.cat([doubt(each[None], torch.zeros(1, 2, 1))[0] for each in both])
        monkeypatch.setattr(compact_audio, "_SPAN", 7)
        past, parts = torch.zeros(2, 2, 1), []
        for piece in both.split(20, dim=1):
            part, past = doubt(piece, past)
            parts.append(part)
    assert whole[0].max() > 1 and whole[1].min() < -0.5
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-5, rtol=1e-4)
