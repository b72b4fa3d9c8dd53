import numpy as np
import pytest

pytest.importorskip("soundfile", reason="training needs soundfile: pip install visavis[train]")

from training.speech.phonemes import SILENCE, Phone, closure
from training.speech.synthesizers import Utterance
from training.speech.timing import halted, swayed, unreleased

RATE = 16_000


def pop() -> Utterance:
    """a, p (closure of 60 ms, burst of 40 ms), a, p, each 0.1 s or more; loud wherever the lips are open."""
    phones = (Phone("a", 0, 0.2), Phone("p", 0.2, 0.3, 0.26), Phone("a", 0.3, 0.5), Phone("p", 0.5, 0.6, 0.56))
    samples = np.full(int(0.7 * RATE), 0.5, np.float32)
    for start, end in ((0.2, 0.26), (0.5, 0.56), (0.6, 0.7)):
        samples[int(start * RATE) : int(end * RATE)] = 0.0
    return Utterance(samples, RATE, phones)


def test_sounds_sway_with_their_samples() -> None:
    for seed in range(8):
        speech = swayed(np.random.default_rng(seed), pop(), depth=0.3)
        for phone in (phone for phone in speech.phones if phone.symbol == "p"):
            start, end = closure(phone) or (0, 0)
            assert not speech.samples[int(start * RATE) + 2 : int(end * RATE) - 2].any()
            assert speech.samples[int(start * RATE) - 20] > 0.4
    assert abs(len(speech.samples) / RATE - 0.7) > 0.001, "the length changes"


def test_a_held_stop_follows_a_pause_and_bursts_out_of_silence() -> None:
    speech = halted(np.random.default_rng(0), pop(), chance=1.0)
    assert [phone.symbol for phone in speech.phones] == ["a", SILENCE, "p", "a", SILENCE, "p"]
    ends = [phone.end for phone in speech.phones]
    assert [phone.start for phone in speech.phones][1:] == pytest.approx(ends[:-1])
    for pause, stop in (speech.phones[1:3], speech.phones[4:6]):
        assert 0.1 <= pause.end - pause.start <= 0.7
        quiet = speech.samples[int(pause.start * RATE) + 2 : int((stop.release or 0) * RATE) - 2]
        assert not quiet.any(), "silent from the end of the vowel to the burst"
        assert speech.samples[int((stop.release or 0) * RATE) + 2] == 0.5
    extra = sum(phone.end - phone.start for phone in speech.phones if phone.symbol == SILENCE)
    assert len(speech.samples) / RATE == pytest.approx(0.7 + extra, abs=1e-3)


def test_no_chance_changes_nothing() -> None:
    for change in (halted, unreleased):
        same = change(np.random.default_rng(0), pop(), chance=0.0)
        np.testing.assert_array_equal(same.samples, pop().samples)
        assert same.phones == pop().phones


def test_an_unreleased_stop_ends_in_silence_and_stays_closed() -> None:
    speech = unreleased(np.random.default_rng(0), pop(), chance=1.0)
    assert not speech.samples[int(0.5 * RATE) :].any()
    assert speech.samples[int(0.27 * RATE)] == 0.5, "only the last one"
    assert closure(speech.phones[-1]) == (0.5, 0.56)
