"""RTP header extensions (RFC 8285) that we send, playout delay among them, which aiortc does not know."""

from collections.abc import Iterable
from typing import Final

from aiortc.rtp import HeaderExtensions, pack_header_extensions

MID_URI: Final = "urn:ietf:params:rtp-hdrext:sdes:mid"
LEVEL_URI: Final = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
SEND_TIME_URI: Final = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
PLAYOUT_DELAY_URI: Final = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
_PLAYOUT_DELAY: Final = (0, 30)
"""Least and most delay in units of 10 ms that the receiver shall add: none, if it can, and it may for lip sync."""


class Extensions:
    """The RTP header extensions (RFC 8285) of one stream, by their negotiated numbers; 0 where there is none."""

    def __init__(self) -> None:
        self.mid = self.level = self.send_time = self.playout_delay = 0

    def configure(self, negotiated: Iterable[tuple[str, int]]) -> None:
        numbers = dict(negotiated)
        self.mid = numbers.get(MID_URI, 0)
        self.level = numbers.get(LEVEL_URI, 0)
        self.send_time = numbers.get(SEND_TIME_URI, 0)
        self.playout_delay = numbers.get(PLAYOUT_DELAY_URI, 0)

    def set(self, values: HeaderExtensions) -> tuple[int, bytes]:
        """The profile and the bytes, as `RtpPacket.serialize` wants them."""
        extensions: list[tuple[int, bytes]] = []
        if self.mid and values.mid:
            extensions.append((self.mid, values.mid.encode()))
        if self.send_time and values.abs_send_time is not None:
            extensions.append((self.send_time, values.abs_send_time.to_bytes(3, "big")))
        if self.level and values.audio_level is not None:
            voice, level = values.audio_level
            extensions.append((self.level, bytes([voice << 7 | level])))
        if self.playout_delay:
            least, most = _PLAYOUT_DELAY
            extensions.append((self.playout_delay, (least << 12 | most).to_bytes(3, "big")))
        return pack_header_extensions(extensions)
