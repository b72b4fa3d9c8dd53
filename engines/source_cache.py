"""What was found out about avatars, once for all sessions, whichever renderer wants to know it."""

import threading
import weakref
from typing import Final, Generic, Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.avatar import Avatar
from engines.clip import ClipFrame
from engines.expression import FloatArray

ENCODED_SIZE: Final = 256
"""Pixels on a side of what encoders see of an avatar's picture."""

S = TypeVar("S")


class Encoder(Protocol[S]):
    """Makes the sources of one kind of renderer."""

    def __call__(self, avatar: Avatar) -> S:
        """That of a portrait, for one thread at a time."""

    def follow(self, still: S, frame: ClipFrame) -> S:
        """That of a frame of the clip whose portrait is `still`, in any thread."""


class SourceCache(Generic[S]):
    """Encoded portraits by content hash, shared by all sessions of a process; safe to call from any thread. One goes
    with the avatar of which it was made: people make avatars and delete them for as long as a server runs."""

    def __init__(self, encode: Encoder[S]) -> None:
        self._encode = encode
        self._sources: dict[str, S] = {}
        self._encoding = threading.Lock()

    def __len__(self) -> int:
        return len(self._sources)

    def get(self, avatar: Avatar) -> S:
        """Encode `avatar` the first time it is asked for; meanwhile nobody waits who asks for one that is there."""
        source = self._sources.get(avatar.content_hash)
        if source is not None:
            return source
        with self._encoding:
            if avatar.content_hash not in self._sources:
                self._sources[avatar.content_hash] = self._encode(avatar)
                weakref.finalize(avatar, self._sources.pop, avatar.content_hash, None).atexit = False
            return self._sources[avatar.content_hash]

    def at(self, avatar: Avatar, media_time: int) -> S:
        """The same at a media time: an avatar with a clip is another in every frame, of which none is kept."""
        still = self.get(avatar)
        return still if avatar.clip is None else self._encode.follow(still, avatar.clip.frame(media_time))


def encoder_input(picture: NDArray[np.uint8]) -> FloatArray:
    """RGB uint8 (512, 512, 3) as encoders see it: float32 (1, 3, 256, 256) in [0, 1]."""
    small = cv2.resize(picture, (ENCODED_SIZE, ENCODED_SIZE), interpolation=cv2.INTER_AREA)
    return np.asarray(small.transpose(2, 0, 1)[None] * np.float32(1 / 255), np.float32)
