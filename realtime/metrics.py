"""What the server counts, for Prometheus. One registry per app, so that two apps never mix."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from engines.cost import BUCKETS

_COMPUTE_BINS: Final = (0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.1, 0.2)
_DELAY_BINS: Final = (0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.2, 0.4)
_LAG_BINS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_AGE_BINS: Final = (1, 5, 15, 60, 300, 900, 3600)


class Metrics:
    """Names begin with `visavis_`; times in seconds."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.sessions = Gauge("visavis_sessions", "Calls that live now", registry=registry)
        self.capacity = Gauge("visavis_capacity", "Calls that may live at the same time", registry=registry)
        self.started = Counter("visavis_sessions_started", "Calls that went live", registry=registry)
        self.ended = Counter("visavis_sessions_ended", "Calls that ended", ["reason"], registry=registry)
        self.refused = Counter("visavis_offers_refused", "Offers that got an error", ["code"], registry=registry)
        self.age = Histogram("visavis_session_seconds", "Length of the calls", buckets=_AGE_BINS, registry=registry)
        self.join = Histogram(
            "visavis_join_seconds",
            "From the offer to the first picture",
            buckets=(*_LAG_BINS, 1, 2, 5),
            registry=registry,
        )
        self.frames = Counter("visavis_frames", "Pictures released", registry=registry)
        self.late = Counter("visavis_late_frames", "Pictures that missed their time", registry=registry)
        self.batch = Histogram(
            "visavis_batch_size", "Pictures that are made at the same time", buckets=BUCKETS, registry=registry
        )
        self.late_draws = Counter("visavis_late_draws", "Pictures that were made, but too late", registry=registry)
        self.compute = Histogram(
            "visavis_compute_seconds", "Making of one picture", buckets=_COMPUTE_BINS, registry=registry
        )
        self.encode = Histogram(
            "visavis_encode_seconds",
            "Encoding of one picture, waiting included",
            buckets=_COMPUTE_BINS,
            registry=registry,
        )
        self.jitter = Histogram(
            "visavis_jitter_delay_seconds",
            "Delay of the voice in the jitter buffer",
            buckets=_DELAY_BINS,
            registry=registry,
        )
        self.concealed = Counter("visavis_concealed_seconds", "Sound made up for lost packets", registry=registry)
        self.interrupts = Counter("visavis_interrupts", "Interruptions", registry=registry)
        self.loop_lag = Histogram(
            "visavis_loop_lag_seconds", "How late the event loop wakes up", buckets=_LAG_BINS, registry=registry
        )

    def drew(self, size: int, late: int) -> None:
        """A batch of `size` pictures is made, of which `late` came too late. May be called from any thread."""
        self.batch.observe(size)
        self.late_draws.inc(late)
