import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install visavis[train]")

from torch import Tensor  # noqa: E402

from engines import audio2exp as serving  # noqa: E402
from engines.expression import LIP_NAMES, LIP_SIZE  # noqa: E402
from engines.features import FRAME_SAMPLES  # noqa: E402
from networks.audio2exp import (  # noqa: E402
    CLOSE,
    FEATURES_PER_FRAME,
    HISTORY,
    LIPS,
    LOOKAHEAD_FRAMES,
    PART,
    Audio2Exp,
    bias_from_logits,
    logit_from_bias,
    loss_with_logits,
)
from networks.compact_audio import SAMPLES_PER_FEATURE  # noqa: E402


def test_training_and_serving_agree_on_sizes() -> None:
    assert (LIPS, HISTORY) == (LIP_SIZE, serving.HISTORY)
    assert (LIP_NAMES[CLOSE], LIP_NAMES[PART]) == ("mouthClose", "mouthPart")
    assert FEATURES_PER_FRAME * SAMPLES_PER_FEATURE == FRAME_SAMPLES
    assert tuple(frames * 40 for frames in LOOKAHEAD_FRAMES) == serving.LOOKAHEADS_MS


def test_an_untrained_network_leaves_the_source_alone() -> None:
    torch.manual_seed(0)
    bias = Audio2Exp(8)(certain(4, 2), torch.rand(4, HISTORY, LIPS))
    assert bias.shape == (4, 3, LIPS)
    assert bias.abs().max() < 1e-7


def certain(*sizes: int) -> Tensor:
    """Features of width 8 in which nothing is doubted."""
    return torch.cat([torch.randn(*sizes, 8), torch.zeros(*sizes, 3)], dim=-1)


def test_the_bias_runs_from_rest_to_one() -> None:
    bias = bias_from_logits(torch.linspace(-30, 30, 61))
    assert bias[30].abs() < 1e-7 and bias[0] > -0.03 and bias[-1] == 1.0
    assert (bias.diff() >= 0).all()


@pytest.mark.parametrize("wanted", [0.0, 0.3, 1.0])
def test_the_loss_is_least_where_the_bias_is_right(wanted: float) -> None:
    logits = torch.linspace(-4, 14, 1801)
    best = logits[loss_with_logits(logits, torch.full_like(logits, wanted)).argmin()]
    assert bias_from_logits(best).item() == pytest.approx(wanted, abs=5e-3)


def test_after_one_step_voice_and_history_both_matter() -> None:
    torch.manual_seed(0)
    network = Audio2Exp(8)
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    for _ in range(2):
        optimizer.zero_grad()
        (network(certain(16, 2), torch.rand(16, HISTORY, LIPS)) - torch.rand(16, 3, LIPS)).square().sum().backward()
        optimizer.step()
    features, history = certain(1, 2), torch.rand(1, HISTORY, LIPS)
    with torch.no_grad():
        spoken = network(features, history)
        assert (network(-features, history) - spoken).abs().max() > 1e-4
        assert (network(features, history * 0) - spoken).abs().max() > 1e-4


@pytest.mark.parametrize("bias", [0.0, 0.2, 0.9])
def test_logits_are_found_again(bias: float) -> None:
    assert bias_from_logits(torch.tensor(logit_from_bias(bias))).item() == pytest.approx(bias, abs=1e-6)


def test_a_channel_is_recalibrated_around_a_level_and_the_others_stay() -> None:
    torch.manual_seed(0)
    network = Audio2Exp(8)
    for row in range(3):
        torch.nn.init.normal_(network.head(row).last.weight, std=2.0)
    features, history = certain(256, 2), torch.rand(256, HISTORY, LIPS)
    with torch.no_grad():
        before = network(features, history)
        network.recalibrate(1, slope=1.5, level=0.2, becomes=0.3)
        after = network(features, history)
    torch.testing.assert_close(after[..., [0, *range(2, LIPS)]], before[..., [0, *range(2, LIPS)]])
    was, now = before[..., 1].flatten(), after[..., 1].flatten()
    order = was.argsort()
    assert (now[order].diff() >= 0).all()
    assert ((was > 0.2) == (now > 0.3)).all() and (was > 0.2).any() and (was < 0.2).any()


def test_a_doubted_closure_parts_the_lips_in_its_row_alone() -> None:
    torch.manual_seed(0)
    network = Audio2Exp(8)
    features, history = certain(64, 2), torch.rand(64, HISTORY, LIPS)
    with torch.no_grad():
        for row in range(3):
            torch.nn.init.normal_(network.head(row).last.weight, std=2.0)
        sure = network(features, history)
        features[:, 1, 8 + 1] = 2.0
        doubted = network(features, history)
    rows, others = [0, 2], [channel for channel in range(LIPS) if channel not in (CLOSE, PART)]
    torch.testing.assert_close(doubted[:, rows], sure[:, rows])
    torch.testing.assert_close(doubted[:, 1, others], sure[:, 1, others])
    assert (doubted[:, 1, CLOSE] < sure[:, 1, CLOSE]).all() and (doubted[:, 1, PART] > sure[:, 1, PART]).all()
    torch.testing.assert_close(
        torch.special.logit(doubted[:, 1, CLOSE] * 0.98 + 0.02) + 2.0,
        torch.special.logit(sure[:, 1, CLOSE] * 0.98 + 0.02),
        atol=1e-3,
        rtol=1e-3,
    )
