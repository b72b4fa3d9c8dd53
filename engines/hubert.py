"""Full-size HuBERT or wav2vec 2.0 on a stream: 16 kHz speech in, 50 features a second out.

These networks were made for whole utterances: every feature may depend on every sample. Here they hear a window that
moves on with the speech, and only the features of its `present` are used, which has `past` before it and `future` after
it. Features therefore come 2 * `future` behind what was heard; the first ones are about silence before the stream.

A network whose front end looks at 400 samples only (layer norm) hears every sample once, and what it made of the older
part of the window is kept; one that looks at all it is given (group norm) hears the whole window again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.backend import Network
from engines.loudness import Level, normalised

SAMPLES_PER_FRAME: Final = 640
"""Of a video frame, 40 ms; two features."""
OVERLAP: Final = 80
"""Samples that the last feature of a window needs beyond its 320. They are taken from before, not from after: features
are 5 ms older than in an utterance, and none waits for samples of the next frame."""

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Window:
    """Video frames of 40 ms: heard before, asked about, heard after."""

    past: int
    present: int
    future: int

    @property
    def frames(self) -> int:
        return self.past + self.present + self.future

    @property
    def features(self) -> int:
        """In the whole window."""
        return 2 * self.frames

    @property
    def step_samples(self) -> int:
        """New samples per step."""
        return self.present * SAMPLES_PER_FRAME

    @property
    def lookahead_seconds(self) -> float:
        """From the end of a frame to the moment its features can be computed; waiting for a full step comes on top."""
        return self.future * 0.04

    @property
    def asked(self) -> slice:
        """Features about the present."""
        return slice(2 * self.past, 2 * (self.past + self.present))

    def front_samples(self, keeps: bool) -> int:
        """That the front end is given at each step, if its outputs are kept or not."""
        return (self.present if keeps else self.frames) * SAMPLES_PER_FRAME + OVERLAP


FINE: Final = Window(24, 2, 2)
"""Long context, every 80 ms."""
COARSE: Final = Window(3, 5, 2)
"""The window of Ditto (digital-avatar/ditto-talkinghead): five frames at once, a third of the work."""


@dataclass(frozen=True, slots=True)
class HearingState:
    """All that is remembered of a stream. Never changed in place."""

    level: Level
    waiting: FloatArray
    """Samples that do not make a step yet."""
    samples: FloatArray
    """Normalised, that the front end hears again."""
    heard: FloatArray
    """(kept, channels): what the front end made of the older part of the window."""


class StreamingHubert:
    """A front end `pcm` (1, S) -> `heard` (1, T, channels) and an encoder `heard` -> `features` (1, 2 * frames, width).

    Raises ValueError if their shapes are not those of the window. `normalise` False leaves the level as it is.
    """

    def __init__(self, front: Network, encoder: Network, window: Window, normalise: bool = True) -> None:
        given, wanted = front.inputs.get("pcm"), encoder.inputs.get("heard")
        sizes = {(1, window.front_samples(keeps)): keeps for keeps in (True, False)}
        if given not in sizes or not wanted or wanted[:2] != (1, window.features):
            raise ValueError(
                f"for {window} the front end needs pcm {' or '.join(map(str, sizes))} and the encoder heard "
                f"(1, {window.features}, channels); they have {dict(front.inputs)} and {dict(encoder.inputs)}"
            )
        self._front, self._encoder, self.window, self._normalise = front, encoder, window, normalise
        self._kept = window.features - 2 * window.present if sizes[given] else 0
        self._overlap = given[1] - window.step_samples
        silence = front.run({"pcm": np.zeros(given, np.float32)})["heard"][0]
        self._silence = np.resize(silence, (self._kept, silence.shape[1]))
        nothing = np.zeros(encoder.inputs["heard"], np.float32)
        self.width = int(encoder.run({"heard": nothing})["features"].shape[2])

    def start(self) -> HearingState:
        """The state before anything was heard: silence."""
        nothing = np.zeros(0, np.float32)
        return HearingState(Level(), nothing, np.zeros(self._overlap, np.float32), self._silence)

    def hear(self, state: HearingState, pcm: FloatArray) -> tuple[FloatArray, HearingState]:
        """Hear `pcm` float32 (S,), full scale 1, of any length: features float32 (2 * present * steps, width) of all
        steps that are complete with it, perhaps none, and the next state."""
        return self.hear_all([state], [pcm])[0]

    def hear_all(
        self, states: Sequence[HearingState], pcm: Sequence[FloatArray]
    ) -> list[tuple[FloatArray, HearingState]]:
        """The same for several streams: their steps are computed together, if the networks take as many rows."""
        states = [replace(s, waiting=np.concatenate([s.waiting, new])) for s, new in zip(states, pcm, strict=True)]
        features = [[np.zeros((0, self.width), np.float32)] for _ in states]
        step = self.window.step_samples
        while ready := [index for index, state in enumerate(states) if len(state.waiting) >= step]:
            for index in ready:
                states[index] = self._taken(states[index])
            whole = self._front.run({"pcm": np.stack([states[index].samples for index in ready])})["heard"].copy()
            if self._kept:
                whole = np.concatenate([np.stack([states[index].heard for index in ready]), whole], axis=1)
            said = self._encoder.run({"heard": whole})["features"][:, self.window.asked].copy()
            for row, index in enumerate(ready):
                features[index].append(said[row])
                kept = whole[row, whole.shape[1] - self._kept :].copy()
                states[index] = replace(states[index], samples=states[index].samples[step:], heard=kept)
        return [(np.concatenate(each), state) for each, state in zip(features, states, strict=True)]

    def _taken(self, state: HearingState) -> HearingState:
        """A step's samples, normalised, behind those that are heard again."""
        step, level = self.window.step_samples, state.level
        new = state.waiting[:step]
        if self._normalise:
            new, level = normalised(level, new)
        return HearingState(level, state.waiting[step:], np.concatenate([state.samples, new]), state.heard)
