"""What travels on the data channel `control`: one JSON object per message, each with a `type`.

From the page:

    {"type": "set", "alpha": 1.2}            how far the mouth opens, 0..1.5
    {"type": "set", "pose": {"pitch": 0, "yaw": 0.1, "roll": 0}}     radians, at most 0.6; null: idle motion decides
    {"type": "set", "gaze": {"pitch": 0, "yaw": 0.1}}                radians, at most 0.5; null: idle motion decides
    {"type": "set", "blink": 0.3}            how far the lids are down, 0..1; null: they blink by themselves
    {"type": "avatar", "id": "ada"}          change the face, the call goes on
    {"type": "interrupt"}                    silence now: what is queued of the voice is dropped
    {"type": "ping", "t": 12.5}              any number
    {"type": "subscribe", "expression": true}   ask for (or stop) an `expression` event with every frame

Several values may be set in one `set`. A message is at most 4 KiB, and at most 200 come through in a second.

To the page:

    {"type": "state", "state": "connecting" | "live" | "closed", "session": "<public id>", "avatar": "ada",
     "delay_ms": 145, "codec": "VP8", "reason": "..."}          sent when the channel opens and at every change;
                                                                `reason` with "closed" only (e.g. "maximum age")
    {"type": "stats", "fps": 25.0, "frames": 250, "late_frames": 0, "undrawn": 0, "jitter_ms": 24.0, "target_ms": 20.0,
     "concealed_ms": 0, "compute_ms": 9.1, "margin_ms": 12.0, "encode_ms": 2.2, "loop_lag_ms": 0.6, "bitrate_kbps": 810,
     "rtt_ms": 1.2}                          once a second; counts since the start. `margin_ms`: the least time that a
                                             picture was ready before its release; `rtt_ms` is null until known
    {"type": "speaking", "speaking": true}   the voice that is heard *now* started (or stopped)
    {"type": "interrupted", "epoch": 2, "position": 3.48}       seconds of the interrupted epoch that were played
    {"type": "avatar", "id": "ada"}          the face has changed
    {"type": "set", "alpha": 1.2}            what `set` has set, as it now holds
    {"type": "pong", "t": 12.5, "media_time": 96000}            `t` as it came; media time released, 48 kHz ticks
    {"type": "expression", "media_time": 96000, "late_ms": 0, "rtp": 2868000, "values": {"jawOpen": 0.4, ...}}
                                             coefficients above 0.001 of the frame with this RTP timestamp, which shows
                                             the voice of `late_ms` before it
    {"type": "error", "code": "bad_message" | "unknown_avatar" | "not_live" | "too_fast" | "second_channel",
     "message": "..."}                       `set` and `avatar` are followed from the state "live" on

A message that cannot be understood gets an `error` and changes nothing.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from engines.media import HeadPose

MAX_MESSAGE: Final = 4096
MAX_RATE: Final = 200
"""Messages per second."""
_ALPHA_LIMIT: Final = 1.5
_POSE_LIMIT: Final = 0.6
_GAZE_LIMIT: Final = 0.5


class ControlError(ValueError):
    """A message that cannot be followed; `code` and the text go back in an `error` event."""

    def __init__(self, message: str, code: str = "bad_message") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Set:
    """New values for fields of the pipeline's controls."""

    values: Mapping[str, Any]

    def apply(self, controls: Any) -> Any:
        """`controls` (a frozen dataclass) with the new values."""
        return replace(controls, **self.values)


@dataclass(frozen=True, slots=True)
class ChangeAvatar:
    id: str


@dataclass(frozen=True, slots=True)
class Interrupt:
    pass


@dataclass(frozen=True, slots=True)
class Ping:
    t: float


@dataclass(frozen=True, slots=True)
class Subscribe:
    expression: bool


Message = Set | ChangeAvatar | Interrupt | Ping | Subscribe


