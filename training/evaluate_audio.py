"""Judge the exported audio networks: `python -m training.evaluate_audio --data runs/speech --run runs/audio`.

Everything runs as it does in a call: 40 ms at a time through `engines`, each frame in the context of the frames
predicted before. What is compared with is the articulation teacher on voices, texts and a language that never
trained. Prints the figures and writes them into the model card.
"""

import argparse
import json
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import signal
from tqdm import tqdm

from engines.audio2exp import LOOKAHEADS_MS, Audio2Exp, ExpressionHistory
from engines.expression import LIP_NAMES, FloatArray
from engines.features import FRAME_SAMPLES, AudioFeatures
from engines.media import FRAME_RATE, SPEECH_RATE
from engines.openvino_backend import OpenVinoBackend
from training import model_card
from training.speech import augment, beds
from training.speech.dataset import EVALUATION_VOICES, LANGUAGES, TRAINING_VOICES, TURN, Speech, generate, joined
from training.speech.texts import collect

WEIGHTS: Final = Path("engines/assets/weights")
CHECKPOINT: Final = Path("training/checkpoints/audio.pt")
CLOSED: Final = 0.3
"""From here on `mouthClose` counts as closed lips: for the teacher, half way from parted to pressed."""
DEFAULT_LOOKAHEAD: Final = 80
HELD_OUT: Final = ("rms", "ked", "dita")
JAW, CLOSE, PART = (LIP_NAMES.index(name) for name in ("jawOpen", "mouthClose", "mouthPart"))
_LAGS: Final = range(-3, 4)


@dataclass(frozen=True, slots=True)
class Score:
    """Agreement with the teacher. `lag` in ms, positive when the network is late; `false_closures` per second;
    `amplitude` of the jaw and mean `acceleration` of all channels as shares of the teacher's."""

    channels: FloatArray
    lag: float
    recall: float
    false_closures: float
    amplitude: float
    acceleration: float

    @property
    def opening(self) -> float:
        return float(self.channels[JAW])


