"""What travels on the data channel `control`: one JSON object per message, each with a `type`.

From the page:

    {"type": "set", "alpha": 1.2}            how far the mouth opens, 0..1.5
    {"type": "set", "pucker": 0.8}           how much of the voice's rounding the lips show, 0..2
    {"type": "set", "spread": 1.2}           how much of its spreading, 0..2
    {"type": "set", "pose": {"pitch": 0, "yaw": 0.1, "roll": 0}}     radians, at most 0.6; null: idle motion decides;
                                             an avatar made of a clip keeps the clip's
    {"type": "set", "gaze": {"pitch": 0, "yaw": 0.1}}                radians, at most 0.5; null: idle motion decides
    {"type": "set", "blink": 0.3}            how far the lids are down, 0..1; null: they blink by themselves
    {"type": "set", "emotion": {"happy": 0.7}}   intensities of one or more of happy, tender, surprised, curious, sad,
                                             afraid, angry, disgusted: 0..1 together; null or {}: none
    {"type": "drive", ...}                   one frame of a tracker, see below
    {"type": "avatar", "id": "ada"}          change the face, the call goes on; with "scene": true the video shows all
                                             of the photo that the avatar was made of, in its own proportions
    {"type": "interrupt"}                    silence now: what is queued of the voice is dropped
    {"type": "ping", "t": 12.5}              any number
    {"type": "subscribe", "expression": true}   ask for (or stop) an `expression` event with every frame

Several values may be set in one `set`; what it does not name stays as it is, and null gives a value back (alpha, pucker
and spread are then 1). Every change is eased into. A message is at most 4 KiB, and at most 200 come through in a
second.

To the page:

    {"type": "state", "state": "connecting" | "live" | "closed", "session": "<public id>", "avatar": "ada",
     "delay_ms": 134, "codec": "VP8", "reason": "..."}          sent when the channel opens and at every change;
                                                                `reason` with "closed" only (e.g. "maximum age")
    {"type": "stats", "fps": 25.0, "frames": 250, "late_frames": 0, "undrawn": 0, "jitter_ms": 24.0, "target_ms": 20.0,
     "concealed_ms": 0, "compute_ms": 9.1, "margin_ms": 12.0, "encode_ms": 2.2, "loop_lag_ms": 0.6, "bitrate_kbps": 810,
     "rtt_ms": 1.2}                          once a second; counts since the start. `margin_ms`: the least time that a
                                             picture was ready before its release; `rtt_ms` is null until known
    {"type": "speaking", "speaking": true}   the voice that is heard *now* started (or stopped)
    {"type": "interrupted", "epoch": 2, "position": 3.48}       seconds of the interrupted epoch that were played
    {"type": "avatar", "id": "ada", "scene": false}             the face has changed
    {"type": "set", "alpha": 1.2}            what `set`, here or over HTTP, has set, as it now holds
    {"type": "drive", "driving": true}       the tracker has the face now (false: its stream stopped)
    {"type": "pong", "t": 12.5, "media_time": 96000}            `t` as it came; media time released, 48 kHz ticks
    {"type": "expression", "media_time": 96000, "late_ms": 0, "rtp": 2868000, "values": {"jawOpen": 0.4, ...},
     "pose": {"pitch": 0.01, "yaw": 0.02, "roll": 0, "x": 0, "y": 0, "z": 0}, "gaze": {"pitch": 0, "yaw": 0.01}}
                                             coefficients above 0.001 of the frame with this RTP timestamp, which shows
                                             the voice of `late_ms` before it; in a call without video, every frame as
                                             it is made, with `rtp` null
    {"type": "error", "code": "bad_message" | "unknown_avatar" | "no_scene" | "full" | "not_live" | "too_fast" |
     "second_channel", "message": "..."}                     `set` and `avatar` are followed from the state "live" on

A message that cannot be understood gets an `error` and changes nothing.

**Driven by a tracker.** A phone or a browser that tracks a face sends every frame of it, 25 to 60 in a second:

    {"type": "drive", "t": 5012.4, "values": {"browInnerUp": 0.3, "eyeBlinkLeft": 0.02, "eyeLookOutLeft": 0.1, ...},
     "pose": {"pitch": 0.05, "yaw": -0.1, "roll": 0, "x": 0, "y": 0, "z": 0}, "gaze": {"pitch": 0, "yaw": 0.1},
     "emotion": {"happy": 0.6}}

`t` is the sender's clock in milliseconds, such as `performance.now()`, by which the frames are spaced out again after
the network; without it their arrival counts. All else may be left out, and what is left out lives by itself. `values`
are ARKit's coefficients, 0..1, 0 where left out: lids, gaze, brows, cheeks, nose and the frown and dimples of the mouth
follow them; jaw, lips and tongue stay with the audio, so that a full set may be sent as it is. A smile counts as lips:
send it as an emotion. `pose` is in radians and decimetres (x to the model's left, y up, z forward), `gaze` (else taken
from eyeLook*) relative to the head; beyond 0.6, 1 and 0.5 the face stays there. Frames are shown with the voice that
was said with them. Half a second without one, and the face lives by itself again. What is `set` wins over the tracker.
On a network that loses packets, send on a second channel that does not wait for them; answers come on `control`. A
tracker on another device sends the same messages to the WebSocket `/v1/sessions/{secret}/drive`. With MediaPipe's face
landmarker in a page, for one:

    const drive = peer.createDataChannel("drive", {ordered: false, maxRetransmits: 0});

    const values = Object.fromEntries(result.faceBlendshapes[0].categories
      .filter(({categoryName}) => categoryName !== "_neutral").map(({categoryName, score}) => [categoryName, score]));
    const happy = (values.mouthSmileLeft + values.mouthSmileRight) / 2;
    drive.send(JSON.stringify({type: "drive", t: performance.now(), values, emotion: {happy}}));
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from engines.controls import Controls
from engines.drive import Drive
from realtime.values import READERS, TRACKER_READERS, ControlError, coefficients, number

MAX_MESSAGE: Final = 4096
MAX_RATE: Final = 200
"""Messages per second."""


@dataclass(frozen=True, slots=True)
class Set:
    """New values for fields of the pipeline's controls."""

    values: Mapping[str, Any]

    def apply(self, controls: Controls) -> Controls:
        """`controls` with the new values."""
        return replace(controls, **self.values)


