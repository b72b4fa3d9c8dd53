from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from realtime.jitter_buffer import JitterBuffer, Voice
from realtime.opus import OpusDecoder, OpusEncoder


class IndexDecoder:
    """Packets of one byte decode to 20 ms of that value; concealment is -1, recovery -2."""

    def decode(self, payload: bytes) -> NDArray[np.int16]:
        if payload == b"bad":
            raise ValueError("not sound")
        return np.full(960, payload[0], np.int16)

    def recover(self, following: bytes, samples: int = 960) -> NDArray[np.int16]:
        return np.full(samples, -2, np.int16)

    def conceal(self, samples: int = 960) -> NDArray[np.int16]:
        return np.full(samples, -1, np.int16)


Arrivals = Sequence[float | None]
"""Seconds at which packet i arrives; it was sent at i * 20 ms. None: lost."""


def listen(
    arrivals: Arrivals,
    buffer: JitterBuffer | None = None,
    reads: int | None = None,
    first_timestamp: int = 0,
    first_sequence: int = 0,
    phase: float = 0.0,
) -> tuple[JitterBuffer, list[Voice]]:
    """Play `arrivals` into a buffer that is read every 20 ms from `phase` on."""
    buffer = buffer or JitterBuffer(IndexDecoder())
    pending = sorted((at, index) for index, at in enumerate(arrivals) if at is not None)
    heard = []
    for tick in range(reads or len(arrivals)):
        now = phase + tick * 0.02
        while pending and pending[0][0] <= now:
            at, index = pending.pop(0)
            sequence, timestamp = (first_sequence + index) % 2**16, (first_timestamp + index * 960) % 2**32
            buffer.insert(sequence, timestamp, bytes([index % 120]), at)
        heard.append(buffer.read(now))
    return buffer, heard


def even(count: int) -> list[float | None]:
    return [index * 0.02 for index in range(count)]


def values(heard: list[Voice]) -> list[int]:
    return [int(voice.pcm[480]) for voice in heard]


def delays_ms(heard: list[Voice]) -> NDArray[np.float64]:
    return np.array([voice.delay * 1000 for voice in heard if not voice.silent])


def test_a_clean_line_costs_the_target_and_loses_nothing() -> None:
    _, heard = listen(even(100))
    assert values(heard)[1:] == list(range(99))
    assert delays_ms(heard) == pytest.approx(20.0)
    assert heard[0].silent


@pytest.mark.parametrize("phase", [0.001, 0.007, 0.013, 0.019])
def test_the_delay_lies_within_ten_milliseconds_of_the_target(phase: float) -> None:
    _, heard = listen(even(100), phase=phase)
    assert np.abs(delays_ms(heard) - 20).max() <= 10.01


def test_reads_can_be_aligned_to_the_packets() -> None:
    buffer = JitterBuffer(IndexDecoder())
    buffer.insert(0, 0, b"\0", 1.003)
    assert buffer.align(1.005) == pytest.approx(1.023)
    assert buffer.align(1.530) == pytest.approx(1.543)


def test_one_lost_packet_costs_twenty_milliseconds_and_no_delay() -> None:
    arrivals = even(200)
    arrivals[100] = None
    _, heard = listen(arrivals)
    made_up = [index for index, value in enumerate(values(heard)) if value < 0]
    assert len(made_up) == 1
    assert delays_ms(heard)[-1] == pytest.approx(20.0)
    assert values(heard)[-1] == 198 % 120


def test_a_lost_packet_is_recovered_from_the_next_when_that_is_there_in_time() -> None:
    arrivals = even(100)
    arrivals[50] = None
    buffer, heard = listen(arrivals, JitterBuffer(IndexDecoder(), minimum=0.04, maximum=0.06))
    assert -2 in values(heard)
    assert (buffer.counts.recovered, buffer.counts.concealed, buffer.counts.lost) == (1, 0, 1)


