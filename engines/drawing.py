"""What an engine draws with: the compact renderer, or one of the full-size families."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engines.avatar import Avatar
from engines.expression import FloatArray
from engines.media import Motion


class Sources(Protocol):
    """What is known of avatars, found out once. Safe to call from any thread."""

    def get(self, avatar: Avatar) -> Any:
        """The avatar's source, of the kind that the renderers of this drawing take."""

    def at(self, avatar: Avatar, media_time: int) -> Any:
        """The same at a media time, where the avatar has a clip."""


@dataclass(frozen=True)
class Painting:
    """A `picture`, RGB uint8 (512, 512, 3). Much of it may be a clip's own frame: `new` float32 (64, 64) then says of
    each cell of 8 x 8 pixels how much is not, from 0 to 1."""

    picture: NDArray[np.uint8]
    new: FloatArray | None = None


class Renderer(Protocol):
    """Draws for one thread at a time."""

    def paint(self, source: Any, motion: Motion) -> Painting:
        """The picture of a motion."""

    def step(self, source: Any, motion: Motion) -> NDArray[np.uint8]:
        """The same as I420 planes, uint8 (768, 512)."""


@dataclass(frozen=True)
class Drawing:
    """The sources of all sessions; `open` makes a renderer for one."""

    sources: Sources
    open: Callable[[], Renderer]
