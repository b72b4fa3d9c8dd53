"""What the server asks of the engines: a few shapes, so that it runs with any of them and tests with none."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from engines.drive import Drive
from engines.media import AudioChunk, MotionFrame, VideoFrame


class Avatar(Protocol):
    """A face: `thumbnail` is its small picture; `source.png` beside it the large one."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def thumbnail(self) -> Path: ...
    @property
    def clip(self) -> object | None:
        """What it moves as, if it was made of a clip."""


class Pipeline(Protocol):
    """One session's way from sound to pictures: what the scheduler runs. Called from one thread at a time.

    `controls` is a frozen dataclass with the fields that the data channel's `set` names; `drive` tells what a tracker
    saw at a media time; `scene` is None or the photo around the avatar (`engines.scene`), whose size frames then have.
    """

    controls: Any
    drive: Callable[[int], Drive]
    avatar: Any
    scene: Any
    lookahead_ticks: int

    def hear(self, chunk: AudioChunk) -> MotionFrame | None:
        """Take 20 ms; every second call returns the motion that is complete now, `lookahead_ticks` older than it."""
        ...

    def draw(self, moved: MotionFrame) -> VideoFrame:
        """The picture of a motion."""
        ...

    def interrupt(self, epoch: int) -> None:
        """Forget the voice heard so far; the frames that follow ease to rest and carry `epoch`."""
        ...

    def close(self) -> None:
        """The session has ended: let others have what it held. From any thread, while nothing else is called."""
        ...


class Engine(Protocol):
    """The networks of one process."""

    def warm_up(self, avatar: Any) -> None:
        """Do what the first caller would otherwise wait for."""
        ...

    def prepare(self, avatar: Any) -> None:
        """Encode `avatar`, which takes a moment: a pipeline that is given it later draws it at once."""
        ...

    def in_clip(self, avatar: Any, pack: Path) -> Any:
        """`avatar` as if made of a clip, which is written to the folder `pack`: by it the cost of one is measured."""
        ...

    def open(self, avatar: Any, *, seed: int = 0, lookahead_ms: int = 80) -> Pipeline: ...


class Avatars(Protocol):
    """Where avatars come from: `engines.avatar` has this shape."""

    def list_avatars(self) -> Sequence[str]: ...
    def load_avatar(self, id: str, /) -> Avatar: ...


class Made(Protocol):
    """What `engines.portrait_pack.Made` is."""

    @property
    def id(self) -> str: ...
    @property
    def points(self) -> Mapping[str, tuple[float, float]]: ...
    @property
    def notes(self) -> tuple[str, ...]: ...


class Maker(Protocol):
    """Makes avatars: `realtime.maker_process.MakerProcess` has this shape. `create` and `refit` are called in one
    thread at a time; the others meanwhile too, but not for an avatar that is refitted. Its refusals are `ValueError`s
    with a `code`."""

    most_bytes: int
    handles: tuple[str, ...]

    def list(self) -> list[str]: ...
    def load(self, id: str) -> Avatar: ...
    def create(self, data: bytes, name: str) -> Made: ...
    def refit(self, id: str, moved: Mapping[str, tuple[float, float]]) -> Made: ...
    def points(self, id: str) -> Made: ...
    def delete(self, id: str) -> None: ...
    def close(self) -> None: ...
