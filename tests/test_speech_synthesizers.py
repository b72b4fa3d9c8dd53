import numpy as np
import pytest

pytest.importorskip("soundfile", reason="training needs soundfile: pip install visavis[train]")

from training.speech.phonemes import VOWELS, closure
from training.speech.synthesizers import Manner, SynthesisError, Utterance, missing, say

VOICES = ("espeak:en-us", "flite:slt", "festival:kal_diphone")


def speak(voice: str, text: str, manner: Manner | None = None) -> Utterance:
    if missing(voice):
        pytest.skip(f"{voice} is not installed here")
    (utterance,) = say(voice, [text], [manner or Manner()])
    assert utterance is not None
    return utterance


def loudness(utterance: Utterance, start: float, end: float) -> float:
    piece = utterance.samples[int(start * utterance.rate) : int(end * utterance.rate)]
    return float(np.sqrt(np.mean(piece**2)))


@pytest.mark.parametrize("voice", VOICES)
def test_sounds_follow_each_other_to_the_end(voice: str) -> None:
    utterance = speak(voice, "My big boss may buy a map.")
    assert utterance.samples.dtype == np.float32 and np.abs(utterance.samples).max() <= 1.0
    assert [phone.symbol for phone in utterance.phones if phone.symbol in "pbm"] == ["m", "b", "b", "m", "b", "m", "p"]
    starts = [phone.start for phone in utterance.phones]
    assert starts == sorted(starts)
    assert abs(utterance.phones[-1].end - len(utterance.samples) / utterance.rate) < 0.1


@pytest.mark.parametrize("voice", VOICES)
def test_a_p_is_silent_where_its_lips_are_closed(voice: str) -> None:
    """The timings are those of the sound: between two vowels, the closure is far quieter than either."""
    utterance = speak(voice, "My papa, a happy papa, has a paper.")
    quieter = 0
    stops = [index for index, phone in enumerate(utterance.phones) if phone.symbol == "p"]
    inner = [i for i in stops if utterance.phones[i - 1].symbol in VOWELS and utterance.phones[i + 1].symbol in VOWELS]
    for index in inner:
        start, end = closure(utterance.phones[index]) or (0, 0)
        middle, half = (start + end) / 2, (end - start) / 4
        around = [loudness(utterance, p.start, p.end) for p in utterance.phones[index - 1 : index + 2 : 2]]
        quieter += loudness(utterance, middle - half, middle + half) < 0.35 * min(around)
    assert len(inner) >= 4 and quieter >= 0.7 * len(inner)


@pytest.mark.parametrize("voice", VOICES)
def test_tempo_stretches_speech(voice: str) -> None:
    quick, slow = (speak(voice, "People welcome the public.", Manner(tempo)) for tempo in (0.8, 1.3))
    assert 1.3 < len(slow.samples) / len(quick.samples) < 2.0


def test_pitch_moves_the_voice() -> None:
    def period(utterance: Utterance) -> float:
        """Seconds of the strongest repetition between 50 and 500 Hz."""
        power = np.abs(np.fft.rfft(utterance.samples, 2 * len(utterance.samples))) ** 2
        shortest, longest = utterance.rate // 500, utterance.rate // 50
        return float(np.argmax(np.fft.irfft(power)[shortest:longest]) + shortest) / utterance.rate

    low, high = (speak("espeak:en-us", "We may go home now.", Manner(1.0, pitch, 0.0)) for pitch in (0.5, 1.8))
    assert period(low) > 1.2 * period(high)


def test_unknown_voices_are_refused() -> None:
    with pytest.raises(SynthesisError, match="use espeak:, flite: or festival:"):
        say("robot:one", ["Hello my friend."])
    if not missing("espeak:en-us"):
        with pytest.raises(SynthesisError, match="no-such-voice"):
            say("espeak:no-such-voice", ["Hello my friend."])
    assert missing("flite:no-such-voice") and missing("festival:no_such_voice")
