# ruff: noqa: RUF001 (letters of the phonetic alphabet are what this is about)
"""The alphabets of the synthesisers, brought to one: symbols of the International Phonetic Alphabet, one per sound.

Diacritics, length and stress are dropped, rare sounds fold into the nearest one that looks the same on the lips.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

SILENCE: Final = "_"
VOWELS: Final = "aɑɒæɐʌəɜɚɝɛeɪiɨoɔʊuʉɯyøœʏɤɵ"
CONSONANTS: Final = "pbmfvʋβwɹɥʃʒɕʑʂʐsztdnlθðrɾjʎɲkɡŋxɣʁçhʔ"
SYMBOLS: Final = SILENCE + VOWELS + CONSONANTS
"""Every class of the phone classifier, by its index; 0 is silence."""
SYMBOL_INDEX: Final = {symbol: index for index, symbol in enumerate(SYMBOLS)}

BILABIALS: Final = "pbm"
LIKE_BILABIALS: Final = "nŋɲtdkɡlvfð"
"""What is easily taken for one by ear: the passage closes, though not at both lips."""
NASALS: Final = "nŋɲ"
"""Those of them that hum as /m/ does."""
KINDS: Final = (SILENCE, "aɑɒæɐʌ", "eɛɪiɨyøœʏ", "əɜɚɝɤɵoɔʊuʉɯ", "pbtdkɡʔ", "mnŋɲ", "fθsʃʂʁxçhɕvðzʒʑʐβɣ", "ʋwɹɥrɾjʎl")
"""All sounds by how they are made: the ear remembers of each kind how a voice makes it."""
CLOSED_SHARE: Final = {"p": 0.62, "b": 0.78, "m": 1.0}
"""The part of a bilabial during which the lips touch, unless the synthesiser tells; the rest is burst and breath."""

_FOLDED: Final = dict(zip("gʀɦχqcɟɫɭɻʈɖɳɬɽɧʝɸɱɴƞ", "ɡʁhxkkɡllɹtdnlɾʃjfvŋn", strict=True))

ARPABET: Final = {
    "aa": "ɑ", "ae": "æ", "ah": "ʌ", "ao": "ɔ", "aw": "aʊ", "ax": "ə", "axr": "ɚ", "ay": "aɪ", "b": "b", "ch": "tʃ",
    "d": "d", "dh": "ð", "dx": "ɾ", "eh": "ɛ", "el": "əl", "em": "m", "en": "n", "er": "ɚ", "ey": "eɪ", "f": "f",
    "g": "ɡ", "hh": "h", "hv": "h", "h": "h", "ih": "ɪ", "ix": "ɪ", "iy": "i", "jh": "dʒ", "k": "k", "l": "l",
    "m": "m", "n": "n", "nx": "n", "ng": "ŋ", "ow": "oʊ", "oy": "ɔɪ", "p": "p", "r": "ɹ", "s": "s", "sh": "ʃ",
    "t": "t", "th": "θ", "uh": "ʊ", "uw": "u", "v": "v", "w": "w", "y": "j", "z": "z", "zh": "ʒ",
}  # fmt: skip
"""English, as flite and festival write it."""
ITALIAN: Final = {
    "a": "a", "a1": "a", "e": "e", "e1": "ɛ", "i": "i", "i1": "i", "o": "o", "o1": "ɔ", "u": "u", "u1": "u", "E": "ɛ",
    "E1": "ɛ", "O": "ɔ", "O1": "ɔ", "p": "p", "b": "b", "m": "m", "f": "f", "v": "v", "t": "t", "d": "d", "n": "n",
    "N": "ŋ", "ng": "ŋ", "nf": "ɱ", "l": "l", "r": "r", "s": "s", "z": "z", "S": "ʃ", "k": "k", "g": "ɡ", "j": "j",
    "w": "w", "ts": "ts", "dz": "dz", "tS": "tʃ", "dZ": "dʒ", "JJ": "ɲ", "LL": "ʎ", "J": "ɲ", "L": "ʎ", "h": "h",
}  # fmt: skip
FINNISH: Final = {
    "a": "ɑ", "o": "o", "u": "u", "e": "e", "i": "i", "y": "y", "@": "ø", "7": "ø", "{": "æ", "ä": "æ", "ö": "ø",
    "N": "ŋ", "ng": "ŋ", "j": "j", "v": "ʋ", "h": "h", "r": "r", "p": "p", "b": "b", "m": "m", "f": "f", "t": "t",
    "d": "d", "n": "n", "l": "l", "s": "s", "z": "z", "k": "k", "g": "ɡ", "c": "k", "q": "k",
}  # fmt: skip
CZECH: Final = {
    "_": "ʔ", "a": "a", "e": "ɛ", "i": "ɪ", "o": "o", "u": "u", "a:": "a", "e:": "ɛ", "i:": "i", "o:": "o", "u:": "u",
    "y": "ɪ", "y:": "i", "ou": "oʊ", "au": "aʊ", "eu": "ɛʊ", "c": "ts", "c~": "tʃ", "s~": "ʃ", "z~": "ʒ", "r~": "r",
    "r~*": "r", "r*": "r", "n~": "ɲ", "n*": "ŋ", "d~": "ɟ", "t~": "c", "dz": "dz", "dz~": "dʒ", "ch": "x", "h": "ɦ",
    "j": "j", "v": "v", "w": "v", "g": "ɡ", "q": "k", "x": "ks", "p": "p", "b": "b", "m": "m", "f": "f", "t": "t",
    "d": "d", "n": "n", "l": "l", "s": "s", "z": "z", "k": "k", "r": "r",
}  # fmt: skip
RUSSIAN: Final = {
    "ii": "i", "yy": "ɨ", "uu": "u", "ee": "ɛ", "oo": "o", "aa": "a", "a": "ɐ", "e": "ɪ", "i": "ɪ", "y": "ɨ", "u": "ʊ",
    "ae": "ə", "ay": "ə", "ur": "ʊ", "p": "p", "pp": "p", "b": "b", "bb": "b", "t": "t", "tt": "t", "d": "d", "dd": "d",
    "k": "k", "kk": "k", "g": "ɡ", "gg": "ɡ", "c": "ts", "ch": "tɕ", "f": "f", "ff": "f", "v": "v", "vv": "v", "s": "s",
    "ss": "s", "z": "z", "zz": "z", "sh": "ʂ", "sch": "ɕ", "zh": "ʐ", "h": "x", "hh": "x", "m": "m", "mm": "m",
    "n": "n", "nn": "n", "l": "l", "ll": "l", "r": "r", "rr": "r", "j": "j",
}  # fmt: skip
CATALAN: Final = {
    "ax": "ə", "a": "a", "a1": "a", "e": "e", "e1": "e", "E": "ɛ", "E1": "ɛ", "i": "i", "i1": "i", "o": "o", "o1": "o",
    "O": "ɔ", "O1": "ɔ", "u": "u", "u1": "u", "b": "b", "d": "d", "f": "f", "g": "ɡ", "j": "j", "J": "ɲ", "k": "k",
    "l": "l", "L": "ʎ", "m": "m", "n": "n", "p": "p", "r": "ɾ", "rr": "r", "s": "s", "S": "ʃ", "t": "t", "w": "w",
    "z": "z", "Z": "ʒ",
}  # fmt: skip
HINDI: Final = {
    "a": "ə", "aa": "a", "ih": "ɪ", "iy": "i", "uh": "ʊ", "uw": "u", "eh": "e", "ee": "e", "ay": "ɛ", "oh": "o",
    "oo": "ɔ", "aw": "ɔ", "k": "k", "kh": "k", "g": "ɡ", "gh": "ɡ", "ch": "tʃ", "j": "dʒ", "T": "t", "D": "d",
    "N": "n", "td": "t", "th": "t", "tth": "t", "dh": "d", "ddh": "d", "n": "n", "p": "p", "f": "f", "b": "b",
    "bh": "b", "m": "m", "y": "j", "r": "r", "R": "r", "l": "l", "L": "l", "v": "ʋ", "w": "ʋ", "s": "s", "sh": "ʃ",
    "zh": "ʒ", "ksh": "kʃ", "h": "h",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Phone:
    """One sound, `start` to `end` in seconds; `release` is when a bilabial's closure opens, where that is known."""

    symbol: str
    start: float
    end: float
    release: float | None = None

    def moved(self, seconds: float, stretch: float = 1.0) -> "Phone":
        """The same sound after its time was stretched and then shifted."""
        release = None if self.release is None else self.release * stretch + seconds
        return Phone(self.symbol, self.start * stretch + seconds, self.end * stretch + seconds, release)


