"""The sending end of RTP, in place of aiortc's own.

`MediaSender` differs from `RTCRtpSender` in what a talking face needs: sender reports that carry the *media* clock for
both tracks (RFC 3550 section 6.4.1; browsers align sound and picture by them, so that no send delay ends up as lip
error), the first of them at once; encoders that are set for a face; pictures encoded in threads of their own; key
frames spread over a few milliseconds; a bitrate that follows REMB only when the line is really full.
"""

import asyncio
import contextlib
import logging
import math
import random
import struct
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Final

import numpy as np
from aiortc import RTCRtpSender
from aiortc.codecs import is_rtx
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcrtpparameters import RTCRtpCodecParameters, RTCRtpSendParameters
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    HeaderExtensions,
    RtcpByePacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
    RtpPacket,
    unpack_remb_fci,
    wrap_rtx,
)

from engines.media import MEDIA_RATE
from realtime.clock import MediaClock
from realtime.encoders import VIDEO_FLOOR, Encoder, encoder_for
from realtime.header_extensions import Extensions
from realtime.throughput import Throughput
from realtime.tracks import VIDEO_RATE, PacedTrack

logger = logging.getLogger(__name__)

_HISTORY: Final = 512
"""Packets kept for retransmission: about five seconds of video."""
_BURST: Final = 8
"""Packets that leave together; larger pictures are spread by a millisecond per burst."""
_KEYFRAME_PAUSE: Final = 0.3
"""Seconds for which further requests of a key frame are the same request."""
_RATE_PAUSE: Final = 4.0
"""Seconds that a lowered bitrate stays before it rises again."""


