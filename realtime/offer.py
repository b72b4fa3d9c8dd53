"""Reading what strangers send: SDP offers (RFC 8866, RFC 8829) and trickle fragments (RFC 8840), before anything is
allocated for them. Everything is bounded first and parsed second.
"""

import ipaddress
from dataclasses import dataclass
from typing import Any, Final

from aiortc.codecs import CODECS
from aiortc.rtcicetransport import RTCIceCandidate
from aiortc.rtcpeerconnection import find_common_codecs
from aiortc.sdp import MediaDescription, SessionDescription, candidate_from_sdp

from realtime.header_extensions import PLAYOUT_DELAY_URI

MAX_BODY: Final = 64 * 1024
MAX_SECTIONS: Final = 4
MAX_CANDIDATES: Final = 32
"""Per section, trickled ones included."""
_MAX_LINES: Final = 1500
_MAX_LINE: Final = 2000


class OfferError(ValueError):
    """What a client sent is refused: `status` is the HTTP status, `code` the machine's word, the message says what to
    do about it; `headers` go with the answer."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.headers = status, code, headers or {}


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer that can be answered. `sdp` has only candidates that the server will talk to; `mids` the sections;
    `pictures` whether there is a video section; `candidates` how many were brought in all; `playout_delay` the number
    of that header extension (0: not offered)."""

    sdp: str
    ufrag: str
    mids: tuple[str, ...]
    pictures: bool
    candidates: int
    playout_delay: int


@dataclass(frozen=True, slots=True)
class Fragment:
    """A trickle fragment: candidates that the server will talk to, and how many there were in all."""

    ufrag: str | None
    candidates: tuple[RTCIceCandidate, ...]
    received: int


def read_offer(body: bytes, *, local: bool = False) -> Offer:
    """Check an SDP offer. `local` callers (same machine) may name loopback addresses.

    Raises `OfferError` with 400 (not a usable offer) or 406 (no codec in common).
    """
    lines = _lines(body)
    if not lines or not lines[0].startswith("v="):
        raise _bad("The body is not SDP: send RTCPeerConnection.localDescription.sdp of an offer")
    sections = [index for index, line in enumerate(lines) if line.startswith("m=")]
    if not 1 <= len(sections) <= MAX_SECTIONS:
        raise _bad(f"The offer has {len(sections)} media sections: send audio, video and one data channel")
    for start, end in zip(sections, [*sections[1:], len(lines)], strict=True):
        count = sum(line.startswith("a=candidate:") for line in lines[start:end])
        if count > MAX_CANDIDATES:
            raise _bad(f"A media section has {count} candidates: send at most {MAX_CANDIDATES}")
    kept = [line for line in lines if _keep(line, local)]
    text = "\r\n".join(kept) + "\r\n"
    description = _parse(text)
    _check_sections(description)
    video = next((media for media in description.media if media.kind == "video"), None)
    return Offer(
        sdp=text,
        ufrag=description.media[0].ice.usernameFragment or "",
        mids=tuple(media.rtp.muxId for media in description.media),
        pictures=video is not None,
        candidates=sum(line.startswith("a=candidate:") for line in lines),
        playout_delay=_extension(video, PLAYOUT_DELAY_URI),
    )


def read_fragment(body: bytes, *, local: bool = False) -> Fragment:
    """Check a trickle fragment. Raises `OfferError` with 400."""
    ufrag, mid, received = None, None, 0
    candidates: list[RTCIceCandidate] = []
    for line in _lines(body):
        if line.startswith("a=ice-ufrag:"):
            ufrag = line.removeprefix("a=ice-ufrag:")
        elif line.startswith("a=mid:"):
            mid = line.removeprefix("a=mid:")
        elif line.startswith("a=candidate:"):
            received += 1
            candidate = _candidate(line)
            if candidate is None:
                raise _bad(f"This is not a candidate: {line[:100]!r}")
            if usable(candidate, local):
                candidate.sdpMid = mid or "0"
                candidates.append(candidate)
        elif not line.startswith(("a=", "m=", "c=", "v=", "o=", "s=", "t=")):
            raise _bad("The body is not a trickle fragment (application/trickle-ice-sdpfrag, RFC 8840)")
    if received > MAX_CANDIDATES:
        raise _bad(f"The fragment has {received} candidates: send at most {MAX_CANDIDATES}")
    return Fragment(ufrag, tuple(candidates), received)


