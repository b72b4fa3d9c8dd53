"""Full-size HuBERT or wav2vec 2.0 on a stream: 16 kHz speech in, 50 features a second out.

These networks were made for whole utterances: every feature may depend on every sample. Here they hear a window that
moves on with the speech, and only the features of its `present` are used, which has `past` before it and `future` after
it. Features therefore come 2 * `future` behind what was heard; the first ones are about silence before the stream.

A network whose front end looks at 400 samples only (layer norm) hears every sample once, and what it made of the older
part of the window is kept; one that looks at all it is given (group norm) hears the whole window again.
"""

from dataclasses import dataclass
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
        waiting = np.concatenate([state.waiting, pcm])
        level, samples, heard, step = state.level, state.samples, state.heard, self.window.step_samples
        features = [np.zeros((0, self.width), np.float32)]
        while len(waiting) >= step:
            new, waiting = waiting[:step], waiting[step:]
            if self._normalise:
                new, level = normalised(level, new)
            samples = np.concatenate([samples, new])
            made = self._front.run({"pcm": samples[None]})["heard"][0]
            whole = np.concatenate([heard, made]) if self._kept else made.copy()
            features.append(self._encoder.run({"heard": whole[None]})["features"][0, self.window.asked].copy())
            samples, heard = samples[step:], whole[len(whole) - self._kept :]
        return np.concatenate(features), HearingState(level, waiting, samples, heard)
