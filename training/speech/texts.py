"""Sentences to speak, without internet: the message catalogues of the operating system, and random English words.

Catalogues (/usr/share/locale/*/LC_MESSAGES/*.mo) give clean sentences in many languages; salads of words from
festival's copy of the CMU dictionary give English sound sequences that no catalogue has. Which texts exist depends on
the installed packages; which of them are held out depends on the text alone.
"""

import gettext
import hashlib
import json
import re
from pathlib import Path
from typing import Final

import numpy as np

LOCALES: Final = {
    "de": "de", "es": "es", "it": "it", "fr": "fr", "pl": "pl", "pt-br": "pt_BR", "nl": "nl", "sv": "sv", "ru": "ru",
    "tr": "tr", "fi": "fi", "cs": "cs", "hu": "hu", "ro": "ro", "id": "id", "ca": "ca", "hi": "hi",
}  # fmt: skip
"""Language of espeak-ng to folder of the catalogues."""
SALAD: Final = "salad"
NONSENSE: Final = "nonsense"
_SALADS: Final = 24_000
_NONSENSES: Final = 8_000
_CATALOGUES: Final = Path("/usr/share/locale")
_DICTIONARY: Final = Path("/usr/share/festival/dicts/cmu/cmudict-0.4.out")
_COMMON: Final = [
    "the", "a", "of", "to", "in", "for", "and", "with", "my", "your", "you", "we", "is", "are", "was", "have", "will",
    "can", "from", "about", "but", "so", "that", "this", "it", "they", "he", "she", "me", "him", "her", "me", "up",
    "be", "by", "because", "more", "people", "maybe", "please", "remember", "before", "problem", "map", "number",
    "member", "week", "move", "make", "become", "above", "room", "time", "home", "welcome", "public", "possible",
    "important", "been", "seen", "some", "none", "then", "them", "than", "thumb",
]  # fmt: skip

_NONSENSE_FROM: Final = {"ru": 2.0}
"""One sentence in eight is nonsense, except in a language that does not read Latin letters."""
_DEVANAGARI: Final = re.compile("[\u0900-\u0963]")
_CONSONANTS: Final = dict(zip("mnpbtdvfslk", "मनपबटडवफसलक", strict=True))
_VOWEL_SIGNS: Final = {"a": "ा", "e": "े", "i": "ि", "o": "ो", "u": "ु", "": "्"}

Texts = dict[str, list[str]]


def clean(text: str) -> str | None:
    """The text as one line without menu marks, or None if it is not a plain sentence of 3 to 18 words."""
    line = re.sub(r"\s+", " ", re.sub(r"[_&]", "", text)).strip()
    words = line.split()
    if len(line) < 14 or not 3 <= len(words) <= 18 or max(map(len, words)) > 18:
        return None
    letters = _DEVANAGARI.sub("", line)  # its vowel signs are no letters to \w
    if re.search(r"[^\w\s,.?!;:'’-]|\d", letters) or any(word.isupper() and len(word) > 1 for word in words):  # noqa: RUF001
        return None
    return line


def held_out(text: str) -> bool:
    """Whether this text is kept for evaluation: one in eight, by its hash."""
    return int(hashlib.md5(text.encode()).hexdigest(), 16) % 8 == 0


Words = list[tuple[str, tuple[str, ...]]]
"""Each word with its sounds in the dictionary's alphabet."""
_CONFUSED: Final = (
    lambda sounds: sounds[-1] in "pbm",  # the closure that no burst ends
    lambda sounds: sounds[0] in "pb",  # the closure that a pause hides
    lambda sounds: "m" in sounds,
    lambda sounds: "n" in sounds and "m" not in sounds,
    lambda sounds: "dh" in sounds or "v" in sounds,
    lambda sounds: "w" in sounds or "f" in sounds,
    lambda sounds: sounds[-1] in "nm",
)
"""Kinds of words that hold what a closure of the lips is taken for, or what it is missed in."""


def _words() -> Words:
    if not _DICTIONARY.exists():
        return [(word, tuple(word)) for word in _COMMON]
    lines = _DICTIONARY.read_text(encoding="latin1").splitlines()
    found = (re.match(r'\("([a-z]{2,11})" \S+ (.*)', line) for line in lines)
    return [(match[1], tuple(re.findall(r"[a-z]+", match[2]))) for match in found if match]


