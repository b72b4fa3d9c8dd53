"""What one call measures of itself: for Prometheus as it happens, for the page once a second."""

import time
from typing import Any

from engines.media import MEDIA_RATE
from realtime.jitter_buffer import JitterBuffer
from realtime.metrics import Metrics
from realtime.sender import MediaSender


class Statistics:
    """The figures of one call. Times in seconds; what `tell` returns is in the units that its names say."""

    def __init__(self, metrics: Metrics) -> None:
        self.frames = 0
        self.late = 0
        self._metrics = metrics
        self._born = time.monotonic()
        self._delay = 0.0
        self._made_up = 0
        self._begin()

    def _begin(self) -> None:
        self._begun = time.monotonic()
        self._frames_before = self.frames
        self._compute: list[float] = []
        self._margins: list[float] = []

    def heard(self, delay: float) -> None:
        """A packet of the voice came out of the jitter buffer."""
        self._delay = delay
        self._metrics.jitter.observe(max(0.0, delay))

    def drawn(self, seconds: float, margin: float) -> None:
        """A picture took `seconds` to make and is ready `margin` before its release."""
        self._compute.append(seconds)
        self._margins.append(margin)
        self._metrics.compute.observe(seconds)

    def released(self, late: bool) -> None:
        """A picture left; if `late`, it was the last one again."""
        self.frames += 1
        self.late += late
        self._metrics.frames.inc()
        if late:
            self._metrics.late.inc()
        if self.frames == 1:
            self._metrics.join.observe(time.monotonic() - self._born)

    def ended(self, reason: str) -> None:
        """The call is over."""
        self._metrics.ended.labels(reason).inc()
        self._metrics.age.observe(time.monotonic() - self._born)

    def tell(self, jitter: JitterBuffer, face: MediaSender, undrawn: int, loop_lag: float) -> dict[str, Any]:
        """The `stats` event of the second since the last one."""
        made_up = jitter.counts.concealed + jitter.counts.stretched
        self._metrics.concealed.inc((made_up - self._made_up) / MEDIA_RATE)
        self._metrics.encode.observe(face.encode_seconds)
        self._made_up = made_up
        told = {
            "fps": round((self.frames - self._frames_before) / (time.monotonic() - self._begun), 1),
            "frames": self.frames,
            "late_frames": self.late,
            "undrawn": undrawn,
            "jitter_ms": _ms(self._delay),
            "target_ms": _ms(jitter.target),
            "concealed_ms": made_up * 1000 // MEDIA_RATE,
            "compute_ms": _ms(sum(self._compute) / max(1, len(self._compute))),
            "margin_ms": _ms(min(self._margins, default=0.0)),
            "encode_ms": _ms(face.encode_seconds),
            "loop_lag_ms": _ms(loop_lag),
            "bitrate_kbps": face.bitrate // 1000,
            "rtt_ms": _ms(face.round_trip) if face.round_trip is not None else None,
        }
        self._begin()
        return told


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