class MediaSender(RTCRtpSender):
    """Sends one `PacedTrack`. `heard` is called whenever the other side reports anything about it."""

    def __init__(
        self,
        track: PacedTrack,
        transport: RTCDtlsTransport,
        *,
        bitrate: int,
        executor: Executor | None = None,
        heard: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(track, transport)
        self.codec = ""
        self.encode_seconds = 0.0
        self.packets = 0
        self.octets = 0
        self.keyframes = 0
        self.retransmitted = 0
        self.round_trip: float | None = None
        self.fraction_lost = 0.0
        self._media = track
        self._ceiling = bitrate
        self._executor = executor
        self._heard = heard
        self._encoder: Encoder | None = None
        self._rate = VIDEO_RATE if track.kind == "video" else MEDIA_RATE
        self._origin = random.getrandbits(32)
        # Sequence numbers start low: SRTP cannot follow a wrap that happens before its first packet.
        self._sequence = random.randrange(1 << 15)
        self._rtx_sequence = random.randrange(1 << 15)
        self._rtx_type: int | None = None
        self._history: dict[int, RtpPacket] = {}
        self._extensions = Extensions()
        self._mid = ""
        self._cname = ""
        self._keyframe = True
        self._keyframe_at = -math.inf
        self._lowered_at = -math.inf
        self._throughput = Throughput()
        self._report: tuple[int, float] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = False

    @property
    def bitrate(self) -> int:
        """Bits that really left in the last second."""
        return self._throughput.bits

    def rtp_timestamp(self, media_time: int) -> int:
        """The RTP timestamp of `media_time` on this stream."""
        return (self._origin + media_time * self._rate // MEDIA_RATE) % 2**32

    async def send(self, parameters: RTCRtpSendParameters) -> None:
        if self._tasks or self._closed:
            return
        codec = parameters.codecs[0]
        self.codec = codec.name
        self._encoder = encoder_for(codec.mimeType)(self._ceiling)
        self._mid, self._cname = parameters.muxId, parameters.rtcp.cname
        self._extensions.configure((extension.uri, extension.id) for extension in parameters.headerExtensions)
        for other in parameters.codecs:
            if is_rtx(other) and other.parameters.get("apt") == codec.payloadType:
                self._rtx_type = other.payloadType
        self.transport._register_rtp_sender(self, parameters)
        self._tasks = [asyncio.create_task(self._run_media(codec)), asyncio.create_task(self._run_reports())]

    async def stop(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._media.stop()
        if not self._tasks:
            return
        self.transport._unregister_rtp_sender(self)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(ConnectionError):
            await self.transport._send_rtp(bytes(RtcpByePacket(sources=[self._ssrc])))
        self._encoder = None

    async def _run_media(self, codec: RTCRtpCodecParameters) -> None:
        try:
            while True:
                frame = await self._media.recv()
                if self._enabled:
                    await self._send_frame(frame, codec.payloadType)
        except (ConnectionError, MediaStreamError):
            pass
        except Exception:
            logger.exception("the %s of a session stopped", self.kind)

    async def _send_frame(self, frame: Any, payload_type: int) -> None:
        assert self._encoder is not None
        keyframe, self._keyframe = self._keyframe, False
        self.keyframes += keyframe and self.kind == "video"
        begun = time.perf_counter()
        if self._executor is None:
            payloads = self._encoder.encode(frame, keyframe)
        else:
            loop = asyncio.get_running_loop()
            payloads = await loop.run_in_executor(self._executor, self._encoder.encode, frame, keyframe)
        self.encode_seconds = time.perf_counter() - begun
        timestamp = (self._origin + frame.pts) % 2**32
        level = _audio_level(frame) if self.kind == "audio" and self._extensions.level else None
        for index, payload in enumerate(payloads):
            if index and index % _BURST == 0:
                await asyncio.sleep(0.001)
            packet = RtpPacket(payload_type, int(index == len(payloads) - 1), self._sequence, timestamp, self._ssrc)
            packet.payload = payload
            packet.extensions = HeaderExtensions(abs_send_time=_send_time(), audio_level=level, mid=self._mid)
            self._sequence = (self._sequence + 1) % 2**16
            self._history[packet.sequence_number % _HISTORY] = packet
            await self.transport._send_rtp(packet.serialize(self._extensions))
            self.packets += 1
            self.octets += len(payload)
            self._throughput.add(len(payload))

    async def _run_reports(self) -> None:
        try:
            clock = await self._media.clock()
            while self.packets == 0:
                await asyncio.sleep(0.005)
            while True:
                await self._send_report(clock)
                # RFC 3550 section 6.2: never in step with the others.
                await asyncio.sleep(0.5 + random.random())
        except (ConnectionError, MediaStreamError):
            pass
        except Exception:
            logger.exception("the reports of a session stopped")

    async def _send_report(self, clock: MediaClock) -> None:
        assert self._encoder is not None
        media_time = clock.released()
        ntp = clock.ntp(media_time)
        # The decoder gives a sample that much behind its timestamp: the browser shall know, or the lips come early.
        rtp = self.rtp_timestamp(media_time) + round(self._encoder.lookahead * self._rate)
        report = RtcpSrPacket(
            ssrc=self._ssrc,
            sender_info=RtcpSenderInfo(
                ntp_timestamp=ntp,
                rtp_timestamp=rtp % 2**32,
                packet_count=self.packets % 2**32,
                octet_count=self.octets % 2**32,
            ),
        )
        names = RtcpSdesPacket(chunks=[RtcpSourceInfo(ssrc=self._ssrc, items=[(1, self._cname.encode())])])
        self._report = ((ntp >> 16) % 2**32, time.monotonic())
        await self.transport._send_rtp(bytes(report) + bytes(names))

    async def _handle_rtcp_packet(self, packet: Any) -> None:
        self._heard()
        if isinstance(packet, RtcpRrPacket | RtcpSrPacket):
            for report in packet.reports:
                if report.ssrc == self._ssrc:
                    self._take_report(report)
        elif isinstance(packet, RtcpRtpfbPacket) and packet.fmt == RTCP_RTPFB_NACK:
            for sequence in packet.lost:
                await self._retransmit(sequence)
        elif isinstance(packet, RtcpPsfbPacket) and packet.fmt in (RTCP_PSFB_FIR, RTCP_PSFB_PLI):
            self._send_keyframe()
        elif isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_APP:
            try:
                bitrate, ssrcs = unpack_remb_fci(packet.fci)
            except (ValueError, IndexError, struct.error):
                return
            if self._ssrc in ssrcs:
                self._limit(bitrate)

    def _take_report(self, report: RtcpReceiverInfo) -> None:
        self.fraction_lost = report.fraction_lost / 256
        if self._report is not None and report.lsr == self._report[0] and report.dlsr:
            self.round_trip = max(0.0, time.monotonic() - self._report[1] - report.dlsr / 65536)

    def _limit(self, bitrate: int) -> None:
        # Receivers estimate at most 1.5 times what they get, so a calm face looks like a thin line. It is thin only
        # when the estimate falls below what we send.
        encoder, now = self._encoder, time.monotonic()
        if encoder is None or self.kind != "video":
            return
        if bitrate < 0.95 * self.bitrate and bitrate < encoder.bitrate:
            encoder.bitrate = max(VIDEO_FLOOR, bitrate * 9 // 10)
            self._lowered_at = now
        elif encoder.bitrate < self._ceiling and now - self._lowered_at > _RATE_PAUSE:
            encoder.bitrate = min(self._ceiling, encoder.bitrate * 5 // 4)
            self._lowered_at = now

    async def _retransmit(self, sequence_number: int) -> None:
        packet = self._history.get(sequence_number % _HISTORY)
        if packet is None or packet.sequence_number != sequence_number:
            return
        if self._rtx_type is not None:
            packet = wrap_rtx(
                packet, payload_type=self._rtx_type, sequence_number=self._rtx_sequence, ssrc=self._rtx_ssrc
            )
            self._rtx_sequence = (self._rtx_sequence + 1) % 2**16
        self.retransmitted += 1
        with contextlib.suppress(ConnectionError):
            await self.transport._send_rtp(packet.serialize(self._extensions))

    def _send_keyframe(self) -> None:
        now = time.monotonic()
        if now - self._keyframe_at > _KEYFRAME_PAUSE:
            self._keyframe, self._keyframe_at = True, now


def _send_time() -> int:
    """Now, in 6.18 fixed point seconds."""
    return int(time.time() * 2**18) % 2**24


def _audio_level(frame: Any) -> tuple[bool, int]:
    """RFC 6464: whether it is voice, and how many dB below full scale (0..127)."""
    power = float(np.square(frame.to_ndarray()[0], dtype=np.float32).mean())
    level = -10 * math.log10(power / 32767**2) if power > 0 else 127
    return level < 50, min(127, max(0, round(level)))
