"""The caller's voice, even: RTP packets in as the network brings them, 20 ms of sound out every 20 ms.

The buffer keeps a *playhead*, the RTP timestamp of the next sample to come out, and knows where it should be: a fixed
`target` behind the fastest packets of the last seconds. What happens at each `read` follows from the two:

- the packet at the playhead is there: it is decoded;
- it is missing but a later one came: it is lost; it is recovered from the copy in the next packet, or concealed;
- nothing came: the sound is carried on *without* moving the playhead, so that a late packet still finds its place
  (and a lost one, once known as lost, costs no further time);
- the playhead lags behind its place, after a late packet or a burst: sound is shortened by a pitch period or so per
  read until it does not, so that delay never stays;
- nothing came for 100 ms: silence, and a fresh start with the next packet, whether the sender's clock went on or not.

No clock of its own and no thread: arrival and read times are arguments, in seconds of any steady clock.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from engines.media import MEDIA_RATE
from realtime.clock import PACKET_TICKS

Pcm = NDArray[np.int16]

_HISTORY: Final = 200
"""Packets whose arrival is remembered: four seconds."""
_STARVED: Final = 5 * PACKET_TICKS
"""Sound carried on without any packet before the stream is taken to have paused."""
_HOPELESS: Final = 240 * MEDIA_RATE // 1000
"""A playhead so far behind jumps: shortening would take seconds."""
_TOLERANCE: Final = 15 * MEDIA_RATE // 1000
"""A playhead no further behind is left alone; it starts within 10 ms of its place."""
_CAPACITY: Final = 100
"""Packets held; more are the sign of a sender gone wild, and the oldest go."""
_REBASE: Final = 5 * MEDIA_RATE
"""A step of the RTP timestamp beyond this is a new stream."""
_FADE: Final = 240
"""Samples over which two places of the sound are blended when it is shortened: 5 ms."""


class Decoder(Protocol):
    """What `realtime.opus.OpusDecoder` does; raises `ValueError` for packets that are not sound."""

    def decode(self, payload: bytes) -> Pcm: ...
    def recover(self, following: bytes, samples: int = ...) -> Pcm: ...
    def conceal(self, samples: int = ...) -> Pcm: ...


@dataclass(slots=True)
class JitterCounts:
    """What has happened so far. Times in samples at 48 kHz."""

    received: int = 0
    duplicate: int = 0
    late: int = 0
    lost: int = 0
    recovered: int = 0
    corrupt: int = 0
    concealed: int = 0
    stretched: int = 0
    shortened: int = 0
    skipped: int = 0
    silent: int = 0


@dataclass(frozen=True, slots=True)
class Voice:
    """20 ms of sound: `pcm` int16 ``(960,)``; `delay` seconds from its arrival at its fastest to now (0 in silence)."""

    pcm: Pcm
    delay: float
    silent: bool


@dataclass(frozen=True, slots=True)
class _Packet:
    sequence: int
    timestamp: int
    payload: bytes


class JitterBuffer:
    """One stream's buffer. `minimum` and `maximum` bound the target delay, in seconds."""

    def __init__(self, decoder: Decoder, minimum: float = 0.020, maximum: float = 0.040) -> None:
        self.counts = JitterCounts()
        self._decoder = decoder
        self._minimum, self._maximum = minimum, maximum
        self._target = minimum
        self._packets: dict[int, _Packet] = {}
        self._transits: deque[float] = deque(maxlen=_HISTORY)
        self._fastest = 0.0
        self._newest: _Packet | None = None
        self._head: int | None = None
        self._pcm: Pcm = np.zeros(0, np.int16)
        self._owed = 0
        self._starved = 0
        self._sequence = 0

    @property
    def target(self) -> float:
        """The delay that is aimed at, in seconds."""
        return self._target

    def align(self, now: float) -> float:
        """The next moment from which reads every 20 ms meet the packets exactly `target` after their arrival."""
        if not self._packets:
            return now
        wait = self._fastest + min(self._packets) / MEDIA_RATE + self._target - now
        return now + wait % (PACKET_TICKS / MEDIA_RATE)

    def insert(self, sequence: int, timestamp: int, payload: bytes, arrival: float) -> None:
        """Take one RTP packet: its 16-bit sequence number, 32-bit timestamp, and when it came."""
        self.counts.received += 1
        packet = self._unwrap(sequence, timestamp, payload)
        if self._head is not None and packet.timestamp < self._head:
            self.counts.late += 1
            return
        if packet.timestamp in self._packets:
            self.counts.duplicate += 1
            return
        transit = arrival - packet.timestamp / MEDIA_RATE
        if self._head is None and transit > self._fastest + self._maximum:
            self._transits.clear()  # the sender's clock stood still in the pause: what was fast is no measure any more
        self._measure(transit)
        self._packets[packet.timestamp] = packet
        if len(self._packets) > _CAPACITY:
            del self._packets[min(self._packets)]
            self.counts.skipped += PACKET_TICKS

    def read(self, now: float) -> Voice:
        """The next 20 ms. Call it every 20 ms; it never waits."""
        place = round((now - self._fastest - self._target) * MEDIA_RATE)
        if self._head is None and not self._begin(place):
            self.counts.silent += PACKET_TICKS
            return Voice(np.zeros(PACKET_TICKS, np.int16), 0.0, True)
        if self._lag(place) > _HOPELESS:
            self._jump(place)
        self._fill(PACKET_TICKS)
        if self._head is None:  # the stream paused
            return self.read(now)
        if self._lag(place) > _TOLERANCE and self._head in self._packets:
            self._fill(2 * PACKET_TICKS)
            self._shorten()
        delay = now - self._fastest - (self._head - len(self._pcm)) / MEDIA_RATE
        pcm, self._pcm = self._pcm[:PACKET_TICKS], self._pcm[PACKET_TICKS:]
        return Voice(pcm, delay, False)

    def _lag(self, place: int) -> int:
        assert self._head is not None
        return place - (self._head - len(self._pcm))

    def _unwrap(self, sequence: int, timestamp: int, payload: bytes) -> _Packet:
        newest = self._newest
        if newest is not None:
            step = (timestamp - newest.timestamp + 2**31) % 2**32 - 2**31
            if abs(step) <= _REBASE:
                number = newest.sequence + (sequence - newest.sequence + 2**15) % 2**16 - 2**15
                packet = _Packet(number, newest.timestamp + step, payload)
                if step > 0:
                    self._newest = packet
                return packet
            self._forget()
        self._newest = _Packet(sequence, timestamp, payload)
        return self._newest

    def _forget(self) -> None:
        self._packets.clear()
        self._transits.clear()
        self._pause()

    def _pause(self) -> None:
        self._head, self._owed, self._starved = None, 0, 0
        self._pcm = self._pcm[:0]

    def _measure(self, transit: float) -> None:
        self._transits.append(transit)
        ordered = sorted(self._transits)
        self._fastest = ordered[0]
        spread = ordered[int(0.96 * (len(ordered) - 1))] - ordered[0]
        self._target = min(max(spread, self._minimum), self._maximum)

    def _begin(self, place: int) -> bool:
        # Half a packet early is on time: reads come at a grid of their own.
        first = min(self._packets, default=None)
        if first is None or place < first - PACKET_TICKS // 2:
            return False
        self._head = first
        self._sequence = self._packets[first].sequence - 1
        return True

    def _jump(self, place: int) -> None:
        assert self._head is not None
        later = [timestamp for timestamp in self._packets if timestamp > self._head]
        if not later:
            return
        goal = max((timestamp for timestamp in later if timestamp <= place), default=min(later))
        self.counts.skipped += goal - self._head + len(self._pcm)
        self._packets = {timestamp: packet for timestamp, packet in self._packets.items() if timestamp >= goal}
        self._head, self._pcm, self._owed = goal, self._pcm[:0], 0

    def _fill(self, samples: int) -> None:
        while self._head is not None and len(self._pcm) < samples:
            self._append(self._next())

    def _append(self, pcm: Pcm) -> None:
        self._pcm = np.concatenate([self._pcm, pcm])

    def _next(self) -> Pcm:
        assert self._head is not None
        packet = self._packets.pop(self._head, None)
        if packet is not None:
            self._starved = 0
            self._sequence = packet.sequence
            pcm = self._decode(packet)
            self._head += len(pcm)
            return pcm
        following = min(self._packets, default=None)
        if following is None:
            return self._stretch()
        return self._fill_gap(self._packets[following])

    def _decode(self, packet: _Packet) -> Pcm:
        try:
            return self._decoder.decode(packet.payload)
        except ValueError:
            self.counts.corrupt += 1
            self.counts.concealed += PACKET_TICKS
            return self._conceal(PACKET_TICKS)

    def _stretch(self) -> Pcm:
        if self._starved >= _STARVED:
            self._pause()
            return self._pcm
        self._starved += PACKET_TICKS
        self._owed += PACKET_TICKS
        self.counts.stretched += PACKET_TICKS
        return self._conceal(PACKET_TICKS)

    def _fill_gap(self, following: _Packet) -> Pcm:
        assert self._head is not None
        gap = following.timestamp - self._head
        samples = min(gap, PACKET_TICKS)
        lost = following.sequence != self._sequence + 1  # else the sender itself was silent (DTX)
        self._head += samples
        self._starved = 0
        self.counts.lost += lost
        if self._owed >= samples:  # this time was filled while waiting for what now is known as lost
            self._owed -= samples
            return self._pcm[:0]
        if lost and samples == gap == PACKET_TICKS:
            try:
                pcm = self._decoder.recover(following.payload, samples)
                self.counts.recovered += 1
                return pcm
            except ValueError:
                self.counts.corrupt += 1
        self.counts.concealed += samples * lost
        return self._conceal(samples)

    def _conceal(self, samples: int) -> Pcm:
        whole = -(-samples // 120) * 120  # libopus works in steps of 2.5 ms
        return self._decoder.conceal(whole)[:samples]

    def _shorten(self) -> None:
        # Cut out about a pitch period, where the sound most resembles itself; in silence a whole packet goes.
        pcm = self._pcm.astype(np.float32)
        start, ahead = pcm[:_FADE], pcm[_FADE : 2 * PACKET_TICKS]
        likeness = np.correlate(ahead[:PACKET_TICKS], start, "valid")
        windows = np.sqrt(np.convolve(np.square(ahead[:PACKET_TICKS]), np.ones(_FADE, np.float32), "valid") + 1.0)
        cut = _FADE + int(np.argmax(likeness / windows))
        if np.abs(pcm).max() < 300:
            cut = PACKET_TICKS
        fade = np.linspace(0.0, 1.0, _FADE, dtype=np.float32)
        blend = start * (1 - fade) + pcm[cut : cut + _FADE] * fade
        self._pcm = np.concatenate([blend.astype(np.int16), self._pcm[cut + _FADE :]])
        self.counts.shortened += cut
        self._owed = max(0, self._owed - cut)
