from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("soundfile", reason="training needs soundfile: pip install visavis[train]")
torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install visavis[train]")

from torch import Tensor  # noqa: E402

from engines.pipeline import WEIGHTS  # noqa: E402
from networks.compact_audio import NasalDoubt  # noqa: E402
from training.evaluate_audio import CLOSE, Speaker, closures_seen, samples  # noqa: E402
from training.fit_audio import AudioModel, Lessons, load_model  # noqa: E402
from training.fit_doubt import NONE, OTHER, M, fit, heard, hums  # noqa: E402
from training.speech.dataset import EVALUATION_VOICES, Speech, joined, taught  # noqa: E402
from training.speech.phonemes import SYMBOL_INDEX  # noqa: E402
from training.speech.synthesizers import Manner, missing, say  # noqa: E402

CHECKPOINT = Path(__file__).parents[1] / "training/checkpoints/audio.pt"


def spelt(sounds: str) -> Tensor:
    """Four features of each sound: ``(1, n)``."""
    return torch.tensor([[SYMBOL_INDEX[sound] for sound in sounds for _ in range(4)]])


def test_nasals_count_after_vowels_and_what_sounds_like_them() -> None:
    kinds = {sounds: hums(spelt(sounds))[0].tolist() for sounds in ("sans", "sams", "snas", "amna", "_m_n")}
    assert kinds["sans"] == [NONE, NONE, NONE, OTHER, OTHER, OTHER, OTHER, NONE], "and the frames beside them"
    assert kinds["sams"] == [NONE, NONE, NONE, M, M, M, M, NONE]
    assert kinds["snas"] == [NONE] * 8 and kinds["_m_n"] == [NONE] * 8
    assert kinds["amna"] == [NONE, M, M, M, OTHER, OTHER, OTHER, NONE], "the second stands in the place of the first"


def test_every_view_hears_its_own_frame() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    sounds = np.repeat(rng.choice([SYMBOL_INDEX[sound] for sound in "amn_"], 60), 4).astype(np.uint8)
    pcm = rng.integers(-3000, 3000, 120 * 640).astype(np.int16)
    shard = Speech(pcm, np.zeros((120, 9), np.uint8), sounds, np.zeros((0, 2)))
    lessons = Lessons([shard], seed=0, items=1, frames=40)
    features, wanted = heard(AudioModel().eval(), lessons, 1)
    expected = hums(lessons[0].labels)[0]
    assert features.shape == (36, 192) and wanted.shape == (36, 3)
    for view, lookahead in enumerate((0, 2, 4)):
        assert wanted[:, view].tolist() == expected[4 - lookahead + 4 : 44 - lookahead].tolist()


def test_it_learns_to_tell_nasals() -> None:
    torch.manual_seed(0)
    features = torch.randn(3000, 4)
    kinds = features[:, :3].argmax(dim=1)
    doubt = NasalDoubt(4)
    assert fit(doubt, features, kinds[:, None].expand(-1, 3), epochs=120, seed=0) < 0.5
    with torch.no_grad():
        assert (doubt.logits(features[None])[0, :, 1].argmax(dim=1) == kinds).float().mean() > 0.9


def test_the_shipped_checkpoint_has_learned() -> None:
    model, record = load_model(CHECKPOINT)
    assert model.features.doubt.hum.weight.any() and record["doubt"]["loss"] < 0.4


def test_a_strange_voice_whose_n_sounds_like_m_is_found_out() -> None:
    """As it comes from the shipped networks, frame by frame: far fewer false closures, nearly as many true ones."""
    voice = EVALUATION_VOICES["ked"]
    if missing(voice):
        pytest.skip(f"{voice} is not installed")
    lines = [
        "Many people remember a number of lemons, an onion, ten pennies and a machine in Vienna.",
        "Nine men and seven women began to listen when the engine and the fan had been mended.",
        "The evening train was late again, and nobody in the station knew when another one came.",
        "In winter the wind and the rain often bring down an antenna in the garden behind the inn.",
        "Invite any friend who can mention one important thing that happened between ten and nine.",
    ] * 3
    rng = np.random.default_rng(0)
    speech = joined([taught(rng, said, None) for said in say(voice, lines, [Manner()] * len(lines)) if said])
    speaker = Speaker(WEIGHTS)
    features = speaker.hear(samples(speech))
    believed = features.copy()
    believed[:, :, -3:] = 0.0
    recall, false = closures_seen(speaker.speak(features, 80)[:, CLOSE], speech.closures)
    before, often = closures_seen(speaker.speak(believed, 80)[:, CLOSE], speech.closures)
    assert features[-250:, :, -3:].max() > 1.0
    assert false < 0.8 * often and recall > before - 0.08
