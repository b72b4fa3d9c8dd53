"""`python -m benchmarks.lookahead`: how far HuBERT's features in a moving window are from those of the whole utterance.

The network is the one that `visavis import` brought; without one, `--random base` or `--random large` makes one of
random weights, which shows the method and the cost, and not how a trained network behaves. Speech is a WAV file of 16
kHz, or a text that espeak-ng says. Errors are root mean squares, in deviations of the utterance's features over time:
of the window alone; as served, with the running level too; and of that without each feature's mean, which a network
that was trained on windows does not mind.
"""

import argparse
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from build_trt import imported, recipe
from engines.hubert import COARSE, FINE, OVERLAP, SAMPLES_PER_FRAME, Window
from engines.loudness import Level, normalised
from engines.models import models_folder
from networks import hubert
from networks.hubert import BASE, LARGE, Hubert, SpeechConfig
from training.speech.augment import resampled
from training.speech.synthesizers import say

WINDOWS: Final = (
    *(Window(24, 2, future) for future in (0, 1)),
    FINE,
    *(Window(24, 2, future) for future in (3, 4, 8)),
    *(Window(past, 2, 2) for past in (8, 48)),
    COARSE,
    Window(8, 5, 2),
)
TEXT: Final = (
    "She had your dark suit in greasy wash water all year, and nobody knew why the boats were going by so slowly."
)
_CONFIGS: Final = {"base": BASE, "large": LARGE}


def random(size: str, seed: int = 1) -> Hubert:
    """A network of the usual size, with weights that keep variance."""
    with torch.device("meta"):
        network = Hubert(SpeechConfig.of(_CONFIGS[size]))
    state = {}
    for name, value in network.state_dict().items():
        deviation = 1 / np.sqrt(np.prod(value.shape[1:])) if value.ndim > 1 else 0.02
        mean = 1.0 if name.endswith("norm.weight") else 0.0
        state[name] = torch.from_numpy(recipe.tensor(name, value.shape, mean, deviation, seed))
    network.load_state_dict(state, assign=True)
    return network.eval()


def read_speech(file: Path | None, seconds: float) -> NDArray[np.float32]:
    """Speech float32, full scale 1, of whole video frames."""
    if file:
        with wave.open(str(file)) as opened:
            if (opened.getframerate(), opened.getnchannels(), opened.getsampwidth()) != (16_000, 1, 2):
                raise SystemExit(f"{file} is not 16 kHz, mono, 16 bits")
            heard = np.frombuffer(opened.readframes(opened.getnframes()), np.int16)
        pcm = heard.astype(np.float32) / np.float32(32768)
    else:
        (utterance,) = say("espeak:en-us", [TEXT])
        if utterance is None:
            raise SystemExit("espeak-ng said nothing: bring a WAV file with --speech")
        pcm = resampled(utterance.samples, utterance.rate)
    count = min(len(pcm), int(seconds * 16_000)) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME
    return np.asarray(pcm[:count], np.float32)


def windowed(network: Hubert, pcm: Tensor, window: Window, frames: range) -> Tensor:
    """Features (2 * frames, width) about some video frames of normalised speech (S,), each from its window."""
    size = window.front_samples(keeps=False)
    made = []
    for frame in frames[:: window.present]:
        begin = (frame - window.past) * SAMPLES_PER_FRAME - OVERLAP
        made.append(network(pcm[None, begin : begin + size])[0, window.asked])
    return torch.cat(made)[: 2 * len(frames)]


def error(features: Tensor, offline: Tensor) -> float:
    """Root mean square of the difference, in deviations of the features over time."""
    return float((features - offline).square().mean().sqrt() / offline.std(0).square().mean().sqrt())


def table(network: Hubert, pcm: NDArray[np.float32]) -> Iterator[str]:
    """One row per window, as soon as it is known."""
    raw = torch.from_numpy(pcm)
    level = hubert.normalised(raw[None])[0] if network.config.normalised else raw
    served = torch.from_numpy(normalised(Level(), pcm)[0]) if network.config.normalised else raw
    # Frames that are inside of every window, so that none hears silence that the utterance has not.
    first, most = max(window.past for window in WINDOWS) + 1, max(window.present + window.future for window in WINDOWS)
    frames = range(first, len(pcm) // SAMPLES_PER_FRAME - most)
    if len(frames) < most:
        raise SystemExit(f"speech of {len(pcm) / 16_000:.1f} s is too short for a context of {first * 0.04:.1f} s")
    asked = slice(2 * frames.start, 2 * frames.stop)
    offline = network(torch.cat([torch.zeros(OVERLAP), level])[None])[0, asked]
    columns = (
        "past, present, future",
        "lookahead",
        "and step",
        "window alone",
        "as served",
        "without mean",
        "CPU time",
    )
    yield "| " + " | ".join(columns) + " |"
    yield "|---" * len(columns) + "|"
    for window in WINDOWS:
        began = time.process_time()
        alone = windowed(network, level, window, frames)
        seconds = (time.process_time() - began) / len(frames[:: window.present])
        heard = windowed(network, served, window, frames)
        errors = (
            error(alone, offline),
            error(heard, offline),
            error(heard - heard.mean(0), offline - offline.mean(0)),
        )
        yield (
            f"| {window.past}, {window.present}, {window.future} | {window.lookahead_seconds * 1000:.0f} ms "
            f"| {window.lookahead_seconds * 1000 + window.present * 40:.0f} ms "
            + "".join(f"| {one:.3f} " for one in errors)
            + f"| {seconds * 1000:.0f} ms |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="", help="where `visavis import` put the network")
    parser.add_argument("--random", choices=_CONFIGS, help="a network of random weights instead")
    parser.add_argument("--speech", type=Path, help="WAV file, 16 kHz, mono, 16 bits (default: espeak-ng)")
    parser.add_argument("--seconds", type=float, default=4.0, help="that are used of it")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    network = random(options.random) if options.random else imported.hubert(models_folder(options.models))
    pcm = read_speech(options.speech, options.seconds)
    kind = f"HuBERT {options.random}, random weights" if options.random else "the imported network"
    print(f"{kind}, {len(pcm) / 16_000:.1f} s of speech, {options.threads} threads, float32\n")
    with torch.inference_mode():
        for line in table(network, pcm):
            print(line, flush=True)


if __name__ == "__main__":
    main()
