from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from realtime.opus import OpusDecoder, OpusEncoder, OpusError


def tone(packets: int) -> NDArray[np.int16]:
    time = np.arange(packets * 960) / 48000
    return (8000 * np.sin(2 * np.pi * 300 * time)).astype(np.int16)


def encode(pcm: NDArray[np.int16]) -> list[bytes]:
    encoder = OpusEncoder()
    return [encoder.encode(part) for part in pcm.reshape(-1, 960)]


def loudness(pcm: NDArray[Any]) -> float:
    return float(np.sqrt(np.mean(pcm.astype(np.float64) ** 2)))


def test_what_goes_in_comes_out() -> None:
    pcm = tone(20)
    decoder = OpusDecoder()
    heard = np.concatenate([decoder.decode(packet) for packet in encode(pcm)])
    assert heard.shape == pcm.shape and heard.dtype == np.int16
    # libopus looks some milliseconds ahead; where depends on its mode.
    errors = [loudness(heard[4800 + lag : 14400 + lag].astype(float) - pcm[4800:14400]) for lag in range(600)]
    assert loudness(pcm) / min(errors) > 10


def test_a_packet_knows_its_duration() -> None:
    assert OpusDecoder().duration(encode(tone(1))[0]) == 960


def test_concealment_carries_on_and_then_fades() -> None:
    decoder = OpusDecoder()
    for packet in encode(tone(10)):
        decoder.decode(packet)
    concealed = [loudness(decoder.conceal()) for _ in range(25)]
    assert concealed[0] > 3000
    assert concealed[-1] < 300


def test_the_next_packet_brings_back_a_lost_one() -> None:
    rng = np.random.default_rng(0)
    voice = (tone(30) * np.repeat(rng.uniform(0.1, 1.0, 30), 960)).astype(np.int16)
    packets = encode(voice)
    whole, broken = OpusDecoder(), OpusDecoder()
    errors = []
    for index in range(1, 29):
        truth = whole.decode(packets[index])
        if index % 5:
            broken.decode(packets[index])
        else:
            errors.append(loudness(broken.recover(packets[index + 1]) - truth) / loudness(truth))
    assert np.median(errors) < 0.7


def test_noise_is_refused() -> None:
    with pytest.raises(OpusError):
        OpusDecoder().decode(b"\xff" * 3)
    with pytest.raises(ValueError, match="960"):
        OpusEncoder().encode(np.zeros(100, np.int16))
