"""Opus (RFC 6716) through libopus itself.

FFmpeg's wrapper can neither conceal a lost packet nor use the copy of it that the next one carries, and both matter
to a face that is driven by the sound. libopus comes inside PyAV's wheels; elsewhere the system's is taken.
"""

import ctypes
import ctypes.util
from functools import cache
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from numpy.typing import NDArray

from engines.media import MEDIA_RATE
from realtime.clock import PACKET_TICKS

_LONGEST: Final = MEDIA_RATE * 120 // 1000
"""Samples in the longest packet that Opus allows, 120 ms."""
_VOIP: Final = 2048
_SET_BITRATE: Final = 4002
_SET_COMPLEXITY: Final = 4010
_SET_INBAND_FEC: Final = 4012
_SET_PACKET_LOSS_PERCENT: Final = 4014
_GET_LOOKAHEAD: Final = 4027


class OpusError(ValueError):
    """The packet is not Opus, or libopus refused it."""


@cache
def _library() -> ctypes.CDLL:
    package = Path(av.__file__).parent
    bundled = [*package.parent.glob("av.libs/*opus*"), *package.glob(".dylibs/*opus*"), *package.glob("*opus*.dll")]
    path = str(bundled[0]) if bundled else ctypes.util.find_library("opus")
    if path is None:
        raise OSError("libopus was found neither in PyAV nor on this system: install PyAV from its wheel, or libopus")
    library = ctypes.CDLL(path)
    handle, number, data = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    signatures: dict[str, tuple[list[Any], Any]] = {
        "opus_decoder_create": ([number, number, handle], handle),
        "opus_decoder_destroy": ([handle], None),
        "opus_decode": ([handle, data, number, handle, number, number], number),
        "opus_decoder_get_nb_samples": ([handle, data, number], number),
        "opus_encoder_create": ([number, number, number, handle], handle),
        "opus_encoder_destroy": ([handle], None),
        "opus_encode": ([handle, handle, number, handle, number], number),
        "opus_encoder_ctl": ([handle, number], number),
        "opus_strerror": ([number], data),
    }
    for name, (arguments, result) in signatures.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, result
    return library


def _check(result: int) -> int:
    if result < 0:
        raise OpusError(_library().opus_strerror(result).decode())
    return result


class OpusDecoder:
    """Packets to mono int16 at 48 kHz, with memory: packets come in the order of their sound, losses in between."""

    def __init__(self) -> None:
        self._library = _library()
        error = ctypes.c_int()
        self._handle = self._library.opus_decoder_create(MEDIA_RATE, 1, ctypes.byref(error))
        _check(error.value)

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._library.opus_decoder_destroy(self._handle)

    def decode(self, payload: bytes) -> NDArray[np.int16]:
        """The sound of one packet, ``(n,)``: 120 to 5760 samples. Raises `OpusError` when it is not Opus."""
        return self._decode(payload, _LONGEST, 0)

    def recover(self, following: bytes, samples: int = PACKET_TICKS) -> NDArray[np.int16]:
        """The `samples` before the packet `following`, from the copy it may carry (in-band FEC), else concealed."""
        return self._decode(following, samples, 1)

    def conceal(self, samples: int = PACKET_TICKS) -> NDArray[np.int16]:
        """`samples` (a multiple of 120) that carry on the sound so far and fade, for a packet that never came."""
        return self._decode(None, samples, 0)

    def duration(self, payload: bytes) -> int:
        """Samples in a packet. Raises `OpusError` when it is not Opus."""
        return _check(self._library.opus_decoder_get_nb_samples(self._handle, payload, len(payload)))

    def _decode(self, payload: bytes | None, samples: int, fec: int) -> NDArray[np.int16]:
        pcm = np.empty(samples, np.int16)
        size = len(payload) if payload is not None else 0
        return pcm[: _check(self._library.opus_decode(self._handle, payload, size, pcm.ctypes.data, samples, fec))]


class OpusEncoder:
    """Mono int16 at 48 kHz to packets of 20 ms, each with a coarse copy of the one before in case it is lost.

    `lookahead` samples (6.5 ms) come out later than they went in.
    """

    def __init__(self, bitrate: int = 48_000, complexity: int = 5) -> None:
        self._library = _library()
        error = ctypes.c_int()
        self._handle = self._library.opus_encoder_create(MEDIA_RATE, 1, _VOIP, ctypes.byref(error))
        _check(error.value)
        for request, value in (
            (_SET_BITRATE, bitrate),
            (_SET_COMPLEXITY, complexity),
            (_SET_INBAND_FEC, 1),
            (_SET_PACKET_LOSS_PERCENT, 5),
        ):
            _check(self._library.opus_encoder_ctl(self._handle, request, ctypes.c_int(value)))
        ahead = ctypes.c_int()
        _check(self._library.opus_encoder_ctl(self._handle, _GET_LOOKAHEAD, ctypes.byref(ahead)))
        self.lookahead = ahead.value
        self._packet = ctypes.create_string_buffer(1275)

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._library.opus_encoder_destroy(self._handle)

    def encode(self, pcm: NDArray[np.int16]) -> bytes:
        """One packet from ``(960,)`` samples."""
        pcm = np.ascontiguousarray(pcm, np.int16)
        if pcm.shape != (PACKET_TICKS,):
            raise ValueError(f"an Opus packet here is ({PACKET_TICKS},) samples, not {pcm.shape}")
        size = self._library.opus_encode(self._handle, pcm.ctypes.data, PACKET_TICKS, self._packet, len(self._packet))
        return self._packet.raw[: _check(size)]