def test_two_packets_in_the_wrong_order_come_out_right() -> None:
    arrivals = even(100)
    arrivals[50], arrivals[51] = 51 * 0.02 + 0.001, 51 * 0.02
    _, heard = listen(arrivals, JitterBuffer(IndexDecoder(), minimum=0.04, maximum=0.06))
    assert values(heard)[2:] == list(range(98))


def test_a_packet_later_than_its_follower_is_taken_as_lost() -> None:
    arrivals = even(200)
    arrivals[50] = 50 * 0.02 + 0.055
    buffer, heard = listen(arrivals)
    assert (buffer.counts.lost, buffer.counts.late) == (1, 1)
    assert delays_ms(heard)[-1] == pytest.approx(20.0)


def test_a_short_stall_of_the_line_loses_nothing_and_its_delay_drains() -> None:
    arrivals = even(400)
    for index in range(100, 103):
        arrivals[index] = 103 * 0.02
    buffer, heard = listen(arrivals)
    assert {100, 101, 102} <= set(values(heard))
    assert buffer.counts.lost == buffer.counts.late == 0
    assert delays_ms(heard).max() > 55
    assert delays_ms(heard)[-1] <= 35


def test_delay_drains_after_a_burst() -> None:
    arrivals = even(600)
    for index in range(100, 110):
        arrivals[index] = 110 * 0.02
    buffer, heard = listen(arrivals)
    after = delays_ms(heard)
    assert after.max() > 150
    assert after[-100:].max() <= 35
    assert buffer.counts.skipped == 0


def test_a_hopeless_backlog_is_skipped() -> None:
    arrivals = even(600)
    for index in range(100, 130):
        arrivals[index] = 130 * 0.02
    buffer, heard = listen(arrivals)
    assert buffer.counts.skipped > 0
    assert delays_ms(heard)[-100:].max() <= 35


def test_the_target_follows_the_jitter_within_its_bounds() -> None:
    rng = np.random.default_rng(0)
    calm, _ = listen([i * 0.02 + rng.uniform(0, 0.005) for i in range(300)])
    shaky, _ = listen([i * 0.02 + rng.uniform(0, 0.030) for i in range(300)])
    wild, _ = listen([i * 0.02 + rng.uniform(0, 0.100) for i in range(300)])
    assert calm.target == 0.020
    assert 0.025 < shaky.target < 0.031
    assert wild.target == 0.040


def test_jitter_below_the_target_makes_up_nothing() -> None:
    rng = np.random.default_rng(1)
    arrivals = [i * 0.02 + rng.uniform(0, 0.018) for i in range(500)]
    buffer, heard = listen(arrivals, phase=0.0)
    assert min(values(heard)[5:]) >= 0
    assert buffer.counts.lost == 0


def test_a_pause_is_silence_and_a_fresh_start() -> None:
    arrivals = even(300)
    arrivals[100:200] = [None] * 100
    buffer, heard = listen(arrivals)
    assert all(voice.silent for voice in heard[110:198])
    assert delays_ms(heard)[-1] <= 30
    assert buffer.counts.lost == 0


@pytest.mark.parametrize("seconds", [0.3, 2.0, 20.0])
def test_a_clock_that_stood_still_in_a_pause_costs_nothing(seconds: float) -> None:
    # A laptop that slept, a headset that was changed: packets go on after the pause with the timestamps of before.
    rng = np.random.default_rng(2)
    arrivals = [i * 0.02 + rng.uniform(0, 0.018) + seconds * (i >= 300) for i in range(500)]
    buffer, heard = listen(arrivals, reads=round(500 + 50 * seconds))
    after = heard[round(300 + 50 * seconds) + 3 :]
    assert min(values(after)) >= 0 and not any(voice.silent for voice in after)
    assert delays_ms(after).max() <= 45 and buffer.counts.lost == buffer.counts.shortened == 0


