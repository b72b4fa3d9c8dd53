import re
import time

import pytest
from aiortc.sdp import SessionDescription, candidate_from_sdp

from realtime.offer import MAX_CANDIDATES, OfferError, read_fragment, read_offer, usable

CANDIDATE = "a=candidate:1 1 udp 2130706431 192.0.2.7 40000 typ host"
PRINT = "sha-256 " + ":".join(["AB"] * 32)


def section(kind: str, mid: int, *lines: str) -> list[str]:
    first = {
        "audio": "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "video": "m=video 9 UDP/TLS/RTP/SAVPF 96 97",
        "application": "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    }[kind]
    codecs = {
        "audio": ["a=rtcp-mux", "a=sendrecv", "a=rtpmap:111 opus/48000/2"],
        "video": ["a=rtcp-mux", "a=recvonly", "a=rtpmap:96 VP8/90000", "a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=96"],
        "application": ["a=sctp-port:5000"],
    }[kind]
    credentials = ["a=ice-ufrag:abcd", "a=ice-pwd:" + "x" * 24, f"a=fingerprint:{PRINT}", "a=setup:actpass"]
    return [first, "c=IN IP4 0.0.0.0", *credentials, f"a=mid:{mid}", *codecs, *lines]


def offer(*sections: list[str], bundle: str = "0 1 2") -> bytes:
    head = ["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", f"a=group:BUNDLE {bundle}"]
    return ("\r\n".join([*head, *(line for part in sections for line in part)]) + "\r\n").encode()


def call(*lines: str) -> bytes:
    """A good offer, with more lines in its audio section."""
    return offer(section("audio", 0, *lines), section("video", 1), section("application", 2))


def test_a_good_offer_passes() -> None:
    read = read_offer(call(CANDIDATE))
    assert (read.ufrag, read.mids, read.candidates, read.playout_delay) == ("abcd", ("0", "1", "2"), 1, 0)
    assert len(SessionDescription.parse(read.sdp).media[0].ice_candidates) == 1


def test_the_playout_delay_extension_is_found() -> None:
    uri = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
    body = offer(section("audio", 0), section("video", 1, f"a=extmap:5 {uri}"), bundle="0 1")
    assert read_offer(body).playout_delay == 5


def test_end_of_candidates_is_not_believed() -> None:
    assert "end-of-candidates" not in read_offer(call(CANDIDATE, "a=end-of-candidates")).sdp


BAD = {
    "empty": b"",
    "not text": b"\xff\xfe\x00",
    "not sdp": b"hello",
    "html": b"<html></html>",
    "no sections": b"v=0\r\ns=-\r\n",
    "garbage in a section": call("a=rtpmap:x y"),
    "garbage in a line": call("a=ssrc:nonsense"),
    "five sections": offer(*(section("video", i) for i in range(5))),
    "no audio": offer(section("video", 0), bundle="0"),
    "two microphones": offer(section("audio", 0), section("audio", 1), bundle="0 1"),
    "not bundled": offer(section("audio", 0), section("video", 1), bundle="0"),
    "same mid": offer(section("audio", 0), section("video", 0), bundle="0"),
    "no credentials": re.sub(rb"a=ice-ufrag:.*\r\n", b"", call()),
    "no fingerprint": re.sub(rb"a=fingerprint:.*\r\n", b"", call()),
    "no mux": call().replace(b"a=rtcp-mux\r\n", b""),
    "too many candidates": call(*[CANDIDATE] * (MAX_CANDIDATES + 1)),
    "too many lines": call(*["a=x"] * 2000),
    "a long line": call("a=" + "x" * 3000),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_offers_are_refused_quickly_and_with_advice(name: str) -> None:
    begun = time.thread_time()
    with pytest.raises(OfferError) as caught:
        read_offer(BAD[name])
    assert time.thread_time() - begun < 0.1
    assert (caught.value.status, caught.value.code) == (400, "bad_offer")
    assert len(str(caught.value)) > 20


@pytest.mark.parametrize(("before", "after"), [("opus/48000/2", "PCMU/8000"), ("VP8/90000", "AV1/90000")])
def test_offers_without_our_codecs_are_not_acceptable(before: str, after: str) -> None:
    with pytest.raises(OfferError) as caught:
        read_offer(call().replace(before.encode(), after.encode()))
    assert (caught.value.status, caught.value.code) == (406, "no_usable_codec")


@pytest.mark.parametrize(
    ("address", "local", "anywhere"),
    [
        ("192.168.1.5", True, True),
        ("203.0.113.9", True, True),
        ("fd00::2", True, True),
        ("127.0.0.1", True, False),
        ("::1", True, False),
        ("::ffff:127.0.0.1", True, False),
        ("169.254.169.254", False, False),
        ("fe80::1", False, False),
        ("0.0.0.0", False, False),
        ("224.0.0.1", False, False),
        ("255.255.255.255", False, False),
        ("3fcd0e1c-6f4a-4b6a-8f77.local", False, False),
        ("example.com", False, False),
    ],
)
def test_which_addresses_are_checked(address: str, local: bool, anywhere: bool) -> None:
    candidate = candidate_from_sdp(f"1 1 udp 2130706431 {address} 40000 typ host")
    assert usable(candidate, local=True) is local
    assert usable(candidate, local=False) is anywhere


@pytest.mark.parametrize(
    "line",
    [
        "1 1 tcp 1 192.0.2.7 40000 typ host tcptype active",
        "1 2 udp 1 192.0.2.7 40000 typ host",
        "1 1 udp 1 192.0.2.7 22 typ host",
        "1 1 udp 1 192.0.2.7 70000 typ host",
        "1 1 udp 1 192.0.2.7 40000 typ other",
    ],
)
def test_other_candidates_are_left_out(line: str) -> None:
    assert not usable(candidate_from_sdp(line), local=True)
    assert read_offer(call(f"a=candidate:{line}")).candidates == 1
    assert "candidate" not in read_offer(call(f"a=candidate:{line}")).sdp


def test_a_fragment_brings_candidates() -> None:
    body = f"a=ice-ufrag:abcd\r\na=ice-pwd:{'x' * 24}\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n{CANDIDATE}\r\n"
    fragment = read_fragment(body.encode())
    assert (fragment.ufrag, fragment.received, fragment.candidates[0].sdpMid) == ("abcd", 1, "0")


@pytest.mark.parametrize(
    "body", [b"\xff", b"hello", b"a=candidate:nonsense", f"{CANDIDATE}\r\n".encode() * (MAX_CANDIDATES + 1)]
)
def test_bad_fragments_are_refused(body: bytes) -> None:
    with pytest.raises(OfferError, match=r"."):
        read_fragment(body)


def test_five_thousand_candidates_are_refused_at_once() -> None:
    body = call(*[CANDIDATE] * 5000)
    begun = time.thread_time()
    with pytest.raises(OfferError):
        read_offer(body)
    assert time.thread_time() - begun < 0.1
