"""Speech at its own pace: tempo that sways, stops that are held back after a pause, stops that are never released."""

from dataclasses import replace
from typing import Final

import numpy as np

from engines.expression import FloatArray
from training.speech.phonemes import CLOSED_SHARE, SILENCE, Phone
from training.speech.synthesizers import Utterance

_KNOT_SECONDS: Final = 0.35
_FADE_SECONDS: Final = 0.006


def swayed(rng: np.random.Generator, utterance: Utterance, depth: float = 0.10) -> Utterance:
    """Now quicker, now slower by about `depth`, and with it higher and lower; sounds move along."""
    seconds = len(utterance.samples) / utterance.rate
    knots = int(seconds / _KNOT_SECONDS) + 2
    old = np.linspace(0, seconds, knots)
    new = np.concatenate([[0.0], np.cumsum(np.diff(old) * np.exp(rng.normal(0, depth, knots - 1)))])
    count = int(new[-1] * utterance.rate)
    place = np.interp(np.arange(count) / utterance.rate, new, old) * utterance.rate
    samples = np.interp(place, np.arange(len(utterance.samples)), utterance.samples).astype(np.float32)

    def at(second: float) -> float:
        return float(np.interp(second, old, new))

    phones = tuple(
        Phone(p.symbol, at(p.start), at(p.end), None if p.release is None else at(p.release)) for p in utterance.phones
    )
    return Utterance(samples, utterance.rate, phones)


def _faded(samples: FloatArray, rate: int, *, out: bool) -> FloatArray:
    """The end (`out`) or the beginning of `samples` faded over a few milliseconds; in place."""
    count = min(len(samples), int(_FADE_SECONDS * rate))
    slope = np.linspace(1, 0, count, dtype=np.float32)
    if count and out:
        samples[-count:] *= slope
    elif count:
        samples[:count] *= slope[::-1]
    return samples


def halted(rng: np.random.Generator, utterance: Utterance, chance: float = 0.12) -> Utterance:
    """Pauses of 0.1 to 0.7 s before some p, t and k: cut where the stop is silent anyway, inside its closure.

    The burst then comes out of silence, as after a real pause: only what follows tells which stop it was.
    """
    rate, samples = utterance.rate, utterance.samples
    pieces, phones, copied, shift = [], [], 0, 0.0
    for index, phone in enumerate(utterance.phones):
        before = utterance.phones[index - 1].symbol if index else SILENCE
        if phone.symbol in "ptk" and before != SILENCE and rng.random() < chance:
            pause = rng.uniform(0.1, 0.7)
            opens = phone.release or phone.start + CLOSED_SHARE["p"] * (phone.end - phone.start)
            cut = int((phone.start + 0.5 * (opens - phone.start)) * rate)
            pieces += [_faded(samples[copied:cut].copy(), rate, out=True), np.zeros(int(pause * rate), np.float32)]
            phones.append(Phone(SILENCE, phone.start + shift, phone.start + shift + int(pause * rate) / rate))
            copied, shift = cut, shift + int(pause * rate) / rate
        phones.append(phone.moved(shift))
    pieces.append(samples[copied:])
    return Utterance(np.concatenate(pieces), rate, tuple(phones))


def unreleased(rng: np.random.Generator, utterance: Utterance, chance: float = 0.35) -> Utterance:
    """Without the burst of some stops that end in silence: "stop" with the lips left closed."""
    rate, samples, phones = utterance.rate, utterance.samples.copy(), list(utterance.phones)
    for index, phone in enumerate(phones):
        after = phones[index + 1].symbol if index + 1 < len(phones) else SILENCE
        if phone.symbol in "pbtdk" and after == SILENCE and rng.random() < chance:
            opens = phone.release or phone.start + CLOSED_SHARE.get(phone.symbol, 0.6) * (phone.end - phone.start)
            until = int((phone.end + 0.03) * rate)
            samples[int(opens * rate) : until] = 0.0
            if phone.symbol in CLOSED_SHARE:
                phones[index] = replace(phone, release=opens)
    return Utterance(samples, rate, tuple(phones))
