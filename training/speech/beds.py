"""Sounds that are no speech, to lie under a voice or to stand alone: noise, tones, music, breath.

All are float32 ``(samples,)`` at 16 kHz or batches of it, deterministic given their random generator. On none of them
may the lips move.
"""

from typing import Final

import numpy as np
from scipy import fft, signal

from engines.expression import FloatArray
from engines.media import SPEECH_RATE

_SCALE: Final = (0, 2, 4, 5, 7, 9, 11)
"""The semitones of a major scale."""


def noise(rng: np.random.Generator, items: int, length: int) -> FloatArray:
    """Coloured noise ``(items, length)`` of RMS 1, from white to brown; in a third of the items its level swings."""
    spectrum = fft.rfft(rng.standard_normal((items, length), dtype=np.float32))
    frequency = np.maximum(np.linspace(0, 1, spectrum.shape[1], dtype=np.float32), 0.01)
    slope = np.where(rng.random((items, 1)) < 0.45, 0.0, rng.uniform(-0.3, 1.2, (items, 1)))
    coloured = fft.irfft(spectrum * frequency ** -slope.astype(np.float32), length)
    coloured /= coloured.std(axis=1, keepdims=True)
    time = np.arange(length, dtype=np.float32)[None] / SPEECH_RATE
    speed, phase = rng.uniform(0.2, 8.0, (items, 1)), rng.uniform(0, 6, (items, 1))
    depth = rng.uniform(0.2, 0.9, (items, 1)) * (rng.random((items, 1)) < 0.35)
    coloured *= (1 - depth * (0.5 + 0.5 * np.sin(2 * np.pi * speed * time + phase))).astype(np.float32)
    return coloured.astype(np.float32)


def tones(rng: np.random.Generator, length: int) -> FloatArray:
    """A steady tone between 50 Hz and 3.2 kHz with a few weaker harmonics, as of mains and fans; RMS about 1."""
    time = np.arange(length, dtype=np.float32) / SPEECH_RATE
    frequency = 50 * 2 ** rng.uniform(0, 6)
    partials = [number for number in range(1, int(rng.integers(2, 8))) if number * frequency < 7000]
    waves = [
        np.sin(2 * np.pi * frequency * number * time + rng.uniform(0, 6)) * rng.uniform(0.1, 1) ** (number > 1)
        for number in partials
    ]
    mixed = np.sum(waves, axis=0)
    return (mixed / (mixed.std() + 1e-9)).astype(np.float32)


def hum(rng: np.random.Generator, length: int) -> FloatArray:
    """Mains at 50 or 60 Hz with weak harmonics; RMS about 1."""
    mains = (50 if rng.random() < 0.5 else 60) * np.arange(1, 8)
    strengths = np.append(1.0, rng.uniform(0, 0.5, 6) * (rng.random(6) < 0.6))
    turns = np.arange(length, dtype=np.float32)[None] * (mains / SPEECH_RATE).astype(np.float32)[:, None]
    waves = np.sin(2 * np.pi * (turns % 1 + rng.random((7, 1)).astype(np.float32))) * strengths[:, None]
    mixed = waves.sum(axis=0)
    return (mixed / mixed.std()).astype(np.float32)


def _note(rng: np.random.Generator, semitone: float, seconds: float, partials: int, decay: float) -> FloatArray:
    """One note of an instrument with this many partials; quick attack, exponential decay (1/s)."""
    count = int(seconds * SPEECH_RATE)
    time = np.arange(count, dtype=np.float32) / np.float32(SPEECH_RATE)
    base = 220.0 * 2 ** (semitone / 12)
    numbers = np.array([n for n in range(1, partials + 1) if n * base < 7000], np.float32)
    strength = (numbers ** -rng.uniform(0.5, 2.0)).astype(np.float32)
    phases = (2 * np.pi * np.float32(base)) * time
    wave = sum(s * np.sin(n * phases) for n, s in zip(numbers, strength, strict=True))
    envelope = np.minimum(time * 80, 1) * np.exp(-decay * time) * np.minimum((seconds - time) * 50, 1)
    return np.asarray(wave * envelope, np.float32)


