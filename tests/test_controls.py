import json

import numpy as np
import pytest

from engines.media import HeadPose
from engines.motion import Controls
from realtime.controls import (
    ChangeAvatar,
    ControlError,
    Interrupt,
    Ping,
    Set,
    Subscribe,
    event,
    expression_values,
    read_message,
)


def test_every_message_is_read() -> None:
    assert read_message('{"type": "interrupt"}') == Interrupt()
    assert read_message('{"type": "ping", "t": 12.5}') == Ping(12.5)
    assert read_message('{"type": "avatar", "id": "ada"}') == ChangeAvatar("ada")
    assert read_message('{"type": "subscribe", "expression": true}') == Subscribe(True)


def test_set_replaces_what_it_names() -> None:
    message = read_message('{"type":"set","alpha":1.2,"pose":{"yaw":0.1},"gaze":{"pitch":0.2,"yaw":-0.1},"blink":0.5}')
    assert isinstance(message, Set)
    controls = message.apply(Controls())
    assert controls == Controls(1.2, HeadPose(yaw=0.1), (0.2, -0.1), 0.5)
    back = read_message('{"type":"set","pose":null,"gaze":null,"blink":null}')
    assert isinstance(back, Set)
    assert back.apply(controls) == Controls(1.2)


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        ("{", "not JSON"),
        (b"{}", "text"),
        ("[]", "object"),
        ("{}", '"type"'),
        ('{"type": 3}', '"type"'),
        ('{"type": "start"}', "Unknown type"),
        ('{"type": "set"}', "nothing to set"),
        ('{"type": "set", "smile": 1}', "unknown: smile"),
        ('{"type": "set", "alpha": 2}', "choose 0 to 1.5"),
        ('{"type": "set", "alpha": "1"}', "finite number"),
        ('{"type": "set", "alpha": true}', "finite number"),
        ('{"type": "set", "alpha": NaN}', "finite number"),
        ('{"type": "set", "alpha": 1e999}', "finite number"),
        ('{"type": "set", "pose": 3}', "pitch, yaw, roll"),
        ('{"type": "set", "pose": {"pitch": 9}}', "choose -0.6 to 0.6"),
        ('{"type": "set", "pose": {"jaw": 0}}', "pitch, yaw, roll"),
        ('{"type": "set", "gaze": {}}', "pitch, yaw"),
        ('{"type": "set", "blink": 2}', "choose 0 to 1"),
        ('{"type": "avatar"}', '"id"'),
        ('{"type": "avatar", "id": 3}', '"id"'),
        ('{"type": "ping"}', '"t"'),
        ('{"type": "ping", "t": Infinity}', "finite"),
        ('{"type": "interrupt", "now": 1}', "nothing else"),
        ('{"type": "subscribe", "expression": 1}', "true or false"),
        ("[" * 4000, "not JSON"),
        (" " * 5000, "4096"),
    ],
)
def test_what_cannot_be_followed_is_explained(message: str | bytes, advice: str) -> None:
    with pytest.raises(ControlError) as caught:
        read_message(message)
    assert advice in str(caught.value)


def test_events_are_json() -> None:
    assert json.loads(event("pong", t=1.5)) == {"type": "pong", "t": 1.5}


def test_only_coefficients_that_matter_are_told() -> None:
    values = np.array([0.0, 0.25, 0.0005], np.float32)
    assert expression_values(("a", "b", "c"), values) == {"b": 0.25}
