import pytest

torch = pytest.importorskip("torch", reason="the networks need PyTorch: pip install visavis[train]")
pytest.importorskip("scipy", reason="synthesised speech needs SciPy: pip install visavis[train]")

from torch import Tensor  # noqa: E402

from benchmarks.lookahead import WINDOWS, error, windowed  # noqa: E402
from engines.hubert import Window  # noqa: E402


def last_samples(pcm: Tensor) -> Tensor:
    """A network whose features (1, T, 1) are the last sample that each was made of."""
    return pcm[:, 399::320, None]


@pytest.mark.parametrize("window", [*WINDOWS, Window(0, 3, 0)])
def test_windows_answer_about_the_same_samples_as_the_utterance(window: Window) -> None:
    pcm = torch.arange(1, 640 * 80 + 1, dtype=torch.float32)
    offline = last_samples(torch.cat([torch.zeros(80), pcm])[None])[0]
    frames = range(49, 60)
    features = windowed(last_samples, pcm, window, frames)  # type: ignore[arg-type]
    assert torch.equal(features, offline[98:120])


def test_errors_are_in_deviations_over_time() -> None:
    offline = torch.randn(400, 8, generator=torch.Generator().manual_seed(0)) * 3 + 100
    assert error(offline, offline) == 0
    assert error(offline + 3, offline) == pytest.approx(1, abs=0.05)
