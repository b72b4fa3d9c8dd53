# ruff: noqa: RUF001
import pytest

from training.speech.phonemes import (
    ARPABET,
    CATALAN,
    CONSONANTS,
    CZECH,
    FINNISH,
    HINDI,
    ITALIAN,
    RUSSIAN,
    SYMBOLS,
    VOWELS,
    Phone,
    closure,
    phones,
    symbols,
)


def test_symbols_are_distinct() -> None:
    assert len(set(SYMBOLS)) == len(SYMBOLS) == 1 + len(VOWELS) + len(CONSONANTS)


@pytest.mark.parametrize("alphabet", [ARPABET, ITALIAN, FINNISH, CZECH, RUSSIAN, CATALAN, HINDI])
def test_every_letter_of_the_alphabets_is_a_known_sound(alphabet: dict[str, str]) -> None:
    assert [letter for letter, ipa in alphabet.items() if len(symbols(ipa)) != len(ipa)] == []


def test_stress_length_and_diacritics_vanish_and_rare_sounds_fold() -> None:
    assert symbols("ˈaɪː") == ["a", "ɪ"]
    assert symbols("gˠ") == symbols("ɡ")
    assert symbols("_|") == []


def test_a_diphthong_is_two_sounds_that_fill_its_time() -> None:
    first, second = phones([("aʊ", 1.0, 1.2)])
    assert (first.symbol, second.symbol) == ("a", "ʊ")
    assert first.start == 1.0 and first.end == second.start == pytest.approx(1.1) and second.end == pytest.approx(1.2)


def test_the_unknown_is_silent_and_the_instant_dropped() -> None:
    assert [phone.symbol for phone in phones([("#", 0, 0.1), ("a", 0.1, 0.102), ("m", 0.1, 0.2)])] == ["_", "m"]


def test_closures_of_bilabials() -> None:
    assert closure(Phone("a", 0, 1)) is None
    assert closure(Phone("m", 1, 2)) == (1, 2)
    assert closure(Phone("p", 1, 2)) == pytest.approx((1, 1.62))
    assert closure(Phone("p", 1, 2, release=1.1)) == (1, 1.1)


def test_a_sound_moves_with_its_release() -> None:
    assert Phone("p", 1.0, 2.0, 1.5).moved(0.5, 2.0) == Phone("p", 2.5, 4.5, 3.5)
    assert Phone("a", 1.0, 2.0).moved(1.0) == Phone("a", 2.0, 3.0)
