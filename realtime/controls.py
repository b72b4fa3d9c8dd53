"""What travels on the data channel `control`: one JSON object per message, each with a `type`.

From the page:

    {"type": "set", "alpha": 1.2}            how far the mouth opens, 0..1.5
    {"type": "set", "pose": {"pitch": 0, "yaw": 0.1, "roll": 0}}     radians, at most 0.6 each; null: idle motion decides
    {"type": "set", "gaze": {"pitch": 0, "yaw": 0.1}}                radians, at most 0.5 each; null: idle motion decides
    {"type": "set", "blink": false}          false: eyes stay open; true (or null): blink by themselves
    {"type": "avatar", "id": "ada"}          change the face, the call goes on
    {"type": "interrupt"}                    silence now: what is queued of the voice is dropped
    {"type": "ping", "t": 12.5}              any number
    {"type": "subscribe", "expression": true}   ask for (or stop) an `expression` event with every frame

Several values may be set in one `set`. A message is at most 4 KiB, and at most 200 come through in a second.

To the page:

    {"type": "state", "state": "connecting" | "live" | "closed", "session": "<public id>", "avatar": "ada",
     "delay_ms": 135, "codec": "VP8", "reason": "..."}          sent when the channel opens and at every change;
                                                                `reason` with "closed" only (e.g. "maximum age")
    {"type": "stats", "fps": 25.0, "frames": 250, "late_frames": 0, "jitter_ms": 24.0, "concealed_ms": 0,
     "compute_ms": 9.1, "encode_ms": 2.2, "loop_lag_ms": 0.6, "bitrate_kbps": 810, "rtt_ms": 1.2}      once a second
    {"type": "speaking", "speaking": true}   the voice that is heard *now* started (or stopped)
    {"type": "interrupted", "epoch": 2, "position": 3.48}       seconds of the interrupted epoch that were played
    {"type": "avatar", "id": "ada"}          the face has changed
    {"type": "set", "alpha": 1.2}            what `set` has set, as it now holds
    {"type": "pong", "t": 12.5, "media_time": 96000}            `t` as it came; media time released, 48 kHz ticks
    {"type": "expression", "media_time": 96000, "rtp": 2868000, "values": {"jawOpen": 0.4, ...}}
                                             coefficients above 0.001 of the frame with this RTP timestamp
    {"type": "error", "code": "bad_message" | "unknown_avatar" | "too_fast" | "second_channel", "message": "..."}

A message that cannot be understood gets an `error` and changes nothing.
"""