def read_message(data: str | bytes) -> Message:
    """One message of the data channel. Raises `ControlError` with a text for the page's author."""
    if not isinstance(data, str):
        raise ControlError("Send text (a JSON object), not binary data")
    if len(data) > MAX_MESSAGE:
        raise ControlError(f"The message has {len(data)} characters: send at most {MAX_MESSAGE}")
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        raise ControlError("The message is not JSON") from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise ControlError('The message must be a JSON object with a "type"')
    kind = message.pop("type")
    reader = _READERS.get(kind)
    if reader is None:
        raise ControlError(f'Unknown type "{kind[:40]}": send one of {", ".join(_READERS)}')
    return reader(message)


def _read_set(message: dict[str, Any]) -> Set:
    unknown = sorted(set(message) - set(_VALUES))
    if unknown or not message:
        named = f"unknown: {', '.join(unknown)[:80]}" if unknown else "nothing to set"
        raise ControlError(f'"set" takes {", ".join(_VALUES)} ({named})')
    return Set({name: _VALUES[name](value) for name, value in message.items()})


def _read_avatar(message: dict[str, Any]) -> ChangeAvatar:
    if set(message) != {"id"} or not isinstance(message["id"], str):
        raise ControlError('"avatar" takes "id", a text')
    return ChangeAvatar(message["id"])


def _read_interrupt(message: dict[str, Any]) -> Interrupt:
    if message:
        raise ControlError('"interrupt" takes nothing else')
    return Interrupt()


def _read_ping(message: dict[str, Any]) -> Ping:
    if set(message) != {"t"}:
        raise ControlError('"ping" takes "t", a number')
    return Ping(_number(message["t"], "t", math.inf))


def _read_subscribe(message: dict[str, Any]) -> Subscribe:
    if set(message) != {"expression"} or not isinstance(message["expression"], bool):
        raise ControlError('"subscribe" takes "expression", true or false')
    return Subscribe(message["expression"])


def _number(value: Any, name: str, limit: float, low: float | None = None) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ControlError(f'"{name}" must be a finite number')
    low = -limit if low is None else low
    if not low <= value <= limit:
        raise ControlError(f'"{name}" is {value:g}: choose {low:g} to {limit:g}')
    return float(value)


def _angles(value: Any, name: str, axes: tuple[str, ...], limit: float) -> list[float]:
    if not isinstance(value, dict) or not value or set(value) - set(axes):
        raise ControlError(f'"{name}" must be null or an object with {", ".join(axes)} in radians')
    return [_number(value.get(axis, 0.0), f"{name}.{axis}", limit) for axis in axes]


def _alpha(value: Any) -> float:
    return _number(value, "alpha", _ALPHA_LIMIT, 0.0)


def _pose(value: Any) -> HeadPose | None:
    if value is None:
        return None
    pitch, yaw, roll = _angles(value, "pose", ("pitch", "yaw", "roll"), _POSE_LIMIT)
    return HeadPose(pitch, yaw, roll)


def _gaze(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    pitch, yaw = _angles(value, "gaze", ("pitch", "yaw"), _GAZE_LIMIT)
    return pitch, yaw


def _blink(value: Any) -> float | None:
    return None if value is None else _number(value, "blink", 1.0, 0.0)


_VALUES: Final[dict[str, Callable[[Any], Any]]] = {"alpha": _alpha, "pose": _pose, "gaze": _gaze, "blink": _blink}
_READERS: Final[dict[str, Callable[[dict[str, Any]], Message]]] = {
    "set": _read_set,
    "avatar": _read_avatar,
    "interrupt": _read_interrupt,
    "ping": _read_ping,
    "subscribe": _read_subscribe,
}


def event(kind: str, **values: Any) -> str:
    """An event for the page, as JSON."""
    return json.dumps({"type": kind, **values}, separators=(",", ":"))


def expression_values(names: tuple[str, ...], values: Any) -> dict[str, float]:
    """The coefficients worth telling, by name."""
    return {name: round(float(value), 4) for name, value in zip(names, values, strict=True) if abs(value) > 0.001}
