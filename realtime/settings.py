"""Everything that can be set about the server: one frozen dataclass, from the command line and the environment.

Every field is a flag (`max_sessions` is `--max-sessions`) and a variable (`VISAVIS_MAX_SESSIONS`); the flag wins.
"""

import argparse
import os
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from math import inf
from typing import Any, Final, Self

from engines.media import MEDIA_RATE

LOOKAHEADS_MS: Final = (0, 80, 160)
CONTROL_TALK: Final = "control_talk"
RENDERERS: Final = ("compact", "live_portrait", "face_vid2vid", CONTROL_TALK)
_CONTROL_TALK_MS: Final = 440
"""Lookahead of its HuBERT and of its lips (`engines.control_talk.behind`)."""
DEVICES: Final = ("auto", "cpu", "gpu")


def _setting(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one server process. Raises `ValueError` with advice when a value makes no sense."""

    host: str = _setting("127.0.0.1", "address to listen on; browsers give a microphone to localhost and HTTPS only")
    port: int = _setting(8000, "TCP port of the page and of the signalling")
    max_sessions: int = _setting(0, "most calls at a time (default: as many as this machine was found to carry)")
    avatar: str = _setting("", "avatar that appears when the page does not ask for one (default: the first)")
    renderer: str = _setting(
        "compact", "networks that draw: compact, or imported ones: live_portrait, face_vid2vid, control_talk"
    )
    device: str = _setting(
        "auto", "where they run: cpu, gpu, or auto (full-size networks on the GPU, compact on the CPU)"
    )
    models: str = _setting("", "folder of imported networks (default: XDG's data folder, visavis/models)")
    plans: str = _setting("", "folder of plans built for the GPU (default: XDG's cache, visavis/plans)")
    lookahead_ms: int = _setting(80, "how much of the coming sound the lips may hear: 0, 80 or 160")
    compute_ms: int = _setting(34, "time allowed for making one picture; less is faster, too little makes them late")
    jitter_min_ms: int = _setting(20, "least delay of the microphone's jitter buffer")
    jitter_max_ms: int = _setting(40, "most delay that the jitter buffer chooses by itself on a bad network")
    workers: int = _setting(0, "threads that run the networks (default: one per core)")
    video_kbps: int = _setting(1000, "bitrate that the video may take, from its first picture on")
    connect_seconds: float = _setting(15.0, "time in which a new call has to connect")
    silence_seconds: float = _setting(15.0, "a call from which nothing at all arrives for so long is ended")
    max_age_seconds: float = _setting(3600.0, "longest duration of a call")
    retry_seconds: int = _setting(5, "what callers are told to wait when the house is full")
    ice_servers: str = _setting("", "comma-separated stun: and turn: URLs, when the server is behind NAT")
    ice_username: str = _setting("", "user name for the TURN server")
    ice_credential: str = _setting("", "password for the TURN server")
    cors_origins: str = _setting("", "comma-separated origins of other sites that may call this server")
    tls_cert: str = _setting("", "PEM certificate: serves HTTPS, which microphones need on other machines")
    tls_key: str = _setting("", "PEM key of the certificate")
    avatar_folder: str = _setting("", "where avatars made of photos lie (default: XDG's data folder, visavis/avatars)")
    max_uploads: int = _setting(50, "avatars that people may make of photos; 0: none")
    token: str = _setting("", "bearer token that callers must send (default: everybody may call)")

    def __post_init__(self) -> None:
        if self.lookahead_ms not in LOOKAHEADS_MS:
            raise ValueError(f"lookahead_ms is {self.lookahead_ms}: choose one of {LOOKAHEADS_MS}")
        if self.renderer not in RENDERERS:
            raise ValueError(f"renderer is {self.renderer!r}: choose one of {', '.join(RENDERERS)}")
        if self.device not in DEVICES:
            raise ValueError(f"device is {self.device!r}: choose one of {', '.join(DEVICES)}")
        if not 0 <= self.port <= 65_535:
            raise ValueError(f"port is {self.port}: choose 0 (any that is free) to 65535")
        if self.max_sessions < 0:
            raise ValueError(f"max_sessions is {self.max_sessions}: choose 0 (as many as can be) or more")
        if self.max_uploads < 0:
            raise ValueError(f"max_uploads is {self.max_uploads}: choose 0 (none) or more")
        for name in ("connect_seconds", "silence_seconds", "max_age_seconds", "retry_seconds"):
            if not 0 < getattr(self, name) < inf:
                raise ValueError(f"{name} is {getattr(self, name)}: choose more than 0")
        for url in self.ice_urls:
            if not url.startswith(("stun:", "stuns:", "turn:", "turns:")):
                raise ValueError(f"ice_servers has {url!r}: each begins with stun: or turn:")
        if not 0 < self.jitter_min_ms <= self.jitter_max_ms <= 500:
            raise ValueError("jitter_min_ms and jitter_max_ms must be above 0, in this order, and at most 500")
        if not 0 <= self.compute_ms <= 500:
            raise ValueError(f"compute_ms is {self.compute_ms}: choose 0 to 500")
        if not 150 <= self.video_kbps <= 10_000:
            raise ValueError(f"video_kbps is {self.video_kbps}: choose 150 to 10000")
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("tls_cert and tls_key belong together: give both or none")
        if self.workers < 0:
            raise ValueError(f"workers is {self.workers}: choose 0 (one per core) or more")

    @property
    def ice_urls(self) -> list[str]:
        """The URLs of `ice_servers`."""
        return [url.strip() for url in self.ice_servers.split(",") if url.strip()]

    @property
    def origins(self) -> list[str]:
        """The sites of `cors_origins`."""
        return [origin.strip() for origin in self.cors_origins.split(",") if origin.strip()]

    @property
    def delay_ticks(self) -> int:
        """From the reading of a sample to its release with its picture: lookahead, the second half of the frame that
        it may stand in, and the making of the picture."""
        lookahead_ms = _CONTROL_TALK_MS if self.renderer == CONTROL_TALK else self.lookahead_ms
        return (lookahead_ms + 20 + self.compute_ms) * MEDIA_RATE // 1000

    @property
    def slack(self) -> float:
        """Seconds from the hearing of a frame's voice to the release of its picture."""
        return self.compute_ms / 1000

    @property
    def worker_count(self) -> int:
        return self.workers or max(2, os.cpu_count() or 2)

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Give `parser` one flag per setting."""
        for item in fields(cls):
            default = f" (default: {item.default})" if item.default not in ("", 0) else ""
            flag = "--" + item.name.replace("_", "-")
            parser.add_argument(flag, type=_type(item), metavar=item.name.upper(), help=item.metadata["help"] + default)

    @classmethod
    def load(cls, arguments: argparse.Namespace | None = None, environment: Mapping[str, str] = os.environ) -> Self:
        """Settings from parsed flags, then from `VISAVIS_*`, then the defaults."""
        values: dict[str, Any] = {}
        for item in fields(cls):
            variable = "VISAVIS_" + item.name.upper()
            flag = getattr(arguments, item.name, None)
            if flag is not None:
                values[item.name] = flag
            elif variable in environment:
                try:
                    values[item.name] = _type(item)(environment[variable])
                except ValueError as error:
                    raise ValueError(f"{variable}={environment[variable]!r} is not {_type(item).__name__}") from error
        return cls(**values)


def _type(item: Field[Any]) -> type:
    return type(item.default)
