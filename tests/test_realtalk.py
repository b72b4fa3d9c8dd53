import pytest

torch = pytest.importorskip("torch", reason="the networks need PyTorch: pip install visavis[train]")

from torch import Tensor  # noqa: E402

from networks.realtalk import (  # noqa: E402
    AUDIO,
    EXPRESSION,
    HISTORY,
    POSE,
    SHAPE,
    SPOKEN,
    AudioToExpression,
    ExpressionToFace,
    FacialIdentityAlignment,
    keep_mask,
    periodic_positions,
)

COEFFICIENTS = SHAPE + EXPRESSION + POSE


def test_positions_repeat_after_their_period() -> None:
    places = periodic_positions(60, 16, period=25)
    torch.testing.assert_close(places[25:50], places[:25])
    assert torch.unique(places[:25].round(decimals=4), dim=0).shape[0] == 25
    assert places[3, :2].tolist() == pytest.approx([0.14112, -0.98999], abs=1e-4), "sin 3, cos 3"


@pytest.fixture(scope="module")
def speaker() -> AudioToExpression:
    torch.manual_seed(0)
    return AudioToExpression(24).eval()


def heard(batch: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    return torch.randn(batch, AUDIO, 24), torch.randn(batch, SHAPE), torch.randn(batch, HISTORY, EXPRESSION)


def test_audio_shape_and_history_all_matter_and_sessions_do_not_mix(speaker: AudioToExpression) -> None:
    torch.manual_seed(1)
    given = heard()
    with torch.inference_mode():
        spoken = speaker(*given)
        assert spoken.shape == (2, SPOKEN, EXPRESSION)
        torch.testing.assert_close(speaker(*(part[1:] for part in given))[0], spoken[1], atol=1e-5, rtol=1e-4)
        for index in range(3):
            changed = [part + 1.0 if i == index else part for i, part in enumerate(given)]
            assert (speaker(*changed) - spoken).abs().max() > 1e-3
    assert (spoken[:, 0] - spoken[:, 5]).abs().max() > 1e-4, "queries differ by their place"


def test_the_past_is_read_in_its_order(speaker: AudioToExpression) -> None:
    torch.manual_seed(1)
    audio, shape, history = heard()
    with torch.inference_mode():
        backwards = speaker(audio, shape, history.flip(1))
        assert (backwards - speaker(audio, shape, history)).abs().max() > 1e-3


def test_texture_comes_from_wherever_the_reference_has_it() -> None:
    torch.manual_seed(0)
    align = FacialIdentityAlignment(8, 16, aligned=True).eval()
    x, coefficients, reference = torch.randn(1, 8, 4, 4), torch.randn(1, COEFFICIENTS), torch.randn(1, 16, 4, 4)
    with torch.inference_mode():
        aligned = align(x, coefficients, reference)
        moved = align(x, coefficients, reference.flip(3))
        torch.testing.assert_close(aligned, moved, atol=1e-5, rtol=1e-4)
        assert (align(x, coefficients, reference * 2) - aligned).abs().max() > 1e-3
        assert (align(x, coefficients + 1, reference) - aligned).abs().max() > 1e-3
    assert FacialIdentityAlignment(8, 16, aligned=False).align is None


def test_only_the_coarse_scales_look_at_the_reference() -> None:
    with torch.device("meta"):
        network = ExpressionToFace()
    assert [module.align is not None for module in network.decoder] == [True, True, False, False, False]
    assert sum(parameter.numel() for parameter in network.parameters()) == 57_382_275


def test_only_what_the_mask_opens_is_painted() -> None:
    torch.manual_seed(0)
    with torch.device("meta"):
        network = ExpressionToFace()
    # Nothing in it depends on the picture's size or on how good its weights are: small and plain ones do.
    state = {name: torch.randn(1).expand(value.shape) * 0.02 for name, value in network.state_dict().items()}
    network.load_state_dict(state, assign=True)
    source, reference = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    keep = keep_mask(SQUARE, 32)
    with torch.inference_mode():
        coefficients = torch.randn(1, COEFFICIENTS)
        painted = network(source, keep, reference, coefficients)
        blind = network(source * keep, keep, reference, coefficients)
    assert torch.equal(torch.where(keep > 0, painted, 0), torch.where(keep > 0, source, 0))
    inside = keep.expand_as(painted) == 0
    assert (painted - source)[inside].abs().mean() > 0.05
    assert torch.equal(blind, painted), "what is painted over is not looked at"


SQUARE = torch.tensor([[[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]])


def test_the_inside_of_a_contour_is_opened() -> None:
    keep = keep_mask(SQUARE, 8)
    assert keep.shape == (1, 1, 8, 8)
    wanted = torch.ones(8, 8)
    wanted[2:6, 2:6] = 0
    assert torch.equal(keep[0, 0], wanted)


def test_contours_may_be_hollow_and_turn_either_way_round() -> None:
    star = torch.tensor([[-0.9, -0.9], [0.0, 0.3], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]])
    keep = keep_mask(torch.stack([star, star.flip(0)]), 16)
    assert torch.equal(keep[0], keep[1])
    assert keep[0, 0, 3, 8] == 1 and keep[0, 0, 13, 8] == 0 and keep[0, 0, 3, 2] == 0