def usable(candidate: RTCIceCandidate, local: bool) -> bool:
    """Whether to send connectivity checks there.

    Every candidate makes the server send packets to an address of the caller's choice, so only plain UDP addresses of
    unicast hosts pass. Names (mDNS) are left out: the caller's own checks show where it is. Loopback is for callers on
    this machine, and link-local addresses (where clouds keep their secrets) are for nobody.
    """
    if candidate.protocol.lower() != "udp" or candidate.component != 1 or not 1024 <= candidate.port <= 65535:
        return False
    if candidate.type not in ("host", "srflx", "relay"):
        return False
    try:
        address = ipaddress.ip_address(candidate.ip)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_loopback:
        return local
    return not (address.is_unspecified or address.is_multicast or address.is_link_local or address.is_reserved)


def _bad(message: str) -> OfferError:
    return OfferError(400, "bad_offer", message)


def _lines(body: bytes) -> list[str]:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _bad("The body is not text: send SDP in UTF-8") from error
    lines = text.splitlines()
    if len(lines) > _MAX_LINES or any(len(line) > _MAX_LINE for line in lines):
        raise _bad(f"The body has more than {_MAX_LINES} lines, or lines longer than {_MAX_LINE}")
    return [line.strip() for line in lines if line.strip()]


def _keep(line: str, local: bool) -> bool:
    if line == "a=end-of-candidates":
        return False  # what was left out above may still arrive as a check of the caller's
    if not line.startswith("a=candidate:"):
        return True
    candidate = _candidate(line)
    return candidate is not None and usable(candidate, local)


def _candidate(line: str) -> RTCIceCandidate | None:
    try:
        return candidate_from_sdp(line.removeprefix("a=candidate:"))
    except (AssertionError, ValueError, IndexError):
        return None


def _parse(text: str) -> SessionDescription:
    try:
        description = SessionDescription.parse(text)
    except Exception as error:  # aiortc's parser raises whatever it trips over
        raise _bad("The SDP cannot be read: send RTCPeerConnection.localDescription.sdp unchanged") from error
    description.type = "offer"
    return description


def _check_sections(description: SessionDescription) -> None:
    kinds = [media.kind for media in description.media]
    if kinds.count("audio") != 1 or kinds.count("video") > 1 or kinds.count("application") > 1:
        raise _bad("The offer must have one audio section, at most one of video and at most one data channel")
    if set(kinds) - {"audio", "video", "application"}:
        raise _bad("The offer has sections that are neither audio, video nor a data channel")
    mids = [media.rtp.muxId for media in description.media]
    bundled = {str(mid) for group in description.group if group.semantic == "BUNDLE" for mid in group.items}
    if not all(mids) or len(set(mids)) != len(mids) or set(mids) - bundled:
        raise _bad("The offer must BUNDLE all its sections, each with a mid of its own")
    for media in description.media:
        _check_transport(media)
        if media.kind in ("audio", "video"):
            _check_codecs(media)


def _check_transport(media: MediaDescription) -> None:
    if media.ice is None or not media.ice.usernameFragment or not media.ice.password:
        raise _bad("The offer has no ICE credentials (a=ice-ufrag, a=ice-pwd)")
    if media.dtls is None or not media.dtls.fingerprints:
        raise _bad("The offer has no DTLS fingerprint (a=fingerprint, a=setup)")
    if media.kind in ("audio", "video") and not media.rtcp_mux:
        raise _bad("The offer must use a=rtcp-mux")


def _check_codecs(media: MediaDescription) -> None:
    wanted = {"audio": {"opus"}, "video": {"vp8", "h264"}}[media.kind]
    local: Any = [codec for codec in CODECS[media.kind] if codec.name.lower() in wanted]
    if not find_common_codecs(local, media.rtp.codecs):
        names = "Opus" if media.kind == "audio" else "VP8 or H.264 (baseline, packetization-mode 1)"
        raise OfferError(406, "no_usable_codec", f"The offer's {media.kind} has no codec of ours: offer {names}")


def _extension(media: MediaDescription | None, uri: str) -> int:
    if media is None:
        return 0
    return next((extension.id for extension in media.rtp.headerExtensions if extension.uri == uri), 0)
