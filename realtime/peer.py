"""One WebRTC connection: aiortc's peer connection with our ends of RTP in it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Final

from aioice import Candidate
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.codecs import CODECS
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcrtpparameters import RTCRtpCodecCapability, RTCRtpHeaderExtensionParameters
from aiortc.rtcrtptransceiver import RTCRtpTransceiver

from realtime.header_extensions import PLAYOUT_DELAY_URI
from realtime.offer import Fragment, Offer
from realtime.receiver import VoiceReceiver
from realtime.sender import MediaSender
from realtime.settings import Settings
from realtime.tracks import FaceTrack, VoiceTrack

_MOST_DATAGRAMS: Final = 256
"""Two seconds of voice and more; a reader that lags behind this far is lost anyway."""


class Peer:
    """A connection for `offer` that sends `voice` and `face` and hands the caller's packets to `on_packet`.

    `heard` is called for everything that arrives as RTP or RTCP.
    """

    def __init__(
        self,
        settings: Settings,
        offer: Offer,
        voice: VoiceTrack,
        face: FaceTrack,
        on_packet: Callable[[int, int, bytes, float], None],
        heard: Callable[[], None],
        executor: Executor,
    ) -> None:
        configuration = RTCConfiguration(iceServers=_ice_servers(settings), bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        self.connection = RTCPeerConnection(configuration)
        audio = self.connection.addTransceiver("audio", "sendrecv")
        transport = audio.receiver.transport
        _reach_this_machine(transport)
        transport.transport._connection._queue = Datagrams()
        bitrate = settings.video_kbps * 1000
        self.voice = MediaSender(voice, transport, bitrate=48_000, heard=heard)
        self.face = MediaSender(face, transport, bitrate=bitrate, executor=executor, heard=heard)
        _adopt(audio, self.voice, VoiceReceiver(transport, on_packet, heard))
        audio.setCodecPreferences(_capabilities("audio", ("opus",)))
        self._offer, self._audio = offer, audio
        self._video: RTCRtpTransceiver | None = None
        if offer.pictures:
            self._video = self.connection.addTransceiver("video", "sendonly")
            _adopt(self._video, self.face, None)

    async def answer(self) -> str:
        """The SDP answer, with all candidates of the server. Connecting begins."""
        await self.connection.setRemoteDescription(RTCSessionDescription(self._offer.sdp, "offer"))
        for codec in self._audio._codecs:
            if codec.name.lower() == "opus":
                codec.parameters = {"minptime": 10, "useinbandfec": 1}
        if self._video is not None and self._offer.playout_delay:
            extension = RTCRtpHeaderExtensionParameters(id=self._offer.playout_delay, uri=PLAYOUT_DELAY_URI)
            self._video._headerExtensions = [*self._video._headerExtensions, extension]
        await self.connection.setLocalDescription()
        return self.connection.localDescription.sdp

    async def trickle(self, fragment: Fragment) -> None:
        for candidate in fragment.candidates:
            await self.connection.addIceCandidate(candidate)

    async def close(self) -> None:
        await self.connection.close()
        for sender in (self.voice, self.face):  # one that was never adopted waits for nobody
            await sender.stop()


def _adopt(transceiver: RTCRtpTransceiver, sender: MediaSender, receiver: VoiceReceiver | None) -> None:
    # aiortc has no hook for senders of one's own; these two attributes are all that ties a transceiver to them.
    sender._stream_id = transceiver.sender._stream_id
    transceiver._RTCRtpTransceiver__sender = sender
    if receiver is not None:
        receiver._set_rtcp_ssrc(sender._ssrc)
        transceiver._RTCRtpTransceiver__receiver = receiver


class Datagrams(asyncio.Queue[tuple[bytes, int] | None]):
    """What has arrived for one connection. aioice takes every datagram that reaches its port, from anybody, for as long
    as nobody reads: here what does not fit is dropped, as a network would. None, its word for the end, always fits."""

    def put_nowait(self, item: tuple[bytes, int] | None) -> None:
        if item is None or self.qsize() < _MOST_DATAGRAMS:
            super().put_nowait(item)


def _reach_this_machine(transport: RTCDtlsTransport) -> None:
    # aioice never offers the loopback address. On a machine without a network it is the only one there is.
    connection = transport.transport._connection
    gather = connection.get_component_candidates

    async def gather_anyway(component: int, addresses: list[str], timeout: int = 5) -> list[Candidate]:
        return await gather(component, addresses or ["127.0.0.1"], timeout)

    connection.get_component_candidates = gather_anyway


def _capabilities(kind: str, names: tuple[str, ...]) -> list[RTCRtpCodecCapability]:
    return [
        RTCRtpCodecCapability(
            mimeType=codec.mimeType, clockRate=codec.clockRate, channels=codec.channels, parameters=codec.parameters
        )
        for codec in CODECS[kind]
        if codec.name.lower() in names
    ]


def _ice_servers(settings: Settings) -> list[RTCIceServer]:
    return [
        RTCIceServer(urls=url, username=settings.ice_username or None, credential=settings.ice_credential or None)
        for url in settings.ice_urls
    ]