@dataclass(frozen=True, slots=True)
class DriveFrame:
    """One frame of a tracker, and its time in seconds of the sender's clock."""

    drive: Drive
    sent: float | None


@dataclass(frozen=True, slots=True)
class ChangeAvatar:
    id: str
    scene: bool = False


@dataclass(frozen=True, slots=True)
class Interrupt:
    pass


@dataclass(frozen=True, slots=True)
class Ping:
    t: float


@dataclass(frozen=True, slots=True)
class Subscribe:
    expression: bool


Message = Set | DriveFrame | ChangeAvatar | Interrupt | Ping | Subscribe


def read_message(data: str | bytes) -> Message:
    """One message of the data channel. Raises `ControlError` with a text for the page's author."""
    if not isinstance(data, str):
        raise ControlError("Send text (a JSON object), not binary data")
    message = parse(data)
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise ControlError('The message must be a JSON object with a "type"')
    kind = message.pop("type")
    reader = _READERS.get(kind)
    if reader is None:
        raise ControlError(f'Unknown type "{kind[:40]}": send one of {", ".join(_READERS)}')
    return reader(message)


def parse(data: str | bytes) -> Any:
    """A message from JSON. Raises `ControlError` when it is none, or too long."""
    if len(data) > MAX_MESSAGE:
        raise ControlError(f"The message has {len(data)} characters: send at most {MAX_MESSAGE}")
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise ControlError("The message is not JSON") from None


def read_set(message: Any) -> Set:
    """The values of a `set`, without its type. Raises `ControlError`."""
    if not isinstance(message, dict):
        raise ControlError("The controls must be a JSON object")
    unknown = sorted(set(message) - set(READERS))
    if unknown or not message:
        named = f"unknown: {', '.join(unknown)[:80]}" if unknown else "nothing to set"
        raise ControlError(f'"set" takes {", ".join(READERS)} ({named})')
    return Set({name: READERS[name](value) for name, value in message.items()})


def _read_drive(message: dict[str, Any]) -> DriveFrame:
    if set(message) - {"t", "values", "pose", "gaze", "emotion"}:
        raise ControlError('"drive" takes t, values, pose, gaze and emotion')
    sent = None if message.get("t") is None else number(message["t"], "t", math.inf) / 1000.0
    values = message.get("values")
    if values is not None:
        values = coefficients(values)
    read = {name: reader(message.get(name)) for name, reader in TRACKER_READERS.items()}
    return DriveFrame(Drive.from_coefficients(values, **read), sent)


def _read_avatar(message: dict[str, Any]) -> ChangeAvatar:
    id, scene = message.pop("id", None), message.pop("scene", False)
    if message or not isinstance(id, str) or not isinstance(scene, bool):
        raise ControlError('"avatar" takes "id", a text, and perhaps "scene", true or false')
    return ChangeAvatar(id, scene)


def _read_interrupt(message: dict[str, Any]) -> Interrupt:
    if message:
        raise ControlError('"interrupt" takes nothing else')
    return Interrupt()


def _read_ping(message: dict[str, Any]) -> Ping:
    if set(message) != {"t"}:
        raise ControlError('"ping" takes "t", a number')
    return Ping(number(message["t"], "t", math.inf))


def _read_subscribe(message: dict[str, Any]) -> Subscribe:
    if set(message) != {"expression"} or not isinstance(message["expression"], bool):
        raise ControlError('"subscribe" takes "expression", true or false')
    return Subscribe(message["expression"])


_READERS: Final[dict[str, Callable[[dict[str, Any]], Message]]] = {
    "set": read_set,
    "drive": _read_drive,
    "avatar": _read_avatar,
    "interrupt": _read_interrupt,
    "ping": _read_ping,
    "subscribe": _read_subscribe,
}


def event(kind: str, **values: Any) -> str:
    """An event for the page, as JSON."""
    return json.dumps({"type": kind, **values}, separators=(",", ":"))
