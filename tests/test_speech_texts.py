import json
import re
from pathlib import Path

import numpy as np
import pytest

from training.speech import texts
from training.speech.texts import NONSENSE, SALAD, clean, held_out, nonsense, pick, salad


def test_only_plain_sentences_are_kept() -> None:
    assert clean("_Open the  file\nof my choice") == "Open the file of my choice"
    assert clean("Two words") is None
    assert clean("Cannot open %s for reading now") is None
    assert clean("The HTTP server is not ready") is None
    assert clean("Copy 3 files to the folder") is None
    assert clean("फ़ाइल नहीं मिली, फिर कोशिश करें") == "फ़ाइल नहीं मिली, फिर कोशिश करें"
    assert clean("कतार में ३ फ़ाइलें हैं") is None


def test_one_text_in_eight_is_held_out_by_its_words() -> None:
    lines = [f"sentence number {index}" for index in range(4000)]
    share = np.mean([held_out(line) for line in lines])
    assert 0.10 < share < 0.15
    assert [held_out(line) for line in lines] == [held_out(line) for line in lines]


def test_salads_are_dressed_with_what_sounds_alike() -> None:
    rng = np.random.default_rng(0)
    words = [(word, tuple(word)) for word in ["piano", "button", "cat", "dog", "tree"]]
    lines = [salad(rng, words, [["stop", "map"], []]) for _ in range(400)]
    assert all(5 <= len(line.split()) <= 13 and line.endswith(".") and not line.endswith(",.") for line in lines)
    assert np.mean(["stop" in line or "map" in line for line in lines]) > 0.5
    assert np.mean(["," in line for line in lines]) > 0.3


def test_nonsense_is_of_plain_syllables() -> None:
    lines = [nonsense(np.random.default_rng(seed)) for seed in range(200)]
    assert all(re.fullmatch(r"[a-z ,]+\.", line) for line in lines)
    assert np.mean([bool(re.search("[pbm]", line)) for line in lines]) > 0.9


def test_hindi_nonsense_is_written_as_hindi() -> None:
    assert texts.in_devanagari("mana nimep, so.") == "माना निमेप्, सो."
    collection = {"hi": ["नहीं"], NONSENSE: ["mana"], SALAD: []}
    rng = np.random.default_rng(0)
    assert not held_out("mana") and not held_out("नहीं")
    assert {pick(rng, collection, "hi", evaluation=False) for _ in range(100)} == {"नहीं", "माना"}


def test_nonsense_never_judges() -> None:
    lines = [f"sentence number {index}" for index in range(200)]
    collection = {"it": lines, NONSENSE: ["mana nama"], SALAD: []}
    rng = np.random.default_rng(0)
    assert all(pick(rng, collection, "it", evaluation=True) != "mana nama" for _ in range(100))
    if not held_out("mana nama"):
        assert any(pick(rng, collection, "it", evaluation=False) == "mana nama" for _ in range(100))


def test_picks_never_cross_the_divide() -> None:
    lines = [f"sentence number {index}" for index in range(200)]
    collection = {"de": lines, "en": lines, SALAD: lines}
    rng = np.random.default_rng(0)
    for language in ("de", "en-gb"):
        assert not any(held_out(pick(rng, collection, language, evaluation=False)) for _ in range(50))
        assert all(held_out(pick(rng, collection, language, evaluation=True)) for _ in range(50))


def test_a_language_without_sentences_is_named() -> None:
    with pytest.raises(ValueError, match="'fi'"):
        pick(np.random.default_rng(0), {"fi": [], SALAD: []}, "fi", evaluation=False)


def test_the_collection_is_gathered_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "data" / "texts.json"
    monkeypatch.setattr(texts, "collect", lambda: {"en": ["Guten Tag und schöne Grüße"]})
    first = texts.load(path)
    monkeypatch.setattr(texts, "collect", lambda: {"en": []})
    assert texts.load(path) == first == json.loads(path.read_text(encoding="utf-8"))