def closure(phone: Phone) -> tuple[float, float] | None:
    """When the lips touch for this sound (start and end in seconds); None if it is not bilabial."""
    if phone.symbol not in CLOSED_SHARE:
        return None
    if phone.release is not None:
        return phone.start, phone.release
    return phone.start, phone.start + CLOSED_SHARE[phone.symbol] * (phone.end - phone.start)


def symbols(ipa: str) -> list[str]:
    """The sounds in a piece of IPA, folded to `SYMBOLS`; stress, length and diacritics vanish."""
    folded = (_FOLDED.get(character, character) for character in ipa)
    return [symbol for symbol in folded if symbol != SILENCE and symbol in SYMBOL_INDEX]


def phones(segments: Iterable[tuple[str, float, float]]) -> list[Phone]:
    """One `Phone` per sound from segments (IPA, start, end): affricates and diphthongs are split, vowels longer.

    A segment without a known sound is silence; one shorter than 4 ms is dropped.
    """
    result = []
    for ipa, start, end in segments:
        if end - start < 0.004:
            continue
        sounds = symbols(ipa) or [SILENCE]
        shares = [1.0 if sound in VOWELS else 0.6 for sound in sounds]
        scale = (end - start) / sum(shares)
        for sound, share in zip(sounds, shares, strict=True):
            result.append(Phone(sound, start, start + share * scale))
            start += share * scale
    return result
