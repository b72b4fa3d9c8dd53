"""What stays in float32 when a network is built in half precision: found by `python -m build_trt.precision`."""

from typing import Final

from build_trt.precision import Choice

ISLANDS: Final[dict[str, Choice]] = {
    "audio2exp": Choice((), 77.7),
    "audio_features": Choice(("Log", "Add", "Div"), 68.5),
    "landmarks": Choice((), 65.2),
    "renderer_painter": Choice((), 79.3),
    "renderer_source": Choice((), 78.6),
}
