"""The receiving end of RTP, in place of aiortc's own: every packet goes to a callback as it comes, with no decoder
thread and no buffer of 80 ms in between, and the caller gets its receiver reports.
"""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

from aiortc import RTCRtpReceiver
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcrtpparameters import RTCRtpReceiveParameters
from aiortc.rtcrtpreceiver import StreamStatistics
from aiortc.rtp import RtcpReceiverInfo, RtcpRrPacket, RtcpSrPacket, RtpPacket

from engines.media import MEDIA_RATE


class VoiceReceiver(RTCRtpReceiver):
    """Receives one Opus stream. `on_packet` gets sequence number, timestamp, payload and arrival (monotonic seconds);
    `heard` is called for RTCP too."""

    def __init__(
        self,
        transport: RTCDtlsTransport,
        on_packet: Callable[[int, int, bytes, float], None],
        heard: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__("audio", transport)
        self._on_packet = on_packet
        self._heard = heard
        self._payload_types: set[int] = set()
        self._streams: dict[int, StreamStatistics] = {}
        self._reports: dict[int, tuple[int, float]] = {}
        self._own_ssrc: int | None = None
        self._task: asyncio.Task[None] | None = None

    def _set_rtcp_ssrc(self, ssrc: int) -> None:
        self._own_ssrc = ssrc

    async def receive(self, parameters: RTCRtpReceiveParameters) -> None:
        if self._task is not None:
            return
        self._payload_types = {c.payloadType for c in parameters.codecs if c.name.lower() == "opus"}
        self.transport._register_rtp_receiver(self, parameters)
        self._task = asyncio.create_task(self._run_reports())

    async def stop(self) -> None:
        if self._task is not None:
            self.transport._unregister_rtp_receiver(self)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _handle_disconnect(self) -> None:
        pass  # the session notices by itself

    async def _handle_rtp_packet(self, packet: RtpPacket, arrival_time_ms: int) -> None:
        self._heard()
        if packet.payload_type not in self._payload_types or not packet.payload:
            return
        stream = self._streams.get(packet.ssrc)
        if stream is None:
            self._streams.clear()  # one microphone: a new source replaces the last
            stream = self._streams[packet.ssrc] = StreamStatistics(MEDIA_RATE)
        stream.add(packet)
        self._on_packet(packet.sequence_number, packet.timestamp, packet.payload, time.monotonic())

    async def _handle_rtcp_packet(self, packet: Any) -> None:
        self._heard()
        if isinstance(packet, RtcpSrPacket):
            self._reports[packet.ssrc] = ((packet.sender_info.ntp_timestamp >> 16) % 2**32, time.monotonic())

    async def _run_reports(self) -> None:
        try:
            while True:
                await asyncio.sleep(0.5 + random.random())
                reports = [self._report_on(ssrc, stream) for ssrc, stream in self._streams.items()]
                if reports and self._own_ssrc is not None:
                    await self.transport._send_rtp(bytes(RtcpRrPacket(ssrc=self._own_ssrc, reports=reports)))
        except ConnectionError:
            pass

    def _report_on(self, ssrc: int, stream: StreamStatistics) -> RtcpReceiverInfo:
        lsr, heard_at = self._reports.get(ssrc, (0, 0.0))
        return RtcpReceiverInfo(
            ssrc=ssrc,
            fraction_lost=stream.fraction_lost,
            packets_lost=stream.packets_lost,
            highest_sequence=(stream.max_seq or 0) + stream.cycles,
            jitter=stream.jitter,
            lsr=lsr,
            dlsr=min(int((time.monotonic() - heard_at) * 65536), 2**32 - 1) if lsr else 0,
        )
