"""Self-synthesised speech with lips: generated in shards from seeds, never stored with the project.

Three kinds of voices never train: flite's rms, the diphone voices ked (English) and dita (Czech), and anything
French. One text in eight never trains either. What is held out is what `training.evaluate_audio` measures.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.expression import LIP_SIZE, FloatArray
from engines.features import FRAME_SAMPLES
from engines.media import FRAME_RATE, SPEECH_RATE
from training.speech import augment, beds, synthesizers, teacher, throat, timing
from training.speech.phonemes import SILENCE, Phone, closure
from training.speech.synthesizers import FESTIVAL_VOICES, Manner, Utterance
from training.speech.texts import Texts, load, pick

ESPEAK: Final = "espeak"
"""Stands for a fresh language and variant of espeak-ng for every sentence."""
TRAINING_VOICES: Final = {
    ESPEAK: 0.17,
    "flite:slt": 0.15,
    "flite:awb": 0.14,
    "flite:kal16": 0.05,
    "festival:kal_diphone": 0.03,
    "festival:lp_diphone": 0.05,
    "festival:pc_diphone": 0.04,
    "festival:suo_fi_lj_diphone": 0.05,
    "festival:hy_fi_mv_diphone": 0.04,
    "festival:czech_ph": 0.03,
    "festival:czech_machac": 0.04,
    "festival:czech_krb": 0.03,
    "festival:msu_ru_nsh_clunits": 0.09,
    "festival:upc_ca_ona_hts": 0.04,
    "festival:hindi_NSK_diphone": 0.05,
}
"""Share of the seconds of speech."""
LANGUAGES: Final = (
    "en-us", "en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "de", "es", "es-419", "it", "pl", "pt-br", "nl", "sv",
    "ru", "tr", "fi", "cs", "hu", "ro", "id", "ca",
)  # fmt: skip
"""What espeak-ng speaks in training."""
EVALUATION_VOICES: Final = {
    "rms": "flite:rms",
    "ked": "festival:ked_diphone",
    "dita": "festival:czech_dita",
    "french": "espeak:fr",
}
"""Held-out sets: an unseen statistical voice, two unseen diphone voices, an unseen language."""
TURN: Final = 6
"""Sentences, about 20 s, that one person says in one place: long enough to learn how they say things."""
_ODD_VARIANTS: Final = (
    "whisper", "Demonic", "UniRobot", "anikaRobot", "robosoft", "fast", "AnxiousAndy", "Tweaky", "Mr",
    "Half-LifeAnnouncementSystem",
)  # fmt: skip
"""Beginnings of the names of variants that nobody sounds like."""


@dataclass(frozen=True, slots=True)
class Speech:
    """Speech with its lips: `pcm` int16 ``(frames * 640,)`` at 16 kHz; `lips` uint8 ``(frames, 9)``, 255 for 1;
    `labels` uint8 ``(frames * 2,)``; `closures` float64 ``(m, 2)``, when (in seconds) the lips touch."""

    pcm: NDArray[np.int16]
    lips: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    closures: NDArray[np.float64]

    @property
    def frames(self) -> int:
        return len(self.lips)

    @property
    def seconds(self) -> float:
        return self.frames / FRAME_RATE

    def first(self, seconds: float) -> "Speech":
        """Its beginning, in whole frames."""
        frames = min(self.frames, int(seconds * FRAME_RATE))
        whole = self.closures[self.closures[:, 1] <= frames / FRAME_RATE]
        return Speech(self.pcm[: frames * FRAME_SAMPLES], self.lips[:frames], self.labels[: 2 * frames], whole)

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")  # which no reader of shards takes for one
        with partial.open("wb") as file:
            np.savez(file, pcm=self.pcm, lips=self.lips, labels=self.labels, closures=self.closures)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Speech":
        with np.load(path) as arrays:
            return cls(**{name: arrays[name] for name in ("pcm", "lips", "labels", "closures")})


def joined(parts: list[Speech]) -> Speech:
    """One after the other."""
    starts = np.cumsum([0.0] + [part.seconds for part in parts])[:-1]
    closures = [part.closures + start for part, start in zip(parts, starts, strict=True)]
    return Speech(
        np.concatenate([np.zeros(0, np.int16), *(part.pcm for part in parts)]),
        np.concatenate([np.zeros((0, LIP_SIZE), np.uint8), *(part.lips for part in parts)]),
        np.concatenate([np.zeros(0, np.uint8), *(part.labels for part in parts)]),
        np.concatenate([np.zeros((0, 2)), *closures]),
    )


def taught(rng: np.random.Generator, utterance: Utterance, person: int | None) -> Speech:
    """An utterance after a pause of 0.05 to 1.2 s, with its lips, as it is or from the throat, the room and the line of
    a `person`, known by number."""
    if person is not None:
        utterance = _paced(rng, utterance)
    their = np.random.default_rng(person)  # draws the same for whatever a person says
    size = np.exp(their.uniform(-0.13, 0.13)) if person is not None and their.random() < 0.6 else 1.0
    voice = augment.resampled(utterance.samples, utterance.rate * size)
    stretch = len(voice) / SPEECH_RATE / (len(utterance.samples) / utterance.rate)
    pause = rng.uniform(0.05, 0.5) if rng.random() < 0.7 else rng.uniform(0.5, 1.2)
    before = round(pause * FRAME_RATE) * FRAME_SAMPLES
    if person is not None and their.random() < 0.8:
        voice = throat.revoiced(rng, voice, throat.warp(their), throat.breathiness(their))
    voice = voice * (augment.SPEECH_LEVEL / (np.sqrt((voice**2).mean()) + 1e-6))
    samples = np.pad(voice, (before, -len(voice) % FRAME_SAMPLES)).astype(np.float32)
    if person is not None:
        if pause > 0.4 and rng.random() < 0.4:
            sound = beds.breath(rng)[: before - 800]
            samples[: len(sound)] += sound * augment.SPEECH_LEVEL * 10 ** (-rng.uniform(8, 32) / 20)
        samples = _through_the_air(their, samples)
    seconds = len(samples) / SPEECH_RATE
    phones = [phone.moved(before / SPEECH_RATE, stretch) for phone in utterance.phones]
    phones = [Phone(SILENCE, 0.0, phones[0].start), *phones, Phone(SILENCE, phones[-1].end, seconds)]
    lips = teacher.lips(teacher.articulation(phones, seconds))
    return Speech(
        np.clip(samples * 32768, -32768, 32767).astype(np.int16),
        np.round(lips * 255).astype(np.uint8),
        teacher.labels(phones, seconds),
        np.array([pair for pair in map(closure, phones) if pair is not None], np.float64).reshape(-1, 2),
    )


def _paced(rng: np.random.Generator, utterance: Utterance) -> Utterance:
    if rng.random() < 0.5:
        utterance = timing.swayed(rng, utterance)
    if rng.random() < 0.4:
        utterance = timing.unreleased(rng, utterance)
    return timing.halted(rng, utterance) if rng.random() < 0.3 else utterance


def _through_the_air(rng: np.random.Generator, samples: FloatArray) -> FloatArray:
    if rng.random() < 0.45:
        samples = augment.room(rng, samples)
    if rng.random() < 0.1:
        samples = augment.overdriven(rng, samples)
    line = rng.random()
    if line < 0.1:
        return augment.telephone(samples)
    if line < 0.22:
        return augment.narrowed(rng, samples)
    if line < 0.36:
        return augment.opus(samples, int(rng.choice([12_000, 16_000, 24_000, 32_000])))
    return samples


def _manners(rng: np.random.Generator, count: int) -> list[Manner]:
    """How somebody speaks so many sentences."""
    tempo, pitch, liveliness = rng.uniform(0.75, 1.3), float(np.exp(rng.uniform(-0.35, 0.4))), rng.random()
    tempi = [tempo * rng.uniform(0.92, 1.08) for _ in range(count)]
    if rng.random() < 0.2:
        return [Manner(tempo) for tempo in tempi]
    return [Manner(tempo, pitch * rng.uniform(0.94, 1.06), liveliness) for tempo in tempi]


def _language(voice: str) -> str:
    engine, _, name = voice.partition(":")
    if engine == "festival":
        return FESTIVAL_VOICES[name][0]
    return name.partition("+")[0] if engine == "espeak" else "en"


def turns(
    rng: np.random.Generator, source: str, texts: Texts, seconds: float, *, evaluation: bool
) -> Iterator[list[Utterance]]:
    """At least this many seconds of speech from one source (a voice or `ESPEAK`): what one person after another says,
    `TURN` sentences at most, or one for evaluation."""
    length = 1 if evaluation else TURN
    variants = [""] * 4
    if source == ESPEAK:
        names = synthesizers.espeak().variants()
        variants += [name for name in names if " " not in name and not name.startswith(_ODD_VARIANTS)]
    spoken, failures = 0.0, 0
    while spoken < seconds:
        voice, people = source, 1
        if source == ESPEAK:
            variant = variants[rng.integers(len(variants))]
            voice = f"espeak:{LANGUAGES[rng.integers(len(LANGUAGES))]}" + (f"+{variant}" if variant else "")
        elif source.startswith("festival:"):  # starting festival is slow: many sentences at once
            people = -(-(int((seconds - spoken) / 3.5) + 2) // length)
        lines = [pick(rng, texts, _language(voice), evaluation=evaluation) for _ in range(people * length)]
        manners = [Manner()] * len(lines) if evaluation else [m for _ in range(people) for m in _manners(rng, length)]
        try:
            results = synthesizers.say(voice, lines, manners)
        except synthesizers.SynthesisError:
            results = [None]
        for start in range(0, len(results), length):
            turn = [said for said in results[start : start + length] if said is not None and _is_speech(said)]
            failures += not turn
            spoken += sum(len(said.samples) / said.rate for said in turn)
            if turn:
                yield turn
        if failures > 200 and spoken == 0.0:
            raise synthesizers.SynthesisError(f"{source} fails on every sentence")


def _is_speech(utterance: Utterance) -> bool:
    return len(utterance.samples) >= utterance.rate // 4 and len(utterance.phones) >= 4


def generate(seed: int, texts: Texts, seconds: float, shares: dict[str, float], *, evaluation: bool) -> Speech:
    """Speech by these voices (shares of the seconds), their turns shuffled. The same seed gives the same speech.

    Voices that are not installed are left out with a warning. For evaluation: held-out texts, voices as they are.
    """
    rng = np.random.default_rng(seed)
    absent = [source for source in shares if source != ESPEAK and synthesizers.missing(source)]
    if absent:
        warnings.warn(f"these voices are not installed and are left out: {', '.join(absent)}", stacklevel=2)
    parts = [
        joined([taught(rng, utterance, person) for utterance in turn])
        for source, share in shares.items()
        if source not in absent
        for turn in turns(rng, source, texts, share * seconds, evaluation=evaluation)
        for person in [None if evaluation else int(rng.integers(2**31))]
    ]
    return joined([parts[index] for index in rng.permutation(len(parts))])


def write_shard(path: Path, texts: Path, minutes: float, shares: dict[str, float], seed: int) -> str:
    """Generate one shard and save it; its name, which is returned, tells whether it trains or judges."""
    evaluation = path.name.startswith("test-")
    seed = int.from_bytes(f"{seed} {path.stem}".encode()[:16], "little")
    generate(seed, load(texts), minutes * 60, shares, evaluation=evaluation).save(path)
    return path.stem
