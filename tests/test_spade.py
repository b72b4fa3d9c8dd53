import pytest

torch = pytest.importorskip("torch", reason="the networks need PyTorch: pip install visavis[train]")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from networks.enlarged import convolve_enlarged  # noqa: E402
from networks.spade import Spade, SpadeBlock, SpadeGenerator, SpectralConv2d, look, spectrally_normal  # noqa: E402
from networks.warping import CHANNELS  # noqa: E402


def trained(channels_in: int, channels_out: int) -> nn.Module:
    """A convolution under PyTorch's spectral norm whose u and v are some steps from convergence."""
    torch.manual_seed(0)
    convolution = nn.utils.spectral_norm(nn.Conv2d(channels_in, channels_out, 3, padding=1))
    convolution.train()(torch.randn(1, channels_in, 4, 4))
    return convolution.eval()


def test_a_spectrally_normal_convolution_is_folded_when_it_is_loaded() -> None:
    published, picture = trained(6, 4), torch.randn(2, 6, 5, 5)
    ours = SpectralConv2d(6, 4, 3, padding=1)
    ours.load_state_dict(published.state_dict())
    torch.testing.assert_close(ours(picture), published(picture))
    assert set(ours.state_dict()) == {"weight", "bias"}


def test_the_stored_vectors_are_used_not_the_true_singular_value() -> None:
    state = trained(6, 4).state_dict()
    original, u, v = (state[f"weight_{part}"] for part in ("orig", "u", "v"))
    exact = original / torch.linalg.matrix_norm(original.flatten(1), ord=2)
    assert (spectrally_normal(original, u, v) - exact).abs().max() > 1e-3


def test_a_folded_convolution_loads_too() -> None:
    first, second = SpectralConv2d(6, 4, 3), SpectralConv2d(6, 4, 3)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.weight, second.weight)


def test_without_condition_a_norm_leaves_mean_0_and_variance_1() -> None:
    norm = Spade(3)
    for layer in (norm.mlp_gamma, norm.mlp_beta):
        nn.init.zeros_(layer.weight)
        layer.bias = nn.Parameter(torch.zeros(3))
    normal = norm.eval()(torch.randn(2, 3, 8, 8) * 5 + 2, torch.randn(2, 128, 8, 8))
    torch.testing.assert_close(normal.mean((2, 3)), torch.zeros(2, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(normal.var((2, 3), unbiased=False), torch.ones(2, 3), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("channels", "shortcut"), [((4, 4), False), ((6, 2), True)])
def test_only_a_block_that_changes_the_channels_has_a_shortcut_of_its_own(
    channels: tuple[int, int], shortcut: bool
) -> None:
    block = SpadeBlock(*channels)
    assert any(name.startswith("conv_s") for name in block.state_dict()) is shortcut
    assert block(torch.randn(1, channels[0], 4, 4), torch.randn(1, CHANNELS, 4, 4)).shape == (1, channels[1], 4, 4)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("bias", [True, False])
def test_a_convolution_of_an_enlarged_picture_needs_not_enlarge_it(scale: int, bias: bool) -> None:
    torch.manual_seed(0)
    layer, small = nn.Conv2d(3, 5, 3, padding=1, bias=bias).double(), torch.randn(2, 3, 4, 6).double()
    large = F.interpolate(small, scale_factor=float(scale), mode="nearest")
    torch.testing.assert_close(convolve_enlarged(small, layer.weight, layer.bias, scale), layer(large))


def test_norms_that_look_together_see_what_each_would_see_alone() -> None:
    torch.manual_seed(0)
    norms, condition = [Spade(4), Spade(6)], torch.randn(1, CHANNELS, 3, 3)
    for norm, seen in zip(norms, look(norms, condition, 2), strict=True):
        alone = norm.mlp_shared(F.interpolate(condition, scale_factor=2.0, mode="nearest"))
        torch.testing.assert_close(seen, alone, atol=1e-5, rtol=1e-4)


def test_the_last_channels_become_rows_and_columns() -> None:
    with torch.device("meta"):
        large, small = SpadeGenerator(upscale=2).conv_img, SpadeGenerator(upscale=1).conv_img
    assert isinstance(large, nn.Sequential) and isinstance(small, nn.Conv2d)
    channels = torch.arange(12.0).reshape(1, 12, 1, 1)
    picture = large[1](channels)
    assert picture[0, 1].tolist() == [[4, 5], [6, 7]], "channel = colour * 4 + row * 2 + column"
    assert torch.equal(picture, F.pixel_shuffle(channels, 2))