def salad(rng: np.random.Generator, words: Words, pools: list[list[str]]) -> str:
    """Five to twelve words, half of them from the pools of what sounds alike; a comma now and then makes a pause."""
    count = int(rng.integers(5, 13))
    chosen = []
    for _ in range(count):
        kind = rng.random()
        if kind < 0.3:
            chosen.append(_COMMON[rng.integers(len(_COMMON))])
        elif kind < 0.55:
            chosen.append(words[rng.integers(len(words))][0])
        else:
            pool = pools[rng.integers(len(pools))] or _COMMON
            chosen.append(pool[rng.integers(len(pool))])
        if rng.random() < 0.1:
            chosen[-1] += ","
    return " ".join(chosen).rstrip(",") + "."


def nonsense(rng: np.random.Generator) -> str:
    """Three to seven words that no language has, of syllables that all have: lips against tongue, before any vowel."""
    words = []
    for _ in range(int(rng.integers(3, 8))):
        syllables = [
            "mmmnnnppbbtdvfslk"[rng.integers(17)] + "aeiou"[rng.integers(5)] for _ in range(int(rng.integers(1, 4)))
        ]
        words.append("".join(syllables) + ("mnpt"[rng.integers(4)] if rng.random() < 0.3 else ""))
        if rng.random() < 0.12:
            words[-1] += ","
    return " ".join(words).rstrip(",") + "."


def in_devanagari(text: str) -> str:
    """`nonsense` as Hindi writes it: every consonant with the sign of its vowel, or of having none."""
    return re.sub("([a-z])([aeiou]?)", lambda pair: _CONSONANTS[pair[1]] + _VOWEL_SIGNS[pair[2]], text)


def collect() -> Texts:
    """Sentences by language, sorted; English is under "en" (messages) and `SALAD`, what anybody speaks `NONSENSE`."""
    found: dict[str, set[str]] = {language: set() for language in LOCALES}
    english: set[str] = set()
    for language, locale in LOCALES.items():
        for file in sorted(_CATALOGUES.glob(f"{locale}/LC_MESSAGES/*.mo")):
            try:
                with file.open("rb") as stream:
                    messages: dict[object, object] = vars(gettext.GNUTranslations(stream))["_catalog"]
            except (OSError, UnicodeDecodeError, ValueError):  # not a catalogue of text
                continue
            for key, value in messages.items():
                if isinstance(key, str) and isinstance(value, str):
                    found[language].add(clean(value) or "")
                    english.add(clean(key) or "")
    rng = np.random.default_rng(1)
    words = _words()
    texts = {language: sorted(lines - {""}) for language, lines in found.items()}
    texts["en"] = sorted(english - {""})
    pools = [[word for word, sounds in words if sounds and alike(sounds)] for alike in _CONFUSED]
    texts[SALAD] = [salad(rng, words, pools) for _ in range(_SALADS)]
    texts[NONSENSE] = [nonsense(rng) for _ in range(_NONSENSES)]
    return texts


def load(path: Path) -> Texts:
    """The collection kept at this path, gathered on the first call."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(collect(), ensure_ascii=False), encoding="utf-8")
        partial.replace(path)
    texts: Texts = json.loads(path.read_text(encoding="utf-8"))
    return texts


def pick(rng: np.random.Generator, texts: Texts, language: str, *, evaluation: bool) -> str:
    """A sentence in this language (of espeak-ng, such as "en-gb"), from the held-out ones or from the others."""
    base = {"en": "en", "es": "es"}.get(language[:2], language)
    while True:
        kind = rng.random()
        pool = texts[SALAD] if base == "en" and kind < 0.6 else texts[base]
        if not evaluation and kind > _NONSENSE_FROM.get(base, 0.875) and texts.get(NONSENSE):
            pool = texts[NONSENSE]
        if not pool:
            raise ValueError(f"no sentences in {language!r}: install message catalogues (packages with translations)")
        text = pool[rng.integers(len(pool))]
        if held_out(text) == evaluation:
            return in_devanagari(text) if base == "hi" and pool is texts[NONSENSE] else text
