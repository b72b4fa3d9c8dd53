import numpy as np
import pytest

pytest.importorskip("soundfile", reason="training needs soundfile: pip install visavis[train]")

from training.speech.batches import HISTORY_FRAMES, _hush, draw
from training.speech.dataset import Speech


def counting(frames: int = 400) -> Speech:
    """Speech whose loudness, lips and labels all tell the frame's number (times 255 or 50, circular)."""
    rng = np.random.default_rng(0)
    number = np.arange(frames) % 50
    pcm = (rng.standard_normal((frames, 640)) * 3000).astype(np.int16)
    lips = np.repeat((number[:, None] * 5).astype(np.uint8), 9, axis=1)
    return Speech(pcm.reshape(-1), lips, np.repeat(number, 2).astype(np.uint8), np.zeros((0, 2)))


def test_lips_and_labels_tell_of_the_same_frames() -> None:
    batch = draw(np.random.default_rng(0), [counting()], 8, 20)
    assert batch.pcm.shape == (8, 20 * 640) and batch.pcm.dtype == np.float32 and np.abs(batch.pcm).max() <= 1
    assert batch.lips.shape == (8, HISTORY_FRAMES + 20, 9) and batch.labels.shape == (8, 2 * (HISTORY_FRAMES + 20))
    for lips, labels in zip(batch.lips, batch.labels, strict=True):
        np.testing.assert_array_equal(np.round(lips[:, 0] * 255 / 5), labels[::2])
        np.testing.assert_array_equal(labels[::2], labels[1::2])


def test_the_same_seed_draws_the_same_batch() -> None:
    one, two = (draw(np.random.default_rng([3, 7]), [counting(), counting()], 4, 16) for _ in range(2))
    np.testing.assert_array_equal(one.pcm, two.pcm)
    np.testing.assert_array_equal(one.lips, two.lips)


def test_some_items_hold_no_speech_and_ask_for_rest() -> None:
    batches = [draw(np.random.default_rng(seed), [counting()], 8, 16) for seed in range(60)]
    at_rest = [not lips[HISTORY_FRAMES:].any() for batch in batches for lips in batch.lips]
    assert 0.05 < np.mean(at_rest) < 0.3
    for batch in batches:
        for lips, labels in zip(batch.lips, batch.labels, strict=True):
            assert lips[HISTORY_FRAMES:].any() or not labels[2 * HISTORY_FRAMES :].any()


def test_a_hush_begins_and_ends_where_the_speaker_rests() -> None:
    lips = np.full((HISTORY_FRAMES + 60, 9), 0.5, np.float32)
    lips[HISTORY_FRAMES + 20 : HISTORY_FRAMES + 23] = lips[HISTORY_FRAMES + 40 : HISTORY_FRAMES + 44] = 0.0
    edges = {0, 60, *range(20, 23), *range(40, 44)}
    hushes = {_hush(np.random.default_rng(seed), lips) for seed in range(100)}
    assert {edge for hush in hushes for edge in hush} <= edges and (0, 60) in hushes
    assert any(first == 0 and last < 60 for first, last in hushes)
    assert any(first > 0 and last == 60 for first, last in hushes)
