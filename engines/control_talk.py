"""ControlTalk's own way from the voice to the lips (arXiv 2406.02880, section 3.2), on a stream.

    voice -> HuBERT-large -> 18 features, from the frame on -> bias on the source's expression

Its network hears the 360 ms that begin with the frame, and HuBERT another 80 ms, two frames at once: the face is 440 ms
behind the voice, where our own networks are 80 ms. Head, eyes and emotion stay with our own.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from engines.avatar import Avatar
from engines.backend import Network
from engines.drawing import Drawing
from engines.ears import Ear, Ears
from engines.expression import EXPRESSION_NAMES, FloatArray
from engines.hubert import StreamingHubert, Window
from engines.media import FRAME_TICKS, Motion, MotionFrame, Speech, Voice
from engines.pipeline import Engine, Pipeline

FEATURES: Final = 18
"""That the network hears at once, 20 ms each."""
WIDTH: Final = 1024
"""Of a feature: HuBERT-large's."""
ALPHA: Final = 0.7
"""How much of the bias the authors apply; our controls' `alpha` is a multiple of it."""
_FRAMES: Final = FEATURES // 2

_SPOKEN: Final = np.array(
    [
        name.startswith(("jaw", "mouth", "tongue")) and "Smile" not in name and "Frown" not in name
        for name in EXPRESSION_NAMES
    ]
)


def without_speech(motion: Motion) -> Motion:
    """The same with jaw, lips and tongue at rest; smiles and frowns stay."""
    return replace(motion, expression=np.where(_SPOKEN, np.float32(0), motion.expression))


class ControlTalkLips:
    """The network `audio` (n, 18, 1024), `exp` (n, K, 3) -> `bias` (n, K, 3). For one thread at a time.

    `silence` float32 (18, 1024): what HuBERT makes of silence, which shuts the mouth before speech opens it.
    """

    def __init__(self, network: Network, silence: FloatArray) -> None:
        self._network, self._silence = network, silence

    def shut(self, exp: FloatArray) -> FloatArray:
        """A source's expression (K, 3) with the mouth shut."""
        return np.asarray(exp + self._bias(self._silence[None], exp[None])[0], np.float32)

    def speak(self, exps: FloatArray, voices: Sequence[Voice]) -> FloatArray:
        """Expressions (n, K, 3) with shut mouths, saying what is heard."""
        alphas = np.array([ALPHA * voice.alpha for voice in voices], np.float32)
        bias = self._bias(np.stack([voice.features for voice in voices]), exps)
        return np.asarray(exps + alphas[:, None, None] * bias, np.float32)

    def _bias(self, heard: FloatArray, exps: FloatArray) -> FloatArray:
        bias: FloatArray = self._network.run({"audio": heard, "exp": exps})["bias"]
        return bias


def behind(window: Window) -> int:
    """Frames from the last that was heard to the one that is complete: the rest of its 18 features, and what HuBERT
    waits for."""
    return _FRAMES - 1 + window.future + window.present - 1


MakeHubert = Callable[[], StreamingHubert]
"""Makes a stream's HuBERT; the networks are those of all."""


class ControlTalkEar:
    """A session's ear that hears with HuBERT as well: `features` (n, width) are what the last frame brought."""

    def __init__(self, own: Ear, hubert: StreamingHubert) -> None:
        self.own, self.hubert = own, hubert
        self.lookahead_frames = own.lookahead_frames
        self.state = hubert.start()
        self.features: FloatArray = np.zeros((0, hubert.width), np.float32)

    def forget(self) -> None:
        """See `Ear.forget`."""
        self.own.forget()
        self.state = self.hubert.start()

    def close(self) -> None:
        """See `Ear.close`."""
        self.own.close()


class ControlTalkEars:
    """Such ears: their HuBERTs hear together, and so do their `own` ears."""

    def __init__(self, own: Ears, load: MakeHubert) -> None:
        self._own, self._load = own, load

    def open(self, lookahead_ms: int) -> ControlTalkEar:
        """See `Ears.open`."""
        return ControlTalkEar(self._own.open(lookahead_ms), self._load())

    def hear(self, ears: Sequence[ControlTalkEar], pcm: FloatArray) -> FloatArray:
        """See `Ears.hear`."""
        heard = ears[0].hubert.hear_all([ear.state for ear in ears], list(pcm))
        for ear, (features, state) in zip(ears, heard, strict=True):
            ear.features, ear.state = features, state
        return self._own.hear([ear.own for ear in ears], pcm)


class ControlTalkPipeline(Pipeline):
    """A pipeline whose frames wait until HuBERT has heard enough of their future.

    What it is given of the voice stands in `_ahead`, whose first row is number `_first_ahead`; row k is about the 20 ms
    that begin k hops after the beginning, less what HuBERT lags behind.
    """

    ear: ControlTalkEar

    def __init__(self, engine: Engine, avatar: Avatar, seed: int, lookahead_ms: int, silence: FloatArray) -> None:
        super().__init__(engine, avatar, seed, lookahead_ms)
        self._window, self._nothing = self.ear.hubert.window, silence[:1]
        self._waiting: deque[MotionFrame] = deque()
        self._behind = behind(self._window)
        self._delay = self._behind - self.lookahead_ticks // FRAME_TICKS
        self.lookahead_ticks = self._behind * FRAME_TICKS
        self._listen()

    def _listen(self) -> None:
        self._first_ahead = -2 * behind(self._window)
        self._ahead = np.repeat(self._nothing, -self._first_ahead, axis=0)
        self._frames = 0

    def move(self, speech: Speech, bias: FloatArray) -> MotionFrame | None:
        """See `Pipeline.move`; the first frames fill up the delay."""
        moved = super().move(speech, bias)
        self._ahead = np.concatenate([self._ahead, self.ear.features])
        if moved is None:
            return None
        self._waiting.append(moved)
        frame, self._frames = self._frames - self._behind, self._frames + 1
        if len(self._waiting) <= self._delay:
            return None
        used = 2 * (frame + self._window.future) - self._first_ahead
        self._ahead, self._first_ahead = self._ahead[used:], self._first_ahead + used
        ready = self._waiting.popleft()
        voice = Voice(self._ahead[:FEATURES], self.controls.alpha)
        return replace(ready, motion=replace(ready.motion, voice=voice))

    def interrupt(self, epoch: int) -> None:
        """Forget the voice; the frames that wait for theirs get silence."""
        super().interrupt(epoch)
        self._listen()
        self._waiting = deque(replace(moved, epoch=epoch) for moved in self._waiting)


class ControlTalkEngine(Engine):
    """An `Engine` that opens such pipelines. `load` makes a HuBERT of its own for each of them."""

    def __init__(self, ears: Ears, drawing: Drawing, load: MakeHubert) -> None:
        super().__init__(ControlTalkEars(ears, load), drawing)
        self.silence_heard = silence_features(load())

    def open(self, avatar: Avatar, *, seed: int = 0, lookahead_ms: int = 80) -> ControlTalkPipeline:
        """See `Engine.open`; `lookahead_ms` is that of head and eyes."""
        self.prepare(avatar)
        return ControlTalkPipeline(self, avatar, seed, lookahead_ms, self.silence_heard)


def silence_features(hubert: StreamingHubert) -> FloatArray:
    """What HuBERT makes of silence, float32 (18, width)."""
    window = hubert.window
    silence = np.zeros((window.frames + FEATURES) * window.step_samples, np.float32)
    features, _ = hubert.hear(hubert.start(), silence)
    return features[-FEATURES:]
