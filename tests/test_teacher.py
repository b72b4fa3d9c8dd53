import numpy as np
import pytest

from engines.expression import LIP_NAMES, FloatArray
from training.speech import teacher
from training.speech.phonemes import CONSONANTS, SYMBOLS, VOWELS, Phone, phones

JAW, CLOSE, PUCKER, ROLL, PART, TONGUE = (
    LIP_NAMES.index(name)
    for name in ("jawOpen", "mouthClose", "mouthPucker", "mouthRollLower", "mouthPart", "tongueUp")
)


def spoken(ipa: str, each: float = 0.12) -> FloatArray:
    """Lips for half a second of silence, these sounds, and half a second of silence."""
    segments = [("", 0.0, 0.5)] + [(s, 0.5 + i * each, 0.5 + (i + 1) * each) for i, s in enumerate(ipa)]
    end = segments[-1][2]
    return teacher.lips(teacher.articulation(phones([*segments, ("", end, end + 0.5)]), end + 0.5))


def middle(lips: FloatArray, index: int, each: float = 0.12) -> FloatArray:
    """The frame in the middle of the sound of this number."""
    return lips[int((0.5 + (index + 0.5) * each) * 25)]


def test_every_sound_is_taught() -> None:
    assert set(teacher.TARGETS) == set(SYMBOLS)
    assert set(teacher.STRENGTH) == set(VOWELS + CONSONANTS)


def test_silence_is_exactly_at_rest() -> None:
    lips = teacher.lips(teacher.articulation([Phone("_", 0.0, 2.0)], 2.0))
    assert lips.shape == (50, 9) and lips.dtype == np.float32
    assert np.abs(lips).max() < 1e-6


@pytest.mark.parametrize("bilabial", "pbm")
def test_a_bilabial_presses_the_lips(bilabial: str) -> None:
    lips = spoken(f"a{bilabial}a", each=0.2)
    closed = lips[lips[:, CLOSE].argmax()]
    assert closed[CLOSE] > 0.95 and closed[PART] == 0.0 and closed[JAW] < 0.1
    for vowel in (0, 2):
        frame = middle(lips, vowel, each=0.2)
        assert frame[JAW] > 0.4 and frame[PART] > 0.75 and frame[CLOSE] == 0.0


def test_a_closure_shorter_than_a_frame_still_shows() -> None:
    for shift in np.arange(0, 0.04, 0.005):
        short = Phone("p", 0.5 + shift, 0.56 + shift, release=0.52 + shift)
        before, after = Phone("a", 0.3, short.start), Phone("a", short.end, 0.8)
        lips = teacher.lips(teacher.articulation([before, short, after], 0.8))
        assert lips[:, CLOSE].max() > 0.5


def test_vowels_open_and_round() -> None:
    opening = {vowel: middle(spoken(f"t{vowel}t"), 1) for vowel in "aiu"}
    assert opening["a"][JAW] > opening["i"][JAW] + 0.2
    assert opening["u"][PUCKER] > opening["i"][PUCKER] + 0.4
    assert opening["i"][LIP_NAMES.index("mouthStretch")] > opening["u"][LIP_NAMES.index("mouthStretch")] + 0.2


def test_f_brings_the_lip_to_the_teeth_and_l_the_tongue() -> None:
    assert middle(spoken("afa"), 1)[ROLL] > 0.8
    assert middle(spoken("ala"), 1)[TONGUE] > 0.7
    assert middle(spoken("aka"), 1)[[ROLL, TONGUE]].max() < 0.3


def test_rounding_starts_before_its_vowel() -> None:
    early = {vowel: middle(spoken(f"k{vowel}"), 0)[PUCKER] for vowel in "iu"}
    assert early["u"] > early["i"] + 0.1


def test_lips_stay_in_range_for_any_sequence() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        lips = spoken("".join(rng.choice(list(SYMBOLS), 15)), each=rng.uniform(0.02, 0.2))
        assert np.isfinite(lips).all() and lips.min() >= 0.0 and lips.max() <= 1.0


def test_labels_name_the_sound_of_each_20_ms() -> None:
    labels = teacher.labels([Phone("_", 0.0, 0.1), Phone("p", 0.1, 0.2), Phone("a", 0.2, 0.3)], 0.3)
    assert "".join(SYMBOLS[label] for label in labels) == "_____pppppaaaaa"
