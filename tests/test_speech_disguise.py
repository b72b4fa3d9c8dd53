import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install visavis[train]")

from networks.compact_audio import LogMel  # noqa: E402
from training.speech.disguise import disguised  # noqa: E402

CENTRES = LogMel().centres.numpy()


def test_formants_move_along_the_axis_and_bands_go_missing() -> None:
    peak = 30
    mel = torch.zeros(300, 64, 4)
    mel[:, peak - 1 : peak + 2] = torch.tensor([0.5, 1.0, 0.5])[None, :, None]
    mel += 0.1
    heard = disguised(np.random.default_rng(0), mel, CENTRES)
    assert heard.shape == mel.shape and heard.dtype == torch.float32
    masked = (heard == 0).all(dim=2).any(dim=1)
    assert 0.25 < masked.float().mean() < 0.55
    whole = heard[~masked, :, 0]
    moved = CENTRES[whole.argmax(dim=1).numpy()] / CENTRES[peak]
    assert 0.7 < moved.min() < 0.9 and 1.1 < moved.max() < 1.4
    assert (whole == mel[0, :, 0]).all(dim=1).float().mean() == pytest.approx(0.3, abs=0.1), "some stay themselves"


def test_the_same_seed_gives_the_same_speakers() -> None:
    mel = torch.rand(4, 64, 10)
    one, same, other = (disguised(np.random.default_rng(seed), mel, CENTRES) for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
