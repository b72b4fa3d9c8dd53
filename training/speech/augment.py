"""What happens to a voice on its way: size of the speaker, room, telephone, codec, microphone.

Most are slow and applied once, when speech is generated; `rooms` and `microphone` are fast and applied anew to every
batch. All are deterministic given their random generator.
"""

import io
from fractions import Fraction
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

from engines.expression import FloatArray
from engines.media import SPEECH_RATE

SPEECH_LEVEL: Final = 0.07
"""RMS of speech (full scale 1) before `microphone` sets its gain."""
_OPUS_RATE: Final = 48_000


def resampled(samples: FloatArray, rate: float) -> FloatArray:
    """Samples at `rate` Hz brought to `SPEECH_RATE` (within 0.1 %).

    A pretended rate shifts formants, pitch and tempo like a larger or smaller speaker.
    """
    ratio = Fraction(SPEECH_RATE / rate).limit_denominator(400)
    return signal.resample_poly(samples, ratio.numerator, ratio.denominator).astype(np.float32)


def _response(rng: np.random.Generator) -> NDArray[np.float64]:
    """How a room answers a click: at once, by a few walls or a desk (half of the rooms), and by its tail."""
    count = int(rng.uniform(0.08, 0.6) * SPEECH_RATE)
    response = rng.standard_normal(count) * np.exp(-6.9 * np.arange(count) / count)
    if rng.random() < 0.6:
        response = signal.lfilter(*signal.butter(1, rng.uniform(0.2, 0.9)), response)
    response[: int(rng.uniform(0.001, 0.006) * SPEECH_RATE)] = 0.0
    response *= 10 ** (-rng.uniform(-4, 12) / 20) / np.sqrt((response**2).sum())
    response[0] = 1.0
    if rng.random() < 0.5:
        response[rng.integers(8, 320, 3)] += rng.uniform(-0.7, 0.7, 3)
    return response


def room(rng: np.random.Generator, samples: FloatArray) -> FloatArray:
    """Reverberation of 80 to 600 ms, 12 dB below the voice to 4 above it; the highs may die away sooner."""
    return signal.fftconvolve(samples, _response(rng))[: len(samples)].astype(np.float32)


def rooms(rng: np.random.Generator, batch: FloatArray, share: float = 0.3) -> FloatArray:
    """`room` for about this share of the items of ``(n, samples)``."""
    return np.stack([room(rng, samples) if rng.random() < share else samples for samples in batch])


def narrowed(rng: np.random.Generator, samples: FloatArray) -> FloatArray:
    """Low-pass between 3.3 and 7 kHz, as of old recordings and wireless headsets."""
    filtered = signal.sosfilt(signal.butter(6, rng.uniform(3300, 7000), fs=SPEECH_RATE, output="sos"), samples)
    return filtered.astype(np.float32)


def overdriven(rng: np.random.Generator, samples: FloatArray) -> FloatArray:
    """Softly clipped, by up to 12 dB above the peaks' average; same loudness."""
    drive = 10 ** (rng.uniform(-6, 12) / 20) / (4 * SPEECH_LEVEL)
    clipped = np.tanh(samples * drive) / drive
    return (clipped * (samples.std() / (clipped.std() + 1e-9))).astype(np.float32)


def telephone(samples: FloatArray) -> FloatArray:
    """Narrow band at 8 kHz and mu-law with eight bits (ITU-T G.711)."""
    narrow = signal.resample_poly(samples, 1, 2)
    peak = np.abs(narrow).max() / 0.9 + 1e-6
    code = np.round(np.sign(narrow) * np.log1p(255 * np.abs(narrow / peak)) / np.log(256) * 127) / 127
    decoded = np.sign(code) * (256 ** np.abs(code) - 1) / 255 * peak
    return signal.resample_poly(decoded, 2, 1)[: len(samples)].astype(np.float32)


def opus(samples: FloatArray, bit_rate: int) -> FloatArray:
    """Through Opus and back, at this many bits per second; same length, aligned."""
    file = io.BytesIO()
    wide = signal.resample_poly(samples, _OPUS_RATE // SPEECH_RATE, 1).astype(np.float32)
    wide = np.pad(wide, (0, -len(wide) % 960))
    with av.open(file, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=_OPUS_RATE, layout="mono")
        stream.bit_rate = bit_rate
        for start in range(0, len(wide), 960):
            frame = av.AudioFrame.from_ndarray(wide[None, start : start + 960], format="flt", layout="mono")
            frame.sample_rate, frame.pts = _OPUS_RATE, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as container:
        decoded = np.concatenate([frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)])
    narrow = signal.resample_poly(decoded, 1, _OPUS_RATE // SPEECH_RATE).astype(np.float32)[: len(samples)]
    return np.pad(narrow, (0, len(samples) - len(narrow)))


def _cut(rng: np.random.Generator, beyond: FloatArray) -> FloatArray:
    """Attenuation in dB, up to 80, by a Butterworth filter of order 1 to 24, where `beyond` is 1 at its corner."""
    order = np.float32(np.exp(rng.uniform(0, np.log(24))))
    return 10 * np.log10(1 + np.minimum(beyond, np.float32(10 ** (4 / order))) ** (2 * order))


def microphone(rng: np.random.Generator, batch: FloatArray) -> FloatArray:
    """Each item ``(n, samples)`` through a random smooth equaliser (four in five items), a low cut (one in three), a
    narrow line (one in four) and gain: the voice ends up at -26 dBFS, give or take 8."""
    items, length = batch.shape
    spectrum = fft.rfft(batch)
    knots = rng.standard_normal((items, 6)) * 4.0 * (rng.random((items, 1)) < 0.8)
    place = np.linspace(0, 5, spectrum.shape[1])
    decibels = np.stack([np.interp(place, np.arange(6), curve) for curve in knots])
    hertz = np.linspace(0.1, SPEECH_RATE / 2, spectrum.shape[1], dtype=np.float32)
    for curve in decibels:
        if rng.random() < 0.35:
            curve -= _cut(rng, np.float32(rng.uniform(50, 400)) / hertz)
        if rng.random() < 0.25:
            curve -= _cut(rng, hertz / np.float32(rng.uniform(3200, 7200)))
    decibels += np.clip(rng.standard_normal((items, 1)) * 8 - 3, -28, 14)
    filtered: FloatArray = fft.irfft(spectrum * (10 ** (decibels / 20)).astype(np.float32), length)
    return filtered.astype(np.float32)
