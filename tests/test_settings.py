import argparse

import pytest

from realtime.settings import Settings


def parse(*flags: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    Settings.add_arguments(parser)
    return parser.parse_args(flags)


def test_flags_win_over_the_environment_and_that_over_the_defaults() -> None:
    settings = Settings.load(parse("--port", "9000"), {"VISAVIS_PORT": "1", "VISAVIS_MAX_SESSIONS": "7"})
    assert (settings.port, settings.max_sessions, settings.host) == (9000, 7, "127.0.0.1")


def test_types_follow_the_defaults() -> None:
    settings = Settings.load(parse("--silence-seconds", "2.5"), {})
    assert settings.silence_seconds == 2.5


def test_a_variable_of_the_wrong_type_is_named() -> None:
    with pytest.raises(ValueError, match="VISAVIS_PORT='x' is not int"):
        Settings.load(None, {"VISAVIS_PORT": "x"})


@pytest.mark.parametrize(
    "values",
    [
        {"lookahead_ms": 50},
        {"max_sessions": -1},
        {"jitter_min_ms": 50},
        {"compute_ms": -1},
        {"video_kbps": 1},
        {"workers": -1},
        {"tls_cert": "a.pem"},
        {"port": 70_000},
        {"port": -1},
        {"max_uploads": -1},
        {"silence_seconds": 0.0},
        {"connect_seconds": -1.0},
        {"max_age_seconds": float("nan")},
        {"retry_seconds": 0},
        {"ice_servers": "stun:a.example, b.example"},
    ],
)
def test_senseless_values_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        Settings(**values)  # type: ignore[arg-type]


def test_the_delay_is_lookahead_and_half_a_frame_and_computing() -> None:
    assert Settings(lookahead_ms=80, compute_ms=35).delay_ticks == 135 * 48


def test_a_picture_has_the_time_allowed_for_making_it() -> None:
    assert Settings(compute_ms=35).slack == 0.035
