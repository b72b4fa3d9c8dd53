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
    "tr": "tr", "fi": "fi", "cs": "cs", "hu": "hu", "ro": "ro", "id": "id",
}  # fmt: skip
"""Language of espeak-ng to folder of the catalogues."""
SALAD: Final = "salad"
_SALADS: Final = 20_000
_CATALOGUES: Final = Path("/usr/share/locale")
_DICTIONARY: Final = Path("/usr/share/festival/dicts/cmu/cmudict-0.4.out")
_COMMON: Final = [
    "the", "a", "of", "to", "in", "for", "and", "with", "my", "your", "you", "we", "is", "are", "was", "have", "will",
    "can", "from", "about", "but", "so", "that", "this", "it", "they", "he", "she", "me", "him", "her", "me", "up",
    "be", "by", "because", "more", "people", "maybe", "please", "remember", "before", "problem", "map", "number",
    "member", "week", "move", "make", "become", "above", "room", "time", "home", "welcome", "public", "possible",
    "important", "been", "seen", "some", "none", "then", "them", "than", "thumb",
]  # fmt: skip

Texts = dict[str, list[str]]


def clean(text: str) -> str | None:
    """The text as one line without menu marks, or None if it is not a plain sentence of 3 to 18 words."""
    line = re.sub(r"\s+", " ", re.sub(r"[_&]", "", text)).strip()
    words = line.split()
    if len(line) < 14 or not 3 <= len(words) <= 18 or max(map(len, words)) > 18:
        return None
    if re.search(r"[^\w\s,.?!;:'’-]|\d", line) or any(word.isupper() and len(word) > 1 for word in words):  # noqa: RUF001
        return None
    return line


def held_out(text: str) -> bool:
    """Whether this text is kept for evaluation: one in eight, by its hash."""
    return int(hashlib.md5(text.encode()).hexdigest(), 16) % 8 == 0


def _words() -> list[str]:
    if not _DICTIONARY.exists():
        return list(_COMMON)
    lines = _DICTIONARY.read_text(encoding="latin1").splitlines()
    found = (re.match(r'\("([a-z]{2,11})" ', line) for line in lines)
    return [match[1] for match in found if match]


def salad(rng: np.random.Generator, words: list[str]) -> str:
    """Five to twelve words; every second sentence starts with p, b or m, whose closure a pause hides from the ear."""
    count = int(rng.integers(5, 13))
    chosen = []
    for _ in range(count):
        pool = _COMMON if rng.random() < 0.5 else words
        chosen.append(pool[rng.integers(len(pool))])
    if rng.random() < 0.5:
        lips = [word for word in (words[rng.integers(len(words))] for _ in range(24)) if word[0] in "pbm"]
        chosen[:0] = lips[:1]
    return " ".join(chosen) + "."


def collect() -> Texts:
    """Sentences by language, sorted; English is under "en" (messages) and `SALAD`."""
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
    texts[SALAD] = [salad(rng, words) for _ in range(_SALADS)]
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
        pool = texts[SALAD] if base == "en" and rng.random() < 0.5 else texts[base]
        if not pool:
            raise ValueError(f"no sentences in {language!r}: install message catalogues (packages with translations)")
        text = pool[rng.integers(len(pool))]
        if held_out(text) == evaluation:
            return text