def music(rng: np.random.Generator, length: int) -> FloatArray:
    """Chords, a tune and sometimes drums in a random key, tempo and timbre; RMS about 1."""
    result = np.zeros(length + 2 * SPEECH_RATE, np.float32)
    beat, key = rng.uniform(0.25, 0.6), rng.uniform(-12, 8)
    partials, decay = int(rng.integers(2, 8)), rng.uniform(0.5, 6.0)
    drums = rng.random() < 0.5
    for index in range(int(length / SPEECH_RATE / beat) + 1):
        start = int(index * beat * SPEECH_RATE)
        degree = int(rng.integers(7))
        played = [(_SCALE[degree] + 12 * int(rng.integers(2)), beat, 1.0)] if rng.random() < 0.8 else []
        if index % 4 == 0:
            chord = [_SCALE[(degree + 2 * third) % 7] - 12 for third in range(3)]
            played += [(semitone, min(4 * beat, 1.9), 0.7) for semitone in chord]
        for semitone, seconds, gain in played:
            note = _note(rng, key + semitone, seconds, partials, decay)
            result[start : start + len(note)] += gain * note
        if drums:
            count = int(rng.uniform(0.03, 0.12) * SPEECH_RATE)
            hit = rng.standard_normal(count) * np.exp(-5 * np.arange(count) / count) * rng.uniform(0.3, 1.5)
            result[start : start + count] += hit.astype(np.float32)
    result = result[:length]
    return result / (result.std() + np.float32(1e-6))


def breath(rng: np.random.Generator) -> FloatArray:
    """One breath in or out, 0.15 to 0.9 s: noise through an open throat, rising and falling; RMS about 1."""
    count = int(rng.uniform(0.15, 0.9) * SPEECH_RATE)
    sound = rng.standard_normal(count)
    spectrum = fft.rfft(sound)
    frequency = np.linspace(0, SPEECH_RATE / 2, len(spectrum))
    centres = np.array([500, 1500, 2600, 4000]) * np.exp(rng.normal(0, 0.2, 4))
    gains = 10 ** (-rng.uniform(0, 15, 4) / 20)
    shape = sum(g / (1 + ((frequency - c) / rng.uniform(150, 500)) ** 2) for c, g in zip(centres, gains, strict=True))
    sound = fft.irfft(spectrum * (shape + 0.03), count)
    sound *= np.sin(np.pi * np.linspace(0, 1, count) ** rng.uniform(0.6, 1.7)) ** rng.uniform(0.8, 2)
    return (sound / (sound.std() + 1e-9)).astype(np.float32)


def breathing(rng: np.random.Generator, length: int) -> FloatArray:
    """Breaths in and out with pauses between them; RMS about 1 while it sounds."""
    result = np.zeros(length, np.float32)
    start = int(rng.uniform(0, 1.0) * SPEECH_RATE)
    while start < length:
        sound = breath(rng)[: length - start] * np.float32(rng.uniform(0.4, 1.0))
        result[start : start + len(sound)] += sound
        start += len(sound) + int(rng.uniform(0.1, 1.8) * SPEECH_RATE)
    return result


def knocks(rng: np.random.Generator, length: int) -> FloatArray:
    """Keys, clicks and bumps at random instants, each a short decaying burst of its own colour; peak about 1."""
    result = np.zeros(length, np.float32)
    for start in rng.integers(0, length, int(rng.integers(1, 2 + 5 * length // SPEECH_RATE))):
        count = int(rng.uniform(0.004, 0.09) * SPEECH_RATE)
        burst = rng.standard_normal(count) * np.exp(-6 * np.arange(count) / count)
        low = rng.uniform(200, 7000) / (SPEECH_RATE / 2)
        burst = signal.lfilter(*signal.butter(1, low), burst) * rng.uniform(0.2, 1.0)
        burst /= np.abs(burst).max() + 1e-9
        result[start : start + count] += burst[: length - start].astype(np.float32)
    return result
