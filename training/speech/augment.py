"""What happens to a voice on its way: size of the speaker, room, telephone, codec, microphone.

All but `microphone` are slow and applied once, when speech is generated; `microphone` is fast and applied anew to
every batch. All are deterministic given their random generator.
"""

import io
from fractions import Fraction
from typing import Final

import av
import numpy as np
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


def room(rng: np.random.Generator, samples: FloatArray) -> FloatArray:
    """Reverberation of 80 to 600 ms, 12 dB below the voice to 4 above it; the highs may die away sooner."""
    count = int(rng.uniform(0.08, 0.6) * SPEECH_RATE)
    response = rng.standard_normal(count) * np.exp(-6.9 * np.arange(count) / count)
    if rng.random() < 0.6:
        response = signal.lfilter(*signal.butter(1, rng.uniform(0.2, 0.9)), response)
    response[: int(rng.uniform(0.001, 0.006) * SPEECH_RATE)] = 0.0
    response *= 10 ** (-rng.uniform(-4, 12) / 20) / np.sqrt((response**2).sum())
    response[0] = 1.0
    return signal.fftconvolve(samples, response)[: len(samples)].astype(np.float32)


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


def microphone(rng: np.random.Generator, batch: FloatArray) -> FloatArray:
    """Each item ``(n, samples)`` through a random smooth equaliser (four in five items) and gain."""
    items, length = batch.shape
    spectrum = fft.rfft(batch)
    knots = rng.standard_normal((items, 6)) * 4.0 * (rng.random((items, 1)) < 0.8)
    place = np.linspace(0, 5, spectrum.shape[1])
    decibels = np.stack([np.interp(place, np.arange(6), curve) for curve in knots])
    decibels += rng.standard_normal((items, 1)) * 6 - 1
    filtered: FloatArray = fft.irfft(spectrum * (10 ** (decibels / 20)).astype(np.float32), length)
    return filtered.astype(np.float32)