def test_a_sender_that_is_silent_by_itself_loses_nothing() -> None:
    # DTX: sequence numbers go on, timestamps jump.
    buffer = JitterBuffer(IndexDecoder())
    for tick in range(60):
        if tick % 3 == 0:
            buffer.insert(tick // 3, tick * 960, b"\5", tick * 0.02)
        buffer.read(tick * 0.02)
    assert buffer.counts.lost == 0
    assert buffer.counts.concealed == 0


@pytest.mark.parametrize("drift", [300e-6, -300e-6])
def test_a_microphone_with_a_clock_of_its_own_never_drifts_away(drift: float) -> None:
    arrivals = [index * 0.02 * (1 + drift) for index in range(15_000)]
    _, heard = listen(arrivals)
    delays = delays_ms(heard)[:-20]  # the microphone's clock ends earlier or later than ours
    assert delays[1000:].min() >= 0 and delays[1000:].max() <= 40


def test_counters_of_rtp_wrap() -> None:
    _, heard = listen(even(100), first_timestamp=2**32 - 20 * 960, first_sequence=2**16 - 30)
    assert values(heard)[1:] == list(range(99))


def test_a_new_stream_starts_anew() -> None:
    buffer, _ = listen(even(50))
    for index in range(10):
        buffer.insert(40_000 + index, 10**9 + index * 960, bytes([100 + index]), 1.0 + index * 0.02)
        voice = buffer.read(1.0 + index * 0.02)
    assert int(voice.pcm[480]) == 108


def test_duplicates_and_latecomers_change_nothing() -> None:
    buffer, _ = listen(even(50))
    buffer.insert(10, 10 * 960, b"\1", 1.0)
    buffer.insert(49, 49 * 960, b"\1", 1.0)
    assert (buffer.counts.late, buffer.counts.duplicate) == (1, 1)
    assert int(buffer.read(1.0).pcm[480]) == 49


def test_noise_instead_of_opus_is_concealed() -> None:
    buffer = JitterBuffer(IndexDecoder())
    buffer.insert(0, 0, b"bad", 0.0)
    buffer.insert(1, 960, b"\7", 0.02)
    assert [int(buffer.read(0.02 + 0.02 * tick).pcm[480]) for tick in range(2)] == [-1, 7]
    assert buffer.counts.corrupt == 1


def test_a_flood_is_bounded() -> None:
    buffer = JitterBuffer(IndexDecoder())
    for index in range(1000):
        buffer.insert(index, index * 960, b"\1", 0.0)
    assert len(buffer._packets) <= 100


@pytest.mark.parametrize("milliseconds", [10, 40, 60])
def test_packets_of_other_lengths_come_out_in_twenties(milliseconds: int) -> None:
    class LongDecoder(IndexDecoder):
        def decode(self, payload: bytes) -> NDArray[np.int16]:
            return np.full(48 * milliseconds, payload[0], np.int16)

    buffer = JitterBuffer(LongDecoder())
    heard: list[int] = []
    for tick in range(600):
        now = tick * 0.010
        if tick % (milliseconds // 10) == 0:
            number = tick * 10 // milliseconds
            buffer.insert(number, number * 48 * milliseconds, bytes([number % 120]), now)
        if tick % 2 == 0:
            heard.append(int(buffer.read(now).pcm[-1]))
    assert min(heard[20:]) >= 0
    assert buffer.counts.lost == 0


def test_real_opus_through_loss_stays_close_to_the_voice() -> None:
    rng = np.random.default_rng(2)
    time = np.arange(48000 * 8) / 48000
    voice = (6000 * np.sin(2 * np.pi * 180 * time) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time))).astype(np.int16)
    encoder = OpusEncoder()
    packets = [encoder.encode(part) for part in voice.reshape(-1, 960)]
    lost = set(rng.choice(np.arange(20, 400), 20, replace=False).tolist())
    buffer = JitterBuffer(OpusDecoder())
    parts = []
    for tick in range(400):
        if tick not in lost:
            buffer.insert(tick, tick * 960, packets[tick], tick * 0.02)
        parts.append(buffer.read(tick * 0.02).pcm)
    heard = np.concatenate(parts).astype(float)
    level = np.sqrt(np.mean(heard.reshape(-1, 960)[20:] ** 2, axis=1))
    assert level.min() > 200  # no holes
    assert np.abs(np.diff(heard)).max() < 2500  # no clicks
