from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("soundfile", reason="training needs soundfile: pip install visavis[train]")

from engines.expression import LIP_NAMES
from training.speech import dataset, synthesizers
from training.speech.dataset import EVALUATION_VOICES, TRAINING_VOICES, Speech, generate, joined, taught
from training.speech.phonemes import SYMBOLS, Phone
from training.speech.synthesizers import Manner, Utterance
from training.speech.texts import held_out

TEXTS = {name: [f"{name} number {index} is my map" for index in range(60)] for name in ("en", "salad")}


def vowel_after_bilabial(rate: int = 22_050) -> Utterance:
    """0.3 s of silence (m is held), then a loud vowel for 0.3 s."""
    samples = np.concatenate([np.zeros(int(0.3 * rate)), np.sin(np.arange(int(0.3 * rate)))]).astype(np.float32)
    return Utterance(samples, rate, (Phone("m", 0.0, 0.3), Phone("a", 0.3, 0.6)))


def test_no_voice_both_trains_and_judges() -> None:
    assert not set(TRAINING_VOICES) & set(EVALUATION_VOICES.values())
    assert sum(TRAINING_VOICES.values()) == pytest.approx(1.0)
    assert not any(language.startswith("fr") for language in dataset.LANGUAGES)


@pytest.mark.parametrize("real", [False, True])
def test_lips_stay_with_the_sound_whatever_happens_to_it(real: bool) -> None:
    for seed in range(12):
        speech = taught(np.random.default_rng(seed), vowel_after_bilabial(), seed if real else None)
        assert len(speech.pcm) == speech.frames * 640 and len(speech.labels) == speech.frames * 2
        loud = np.abs(speech.pcm.reshape(-1, 640).astype(float)).mean(axis=1)
        onset = int(np.argmax(loud > 0.3 * loud.max()))
        ((start, end),) = speech.closures * 25
        assert abs(end - onset) <= 1.5, "the closure ends where the vowel starts"
        close = speech.lips[:, LIP_NAMES.index("mouthClose")]
        assert close[int((start + end) / 2)] > 240 and close[onset + 3] == 0
        if start > 10:
            assert not speech.lips[0].any(), "the pause before is at rest"
        assert SYMBOLS[speech.labels[2 * onset + 4]] == "a"


def test_a_person_sounds_the_same_whatever_they_say() -> None:
    hiss = np.random.default_rng(0).standard_normal(22_050).astype(np.float32) * 0.1
    said = Utterance(hiss, 22_050, (Phone("s", 0.0, 0.5), Phone("a", 0.5, 1.0)))

    def timbre(seed: int, person: int) -> np.ndarray:
        pcm = taught(np.random.default_rng(seed), said, person).pcm
        power = (np.abs(np.fft.rfft(pcm[-12_800:].reshape(-1, 512) * np.hanning(512))) ** 2).mean(axis=0)
        return np.log(power[8:200].reshape(-1, 8).mean(axis=1) + 1e3)

    people = range(12)
    again = np.mean([np.abs(timbre(1, person) - timbre(2, person)).mean() for person in people])
    others = np.mean([np.abs(timbre(1, person) - timbre(2, person + 1)).mean() for person in people])
    assert again < 0.6 * others


def test_turns_are_of_one_person(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, list[Manner]]] = []

    def say(voice: str, texts: list[str], manners: list[Manner]) -> list[Utterance | None]:
        asked.append((len(texts), manners))
        return [None, *[vowel_after_bilabial() for _ in texts[1:]]]

    monkeypatch.setattr(synthesizers, "say", say)
    monkeypatch.setattr(dataset, "_is_speech", lambda utterance: True)
    said = list(dataset.turns(np.random.default_rng(0), "flite:slt", TEXTS, 10, evaluation=False))
    assert {len(turn) for turn in said} == {dataset.TURN - 1}
    for count, manners in asked:
        assert count == len(manners) == dataset.TURN
        pitches = [manner.pitch for manner in manners if manner.pitch is not None]
        assert not pitches or max(pitches) < 1.15 * min(pitches)
    plain = list(dataset.turns(np.random.default_rng(0), "festival:ked_diphone", TEXTS, 2, evaluation=True))
    assert {len(turn) for turn in plain} == {1}


def test_joined_speech_keeps_its_closures() -> None:
    one = taught(np.random.default_rng(0), vowel_after_bilabial(), None)
    both = joined([one, one])
    assert both.frames == 2 * one.frames
    np.testing.assert_allclose(both.closures, np.concatenate([one.closures, one.closures + one.seconds]))
    assert joined([]).frames == 0


def test_the_beginning_of_speech_holds_whole_closures() -> None:
    one = taught(np.random.default_rng(0), vowel_after_bilabial(), None)
    both = joined([one, one])
    first = both.first(one.seconds + 0.04)
    assert first.frames == one.frames + 1 and len(first.pcm) == first.frames * 640
    np.testing.assert_array_equal(first.closures, one.closures)
    assert both.first(1e9).frames == both.frames


def test_speech_is_kept_in_files(tmp_path: Path) -> None:
    speech = taught(np.random.default_rng(0), vowel_after_bilabial(), None)
    speech.save(tmp_path / "shards" / "a.npz")
    again = Speech.load(tmp_path / "shards" / "a.npz")
    for name in ("pcm", "lips", "labels", "closures"):
        np.testing.assert_array_equal(getattr(again, name), getattr(speech, name))
    assert [path.name for path in (tmp_path / "shards").iterdir()] == ["a.npz"]


def test_absent_voices_are_left_out_aloud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesizers, "missing", lambda voice: True)
    with pytest.warns(UserWarning, match="flite:slt, festival:lp_diphone"):
        speech = generate(0, TEXTS, 10, {"flite:slt": 0.5, "festival:lp_diphone": 0.5}, evaluation=False)
    assert speech.frames == 0


def test_the_same_seed_gives_the_same_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, Manner]] = []

    def say(voice: str, texts: list[str], manners: list[Manner]) -> list[Utterance | None]:
        asked.extend((voice, text, manner) for text, manner in zip(texts, manners, strict=True))
        return [replace(vowel_after_bilabial(), phones=vowel_after_bilabial().phones * 2) for _ in texts]

    monkeypatch.setattr(synthesizers, "say", say)
    monkeypatch.setattr(synthesizers, "missing", lambda voice: False)
    shares = {"flite:slt": 0.5, "festival:ked_diphone": 0.5}
    first, second, other = (generate(seed, TEXTS, 6, shares, evaluation=False) for seed in (1, 1, 2))
    third = len(asked) // 3
    assert asked[:third] == asked[third : 2 * third] != asked[2 * third :]
    np.testing.assert_array_equal(first.pcm, second.pcm)
    np.testing.assert_array_equal(first.lips, second.lips)
    assert first.seconds >= 6 and len({voice for voice, _, _ in asked}) == 2
    assert first.pcm.shape != other.pcm.shape or (first.pcm != other.pcm).any()


def test_evaluation_speaks_held_out_texts_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, Manner]] = []

    def say(voice: str, texts: list[str], manners: list[Manner]) -> list[Utterance | None]:
        asked.extend(zip(texts, manners, strict=True))
        return [None, replace(vowel_after_bilabial(), phones=vowel_after_bilabial().phones * 2)]

    monkeypatch.setattr(synthesizers, "say", say)
    monkeypatch.setattr(synthesizers, "missing", lambda voice: False)
    generate(0, TEXTS, 4, {"flite:rms": 1.0}, evaluation=True)
    assert all(held_out(text) and manner == Manner() for text, manner in asked)
