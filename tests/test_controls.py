import json
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest

from engines.controls import Controls
from engines.expression import EXPRESSION_INDEX, EXPRESSION_NAMES, rest_expression
from engines.media import HeadPose
from realtime.controls import ChangeAvatar, DriveFrame, Interrupt, Ping, Set, Subscribe, event, read_message, read_set
from realtime.values import CONTROLS_SCHEMA, READERS, ControlError, controls_values, expression_values


def test_every_message_is_read() -> None:
    assert read_message('{"type": "interrupt"}') == Interrupt()
    assert read_message('{"type": "ping", "t": 12.5}') == Ping(12.5)
    assert read_message('{"type": "avatar", "id": "ada"}') == ChangeAvatar("ada")
    assert read_message('{"type": "avatar", "id": "ada", "scene": true}') == ChangeAvatar("ada", scene=True)
    assert read_message('{"type": "subscribe", "expression": true}') == Subscribe(True)


def test_set_replaces_what_it_names() -> None:
    message = read_message('{"type":"set","alpha":1.2,"pose":{"yaw":0.1},"gaze":{"pitch":0.2,"yaw":-0.1},"blink":0.5}')
    assert isinstance(message, Set)
    controls = message.apply(Controls(pucker=0.5))
    assert controls == Controls(1.2, 0.5, pose=HeadPose(yaw=0.1), gaze=(0.2, -0.1), blink=0.5)
    more = read_message('{"type":"set","pucker":2,"spread":0,"emotion":{"happy":0.7,"surprised":0.3}}')
    assert isinstance(more, Set)
    assert more.apply(Controls()) == Controls(pucker=2.0, spread=0.0, emotion={"happy": 0.7, "surprised": 0.3})
    back = read_message('{"type":"set","pose":null,"gaze":null,"blink":null,"emotion":null}')
    assert isinstance(back, Set)
    assert back.apply(controls) == Controls(1.2, 0.5)
    natural = read_message('{"type":"set","alpha":null,"pucker":null,"spread":null}')
    assert isinstance(natural, Set)
    assert natural.apply(Controls(0.2, 0.3, 0.4)) == Controls()


def test_what_is_told_can_be_set() -> None:
    pose = HeadPose(0.1, -0.2, 0.0, (0.1, 0.0, 0.3))
    controls = Controls(0.5, 1.5, 0.25, pose, (0.1, 0.2), 0.5, {"sad": 0.5})
    told = json.dumps({"type": "set", **controls_values(controls)})
    again = read_message(told)
    assert isinstance(again, Set)
    assert again.apply(Controls()) == controls


def ends(schema: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Values at both ends of every number that the schema of a value describes, and others just beyond them."""
    if "minimum" in schema:
        yield schema["minimum"], schema["minimum"] - 0.01
        yield schema["maximum"], schema["maximum"] + 0.01
    for name, part in schema.get("properties", {}).items():
        yield from (({name: inside}, {name: beyond}) for inside, beyond in ends(part))


def test_the_schema_says_what_is_read() -> None:
    assert list(CONTROLS_SCHEMA["properties"]) == list(READERS) == [item.name for item in fields(Controls)]
    for name, schema in CONTROLS_SCHEMA["properties"].items():
        value, nothing = schema["anyOf"]
        assert nothing == {"type": "null"}
        read_set({name: None})
        for inside, beyond in ends(value):
            read_set({name: inside})
            with pytest.raises(ControlError, match="choose"):
                read_set({name: beyond})


def test_a_frame_of_a_tracker_is_read() -> None:
    values = dict.fromkeys(EXPRESSION_NAMES, 0.123456789012345678)
    pose = {"pitch": 0.1, "yaw": -0.1, "roll": 0.0, "x": 0.1, "y": 0.0, "z": -0.2}
    full = {"type": "drive", "t": 1234.5, "values": values, "pose": pose, "emotion": {"happy": 0.5}}
    message = read_message(json.dumps(full))
    assert isinstance(message, DriveFrame)
    drive = message.drive
    assert message.sent == 1.2345 and drive.pose == HeadPose(0.1, -0.1, 0.0, (0.1, 0.0, -0.2))
    assert drive.lids is not None and drive.lids.tolist() == pytest.approx([0.1234568, 0.1234568])
    assert drive.emotion == {"happy": 0.5}
    empty = read_message('{"type": "drive"}')
    assert isinstance(empty, DriveFrame) and empty.drive.face is None and empty.sent is None


def test_a_tracker_may_see_somebody_look_farther_away_than_the_face_can() -> None:
    message = read_message('{"type":"drive","pose":{"yaw":-1.2,"pitch":0.1,"z":3},"gaze":{"yaw":0.9}}')
    assert isinstance(message, DriveFrame)
    assert message.drive.pose == HeadPose(0.1, -0.6, 0.0, (0.0, 0.0, 1.0))
    assert message.drive.gaze == (0.0, 0.5)


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
        ('{"type": "set", "spread": -1}', "choose 0 to 2"),
        ('{"type": "set", "emotion": "happy"}', "intensities of happy"),
        ('{"type": "set", "emotion": {"bored": 1}}', "intensities of happy"),
        ('{"type": "set", "emotion": {"sad": 2}}', "choose 0 to 1"),
        ('{"type": "set", "emotion": {"sad": 0.7, "happy": 0.7}}', "1.4 together"),
        ('{"type": "set", "alpha": 1' + "0" * 400 + "}", "finite number"),
        ('{"type": "drive", "smile": 1}', "values, pose"),
        ('{"type": "drive", "values": 3}', "by name"),
        ('{"type": "drive", "values": {"_neutral": 1}}', "unknown: _neutral"),
        ('{"type": "drive", "values": {"jawOpen": NaN}}', '"values.jawOpen" must be a finite number'),
        ('{"type": "drive", "values": {"browInnerUp": 1.2}}', "choose 0 to 1"),
        ('{"type": "drive", "pose": {"yaw": NaN}}', '"pose.yaw" must be a finite number'),
        ('{"type": "drive", "gaze": {"roll": 0}}', "pitch, yaw"),
        ('{"type": "drive", "t": "now"}', "finite number"),
        ('{"type": "avatar"}', '"id"'),
        ('{"type": "avatar", "id": 3}', '"id"'),
        ('{"type": "avatar", "id": "ada", "scene": 1}', '"scene"'),
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
    expression = rest_expression()
    expression[EXPRESSION_INDEX["jawOpen"]], expression[EXPRESSION_INDEX["mouthClose"]] = 0.25, 0.0005
    assert expression_values(expression) == {"jawOpen": 0.25}