class Speaker:
    """The exported networks at every lookahead, on the CPU backend."""

    def __init__(self, weights: Path, precision: str = "f32") -> None:
        backend = OpenVinoBackend("bf16" if precision == "bf16" else "f32")
        self.features = AudioFeatures(backend.load(weights / "audio_features.onnx"))
        self.heads = {ms: Audio2Exp(backend.load(weights / "audio2exp.onnx"), ms) for ms in LOOKAHEADS_MS}

    def hear(self, pcm: FloatArray) -> FloatArray:
        """Features of a recording, two for each frame: ``(frames, 2, D)``."""
        state, features = self.features.start(), []
        for start in range(0, len(pcm) // FRAME_SAMPLES * FRAME_SAMPLES, FRAME_SAMPLES):
            pair, state = self.features.step(state, pcm[start : start + FRAME_SAMPLES])
            features.append(pair)
        return np.stack(features)

    def speak(self, features: FloatArray, lookahead_ms: int, *, remember: bool = True) -> FloatArray:
        """The lips of each frame ``(frames, 9)``, moved back by the lookahead; the last frames repeat.

        Without `remember` every frame is predicted as if the face had been at rest.
        """
        head, history = self.heads[lookahead_ms], ExpressionHistory()
        lips = [head.step(pair, history if remember else ExpressionHistory()) for pair in features]
        ahead = head.lookahead_frames
        return np.stack(lips[ahead:] + [lips[-1]] * ahead)


def correlation(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Pearson's r; 0 where one of the two never changes."""
    if one.std() < 1e-6 or other.std() < 1e-6:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def lag(predicted: NDArray[Any], wanted: NDArray[Any]) -> float:
    """By how many milliseconds the prediction is late at the best correlation, within three frames.

    Between frames by the parabola through the three correlations around the best.
    """
    edge = max(_LAGS)
    inner = wanted[edge : len(wanted) - edge]
    scores = [correlation(predicted[edge + late : len(predicted) - edge + late], inner) for late in _LAGS]
    best = int(np.argmax(scores))
    if not 0 < best < len(scores) - 1:
        return _LAGS[best] * 1000.0 / FRAME_RATE
    before, peak, after = scores[best - 1 : best + 2]
    return (_LAGS[best] + 0.5 * (before - after) / (before - 2 * peak + after)) * 1000.0 / FRAME_RATE


def closures_seen(close: FloatArray, closures: NDArray[np.float64], threshold: float = CLOSED) -> tuple[float, float]:
    """Share of the closures (seconds) that `close` ``(frames,)`` shows within one frame, and false ones per second.

    A false closure is a run of frames above the threshold that touches no closure within one frame.
    """
    above = close > threshold
    near = np.zeros(len(close), bool)
    seen = 0
    for start, end in closures * FRAME_RATE:
        window = slice(max(0, int(start) - 1), int(end) + 2)
        near[window] = True
        seen += bool(above[window].any())
    edges = np.flatnonzero(np.diff(np.concatenate([[False], above, [False]]).astype(np.int8)))
    false = sum(not near[start:end].any() for start, end in edges.reshape(-1, 2))
    return seen / max(1, len(closures)), false / (len(close) / FRAME_RATE)


def score(predicted: FloatArray, speech: Speech) -> Score:
    wanted = speech.lips[: len(predicted)].astype(np.float32) / 255
    channels = np.array([correlation(predicted[:, c], wanted[:, c]) for c in range(len(LIP_NAMES))], np.float32)
    recall, false = closures_seen(predicted[:, CLOSE], speech.closures)
    amplitude = float(predicted[:, JAW].std() / max(1e-6, wanted[:, JAW].std()))
    jolts = [float(np.abs(np.diff(lips, 2, axis=0)).mean()) for lips in (predicted, wanted)]
    late = lag(predicted[:, JAW], wanted[:, JAW])
    return Score(channels, late, recall, false, amplitude, jolts[0] / max(1e-6, jolts[1]))


def motion(lips: FloatArray) -> float:
    """How much the jaw travels, per second."""
    return float(np.abs(np.diff(lips[:, JAW])).mean() * FRAME_RATE)


def disturbances(speech: Speech, seconds: float = 20.0) -> dict[str, FloatArray]:
    """Sounds without speech on which the lips should rest, float32 at 16 kHz."""
    rng = np.random.default_rng(0)
    count = int(seconds * SPEECH_RATE)
    voices = [np.roll(samples(speech), int(rng.integers(len(speech.pcm))))[:count] for _ in range(8)]
    babble = (np.sum(voices, axis=0) / (augment.SPEECH_LEVEL * np.sqrt(8))).astype(np.float32)
    white = rng.standard_normal(count).astype(np.float32)
    sounds = {
        "digital silence": (0.0, white),
        "white noise at -50 dBFS": (-50, white),
        "white noise at -30 dBFS": (-30, white),
        "coloured noise at -30 dBFS": (-30, beds.noise(np.random.default_rng(3), 1, count)[0]),
        "music at -30 dBFS": (-30, beds.music(np.random.default_rng(4), count)),
        "breathing at -40 dBFS": (-40, beds.breathing(np.random.default_rng(5), count)),
        "babble of 8 voices at -40 dBFS": (-40, babble),
        "babble of 8 voices at -30 dBFS": (-30, babble),
    }
    return {name: sound * np.float32(10 ** (level / 20) if level else 0) for name, (level, sound) in sounds.items()}


def conditions(pcm: FloatArray) -> dict[str, FloatArray]:
    """The same speech (-23 dBFS) in noise, from afar, through narrow lines, quieter, louder and clipped."""
    white = np.random.default_rng(0).standard_normal(len(pcm)).astype(np.float32) * np.float32(augment.SPEECH_LEVEL)
    tail = np.random.default_rng(1).standard_normal(int(0.3 * SPEECH_RATE)).astype(np.float32)
    tail *= np.exp(-6.9 * np.arange(len(tail)) / len(tail)).astype(np.float32)
    tail *= np.float32(10 ** (-3 / 20) / np.sqrt((tail**2).sum()))
    narrow = signal.resample_poly(signal.resample_poly(pcm, 1, 2), 2, 1)[: len(pcm)]
    coloured = beds.noise(np.random.default_rng(5), 1, len(pcm))[0] * np.float32(augment.SPEECH_LEVEL * 10**-0.5)
    mains = np.sin(2 * np.pi * 50 / SPEECH_RATE * np.arange(len(pcm))).astype(np.float32) * np.float32(0.025)
    return {
        "white noise, 20 dB": pcm + white * np.float32(0.1),
        "white noise, 10 dB": pcm + white * np.float32(10**-0.5),
        "coloured noise, 10 dB": pcm + coloured,
        "mains at -35 dBFS on an offset": pcm + mains + np.float32(0.05),
        "band of 8 kHz rate": narrow.astype(np.float32),
        "telephone (mu-law)": augment.telephone(pcm),
        "reverberation of 0.3 s, 3 dB down": pcm + signal.fftconvolve(pcm, tail)[: len(pcm)].astype(np.float32),
        "Opus, 16 kbit/s": augment.opus(pcm, 16_000),
        "-18 dB": pcm * np.float32(10 ** (-18 / 20)),
        "-27 dB": pcm * np.float32(10 ** (-27 / 20)),
        "+9 dB": np.clip(pcm * np.float32(10 ** (9 / 20)), -1, 1),
        "+20 dB": np.clip(pcm * np.float32(10), -1, 1),
    }


def samples(speech: Speech) -> FloatArray:
    return speech.pcm.astype(np.float32) / np.float32(32768)


def step_milliseconds(speaker: Speaker, steps: int = 500) -> float:
    """Median time of one 40 ms frame: two features and one expression."""
    rng = np.random.default_rng(0)
    pcm = (rng.standard_normal((steps, FRAME_SAMPLES)) * 0.05).astype(np.float32)
    head, history, state = speaker.heads[DEFAULT_LOOKAHEAD], ExpressionHistory(), speaker.features.start()
    times = []
    for frame in pcm:
        before = time.perf_counter()
        features, state = speaker.features.step(state, frame)
        head.step(features, history)
        times.append(time.perf_counter() - before)
    return float(np.median(times) * 1000)


_COLUMNS: Final = (
    "set", "seconds", "jawOpen r", "mean r", "lag ms", "closures seen", "false per s", "jaw amplitude", "acceleration",
)  # fmt: skip


def _row(name: str, speech: Speech, result: Score) -> Sequence[object]:
    mean = float(result.channels.mean())
    agreement = (name, round(speech.seconds), result.opening, mean, round(result.lag), result.recall)
    return *agreement, result.false_closures, result.amplitude, result.acceleration


def evaluate(speaker: Speaker, sets: dict[str, Speech]) -> dict[str, str]:
    """Sections of the model card with every figure, from the held-out sets named in `EVALUATION_VOICES`."""
    rows, channel_rows = [], []
    held_out = joined([sets[name] for name in HELD_OUT])
    heard = {name: speaker.hear(samples(speech)) for name, speech in tqdm(sets.items(), desc="hearing")}
    moving = 0.0
    for ms in LOOKAHEADS_MS:
        for name, speech in sets.items():
            lips = speaker.speak(heard[name], ms)
            result = score(lips, speech)
            rows.append((f"{ms} ms", *_row(name, speech, result)))
            if ms == DEFAULT_LOOKAHEAD:
                channel_rows.append((name, *map(float, result.channels)))
                if name == "rms":
                    moving = motion(lips)
    rms = sets["rms"]
    memoryless = score(speaker.speak(heard["rms"], DEFAULT_LOOKAHEAD, remember=False), rms)
    extra_rows = [_row("history always at rest", rms, memoryless)]
    for name, pcm in tqdm(conditions(samples(rms)).items(), desc="conditions"):
        extra_rows.append(_row(name, rms, score(speaker.speak(speaker.hear(pcm), DEFAULT_LOOKAHEAD), rms)))
    quiet_rows = []
    before = samples(held_out)[: 4 * SPEECH_RATE]
    for name, sound in disturbances(held_out).items():
        after = speaker.speak(speaker.hear(np.concatenate([before, sound])), DEFAULT_LOOKAHEAD)[5 * FRAME_RATE :]
        resting = motion(after)
        quiet_rows.append((name, resting, resting / moving, float(after[:, JAW].max()), float(after[:, PART].max())))
    quiet_columns = ("sound", "motion", "share of speech", "greatest jawOpen", "greatest mouthPart")
    return {
        "Held-out speech": model_card.table(("lookahead", *_COLUMNS), rows),
        f"Correlation by channel at {DEFAULT_LOOKAHEAD} ms": model_card.table(("set", *LIP_NAMES), channel_rows),
        "Under other conditions": f"The voice rms at {DEFAULT_LOOKAHEAD} ms.\n\n"
        + model_card.table(_COLUMNS, extra_rows),
        "At rest": "After four seconds of speech; motion is the travel of the jaw per second, beside "
        f"{moving:.3f} in speech.\n\n" + model_card.table(quiet_columns, quiet_rows),
    }


def fresh_sets(seconds: float, seed: int = 1) -> dict[str, Speech]:
    """Held-out speech of this length for each of `EVALUATION_VOICES`, synthesised now. Raises SynthesisError without
    the synthesisers."""
    texts = collect()
    return {
        name: generate(seed, texts, seconds, {voice: 1.0}, evaluation=True) for name, voice in EVALUATION_VOICES.items()
    }


def _recipe(record: dict[str, Any], log: list[dict[str, Any]], speaker: Speaker, remark: str) -> dict[str, str]:
    """Sections of the model card that tell how the networks came about, from the record in their checkpoint and the
    lines of the training's log."""
    voices = ", ".join(f"{name} {share:.0%}" for name, share in TRAINING_VOICES.items())
    losses = ", ".join(f"{name} {value:.4f}" for name, value in record["losses"].items())
    plans = ", then ".join(str(steps) for steps in dict.fromkeys(line["steps"] for line in log))
    heads = record["heads_from"]
    finish = (
        f" From step {heads} on only the heads learned, in the context of what they said themselves." if heads else ""
    )
    begun = ", begun from the weights of an earlier training" if record["init"] else ""
    extra = f" --heads-from {heads}" * (heads > 0)
    extra += f" --init {record['init']}" * bool(record["init"]) + " --bfloat16" * bool(record["bfloat16"])
    share, old = record.get("share", 1.0), record.get("averaged with", "")
    mixture = f" ({share:.0%}) and the weights that the training began from ({1 - share:.0%})" * (share < 1)
    averaging = f"python -m training.averaging runs/audio/checkpoint.pt {old} --share {share} --out {CHECKPOINT}\n"
    precision = "bfloat16 autocast" if record["bfloat16"] else "float32"
    doubt = record["doubt"]
    return {
        "What": f"""
Two networks that turn a voice into lip channels, for any speaker. `audio_features.onnx`: 16 kHz samples in, 50 features
a second out ({speaker.features.dimension - len(LOOKAHEADS_MS)} values), causal, with its state in its inputs and
outputs. In that state is a memory of the voice: for each kind of sound the mean of what was heard of it, faded to a
half in ten seconds. With each feature comes, for each lookahead, what is to be taken off the logit of a closure
because this voice seems to say m oftener (or, negative, more seldom) after vowels than languages do: none at first,
between -2 and 2.5, from a count of nasals that fades to a half in 30 s. `audio2exp.onnx`: both of these for the two
features of a 40 ms frame and the past 16 expressions in, the bias on the source's expression out, at lookahead 0, 80
and 160 ms.""",
        "Data": f"""
{record["hours of speech"]:.1f} hours of speech, synthesised from seeds by free software on the training machine:
{voices}. The voices of flite and festival are cut from recordings of people or trained on them; espeak speaks
{len(set(LANGUAGES))} languages and accents in all its voices. All are packages of Debian: espeak-ng, flite, festival,
festlex-cmu, festvox-kallpc16k, festvox-kdlpc16k, festvox-italp16k, festvox-itapc16k, festvox-suopuhe-lj,
festvox-suopuhe-mv, festvox-czech-ph, festvox-czech-dita, festvox-czech-machac, festvox-czech-krb, festvox-ru,
festvox-ca-ona-hts, festvox-hi-nsk. Sentences come from the system's message catalogues, from words of the CMU
dictionary chosen for sounds that are easily confused (m and n, p at the ends, v, w, dh), and from nonsense syllables.
The lips come from a rule-based articulation teacher with exact sound timings (`training/speech/teacher.py`). One
person, a throat in a room before a microphone, says {TURN} sentences before the next speaks.

Applied at generation: pitch and tempo, swaying tempo, formants moved without the pitch, breath up to a whisper, pauses
before stops, stops without a burst, rooms, overdrive, telephone, narrow bands, Opus. Anew in every batch: rooms, noise,
music, breathing, knocks, tones, hum and babble, under the voice and alone; equaliser, low cut, narrow bands and gain
over both; spectra of other speakers, with formants moved, another colour for every sound, sharper or flatter peaks,
crisper or smoother transitions, the loudness of other items' bands, and bands missing. No recording of a person is used
beyond those that the voices were made from, and no audio ships.""",
        "Training": f"""
Seed {record["seed"]}, {record["step"]} steps (planned as {plans}) of {record["items"]} crops of
{record["frames"] / FRAME_RATE:.1f} s, {precision}, {record["seconds"] / 60:.0f} minutes on a shared CPU
core{begun}.{finish}
What ships is the running mean of the weights{mixture}, with mouthClose and jawOpen recalibrated at export.
Running means of the losses at the end: {losses}. The layer that hears nasals after vowels learned by itself, from
{doubt["hours"]:.1f} hours with seed {doubt["seed"]}, to a loss of {doubt["loss"]:.3f}. {remark}

```
python -m training.speech generate
python -m training.fit_audio --seed {record["seed"]} --steps {record["steps"]} --rate {record["rate"]}{extra}
{averaging}python -m training.fit_doubt --seed {doubt["seed"]} --checkpoint {CHECKPOINT}
python -m build_trt.export audio --checkpoint {CHECKPOINT}
python -m training.evaluate_audio
```""",
        "How it was judged": f"""
Never trained: flite's voice rms, the diphone voices ked (English) and dita (Czech), French, and one text in eight; the
tables use those voices on those texts. Streamed 40 ms at a time through OpenVINO, each frame in the context of the
network's own past frames. r is Pearson's correlation with the teacher at 25 frames a second; lag is the shift of the
best correlation of jawOpen; a closure of p, b or m is seen if mouthClose exceeds {CLOSED} within one frame of it; false
closures touch none. Amplitude is the deviation of jawOpen, acceleration the mean second difference of all channels,
both as shares of the teacher's.""",
    }


LIMITS: Final = (
    "The teacher defines what is right; nothing here compares with video or recordings of people. Voices are "
    "synthetic: expect somewhat less on real ones. n is sometimes taken for m (some five times as often where the "
    "voice never trained, and most often by far after front vowels), and the t, k and v of some voices for a closure."
    " A voice whose n all sound like m is believed less after ten seconds of it, but so is a language in which m is "
    "as frequent, and a voice that mixes them up in equal shares is not found out. Noise at 10 dB hides one closure "
    "in five, f and v (mouthRollLower), and makes false closures of k, t, f and v. Babble as loud as -30 dBFS stirs "
    "the lips a little. A voice of its own in the background moves them like any other; far below -53 dBFS, the "
    "quietest that was tried, a voice may not move them at all. Laughing and singing never trained."
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.evaluate_audio", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/speech"), help="shards of `training.speech generate`")
    parser.add_argument("--run", type=Path, default=Path("runs/audio"), help="folder with the log of the training")
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT, help="what the ONNX files were exported from")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="folder of the ONNX files")
    parser.add_argument("--card", type=Path, help="where to write the model card; default: audio.md beside the weights")
    parser.add_argument("--seconds", type=float, default=480.0, help="how much of every set is used")
    parser.add_argument("--remark", default="", help="what else the card should tell about the training")
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32")
    options = parser.parse_args()
    absent = [name for name in EVALUATION_VOICES if not (options.data / f"test-{name}.npz").exists()]
    if absent:
        raise SystemExit(f"no test-{absent[0]}.npz in {options.data}: run `python -m training.speech generate` first")
    sets = {name: Speech.load(options.data / f"test-{name}.npz").first(options.seconds) for name in EVALUATION_VOICES}
    log = [json.loads(line) for line in (options.run / "log.jsonl").read_text().splitlines()]
    speaker = Speaker(options.weights, options.precision)
    import torch  # only for the record of the training

    record = torch.load(options.checkpoint, map_location="cpu", weights_only=True)["record"]
    sections = _recipe(record, log, speaker, options.remark) | evaluate(speaker, sets)
    sizes = {path.name: path.stat().st_size / 1e6 for path in sorted(options.weights.glob("audio*.onnx"))}
    sections["Size and speed"] = (
        ", ".join(f"`{name}` {size:.2f} MB" for name, size in sizes.items())
        + f". One 40 ms frame takes {step_milliseconds(speaker):.2f} ms (median, OpenVINO, {options.precision}, "
        f"one thread, {platform.machine()})."
    )
    sections["Limits"] = LIMITS
    card = options.card or options.weights / "audio.md"
    model_card.write(card, "Audio networks", sections)
    print(card.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
