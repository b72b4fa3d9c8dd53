import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install visavis[train]")

from engines import audio2exp as serving  # noqa: E402
from engines.expression import LIP_SIZE  # noqa: E402
from engines.features import FRAME_SAMPLES  # noqa: E402
from networks.audio2exp import (  # noqa: E402
    FEATURES_PER_FRAME,
    HISTORY,
    LIPS,
    LOOKAHEAD_FRAMES,
    Audio2Exp,
    bias_from_logits,
    logit_from_bias,
    loss_with_logits,
)
from networks.compact_audio import SAMPLES_PER_FEATURE  # noqa: E402


def test_training_and_serving_agree_on_sizes() -> None:
    assert (LIPS, HISTORY) == (LIP_SIZE, serving.HISTORY)
    assert FEATURES_PER_FRAME * SAMPLES_PER_FEATURE == FRAME_SAMPLES
    assert tuple(frames * 40 for frames in LOOKAHEAD_FRAMES) == serving.LOOKAHEADS_MS


def test_an_untrained_network_leaves_the_source_alone() -> None:
    torch.manual_seed(0)
    bias = Audio2Exp(8)(torch.randn(4, 2, 8), torch.rand(4, HISTORY, LIPS))
    assert bias.shape == (4, 3, LIPS)
    assert bias.abs().max() < 1e-7


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
        (
            network(torch.randn(16, 2, 8), torch.rand(16, HISTORY, LIPS)) - torch.rand(16, 3, LIPS)
        ).square().sum().backward()
        optimizer.step()
    features, history = torch.randn(1, 2, 8), torch.rand(1, HISTORY, LIPS)
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
    features, history = torch.randn(256, 2, 8), torch.rand(256, HISTORY, LIPS)
    with torch.no_grad():
        before = network(features, history)
        network.recalibrate(1, slope=1.5, level=0.2, becomes=0.3)
        after = network(features, history)
    torch.testing.assert_close(after[..., [0, *range(2, LIPS)]], before[..., [0, *range(2, LIPS)]])
    was, now = before[..., 1].flatten(), after[..., 1].flatten()
    order = was.argsort()
    assert (now[order].diff() >= 0).all()
    assert ((was > 0.2) == (now > 0.3)).all() and (was > 0.2).any() and (was < 0.2).any()
