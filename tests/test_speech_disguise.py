import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install visavis[train]")

from torch import Tensor  # noqa: E402

from networks.compact_audio import LogMel  # noqa: E402
from training.speech import disguise  # noqa: E402
from training.speech.disguise import disguised  # noqa: E402
from training.speech.phonemes import SILENCE, SYMBOL_INDEX, SYMBOLS  # noqa: E402

CENTRES = LogMel().centres.numpy()
SHARES = ("_WARPED", "_COLOURED", "_MIXED", "_SHAPED", "_PACED", "_MASKED")


def said(mel: Tensor, seed: int = 0) -> NDArray[np.int64]:
    """Sounds of 80 ms each."""
    sounds = np.random.default_rng(seed).integers(0, len(SYMBOLS), (len(mel), mel.shape[2] // 8 + 1))
    return np.repeat(sounds, 4, axis=1)[:, : mel.shape[2] // 2]


def only(monkeypatch: pytest.MonkeyPatch, mel: Tensor, *kinds: str) -> Tensor:
    """What becomes of the spectra if all items are disguised in these ways and in no other."""
    for name in SHARES:
        monkeypatch.setattr(disguise, name, float(name in kinds))
    return disguised(np.random.default_rng(0), mel, CENTRES, said(mel))


def test_formants_move_along_the_axis_by_speaker_and_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    peak = 30
    mel = torch.zeros(200, 64, 120)
    mel[:, peak - 1 : peak + 2] = torch.tensor([0.5, 1.0, 0.5])[None, :, None]
    heard = only(monkeypatch, mel, "_WARPED")
    moved = CENTRES[heard.argmax(dim=1).numpy()] / CENTRES[peak]
    assert 0.7 < moved[:, 0].min() < 0.9 and 1.1 < moved[:, 0].max() < 1.4
    assert (heard[:, :, 0] != heard[:, :, 100]).any(dim=1).float().mean() > 0.9
    ramp = torch.linspace(0, 1, 64)[None, :, None].repeat(200, 1, 120)
    heard = only(monkeypatch, ramp, "_WARPED")
    glide = (heard[:, :, 6:] - heard[:, :, :-6]).abs().max()
    assert glide > 0.02 and heard.diff(dim=2).abs().max() < 0.4 * glide, "sounds glide into each other"


def test_each_sound_has_a_colour_of_its_own_in_each_speaker(monkeypatch: pytest.MonkeyPatch) -> None:
    mel, sounds = torch.ones(100, 64, 80), np.full((100, 40), SYMBOL_INDEX["a"])
    sounds[:, 10:20] = sounds[:, 30:] = SYMBOL_INDEX["l"]
    sounds[:, 25:30] = SYMBOL_INDEX[SILENCE]
    for name in SHARES:
        monkeypatch.setattr(disguise, name, float(name == "_COLOURED"))
    heard = disguised(np.random.default_rng(0), mel, CENTRES, sounds)
    one, other, again = heard[:, :, 10], heard[:, :, 30], heard[:, :, 70]
    torch.testing.assert_close(one, heard[:, :, 45])
    torch.testing.assert_close(other, again)
    assert 0.05 < (one - other).std() < 0.3 and 0.05 < one.std(dim=0).mean() < 0.2
    torch.testing.assert_close(heard[:, :, 54], mel[:, :, 54], msg="silence has none")
    assert not disguised(np.random.default_rng(0), mel * 0, CENTRES, sounds).any()


def test_all_nasals_of_a_speaker_share_a_nose(monkeypatch: pytest.MonkeyPatch) -> None:
    mel, sounds = torch.ones(400, 64, 60), np.full((400, 30), SYMBOL_INDEX["a"])
    sounds[:, 10:20], sounds[:, 20:] = SYMBOL_INDEX["m"], SYMBOL_INDEX["n"]
    for name in SHARES:
        monkeypatch.setattr(disguise, name, float(name == "_COLOURED"))
    a, m, n = (disguised(np.random.default_rng(0), mel, CENTRES, sounds)[:, :, place] - 1 for place in (10, 30, 50))
    assert m.std() > 2 * a.std()
    assert (m - n).std() < 0.75 * m.std(), "what tells them apart remains"
    assert (m - a).std() > m.std(), "and tells nothing of the vowels"


def test_bands_become_as_loud_as_those_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet, loud = torch.rand(100, 64, 50) * 0.4, torch.rand(100, 64, 50) * 0.4 + 1.0
    heard = only(monkeypatch, torch.cat([quiet, loud]), "_MIXED").mean(dim=(1, 2))
    assert heard[:100].max() > 0.9 and heard[:100].min() == pytest.approx(0.2, abs=0.02)
    assert heard[100:].min() < 0.5 and heard.max() < 1.25


def test_peaks_grow_sharper_and_flatter_around_the_same_level(monkeypatch: pytest.MonkeyPatch) -> None:
    mel = (1 + 0.3 * torch.cos(torch.arange(64) * 0.5))[None, :, None].repeat(200, 1, 4)
    heard = only(monkeypatch, mel, "_SHAPED")
    contrast = heard.std(dim=1) / mel.std(dim=1)
    assert contrast.min() < 0.8 and contrast.max() > 1.25
    torch.testing.assert_close(heard.mean(dim=1), mel.mean(dim=1), atol=1e-4, rtol=0)


def test_transitions_grow_crisper_and_smoother(monkeypatch: pytest.MonkeyPatch) -> None:
    mel = torch.ones(200, 64, 40)
    mel[:, :, 20:] = 2
    heard = only(monkeypatch, mel, "_PACED")
    steepest = heard[:, 0].diff(dim=1).abs().amax(dim=1)
    assert steepest.min() < 0.6 and steepest.max() > 1.3
    torch.testing.assert_close(heard[:, :, :17], mel[:, :, :17])
    torch.testing.assert_close(heard[:, :, 24:], mel[:, :, 24:])


def test_bands_go_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = only(monkeypatch, torch.ones(200, 64, 4), "_MASKED")
    missing = (heard == 0).all(dim=2).sum(dim=1)
    assert missing.min() >= 1 and 8 < missing.max() <= 16
    assert ((heard == 0) | ((heard - 1).abs() < 1e-4)).all()


def test_some_stay_themselves_and_nobody_is_below_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    mel = torch.rand(300, 64, 20)
    heard = disguised(np.random.default_rng(0), mel, CENTRES, said(mel))
    assert heard.shape == mel.shape and heard.dtype == torch.float32 and heard.min() >= 0
    same = ((heard - mel).abs() < 1e-5).flatten(1).all(dim=1).float().mean()
    assert 0.01 < same < 0.12
    silent = only(monkeypatch, torch.zeros(4, 64, 20), *SHARES)
    assert not silent.any()


def test_the_same_seed_gives_the_same_speakers() -> None:
    mel = torch.rand(4, 64, 10)
    one, same, other = (disguised(np.random.default_rng(seed), mel, CENTRES, said(mel)) for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
