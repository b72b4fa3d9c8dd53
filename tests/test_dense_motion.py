import pytest

torch = pytest.importorskip("torch", reason="the networks need PyTorch: pip install visavis[train]")

from torch import Tensor, nn  # noqa: E402

from networks import volume_grid  # noqa: E402
from networks.dense_motion import DenseMotion  # noqa: E402
from networks.warping import Warping  # noqa: E402

SIZE = (16, 8, 8)
"""Depth is built into the network, height and width are not."""


class Told(nn.Module):
    """An hourglass that sees nothing."""

    channels = 2

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros(len(x), self.channels, *x.shape[2:])


def following(proposal: int, keypoints: int) -> DenseMotion:
    """A network that follows one proposal everywhere, and finds that half of everything is hidden."""
    torch.manual_seed(0)
    with torch.device("meta"):
        network = DenseMotion(keypoints)
    network.compress, network.norm = nn.Conv3d(32, 4, 1), nn.BatchNorm3d(4)
    network.hourglass = Told()  # type: ignore[assignment]
    network.mask = nn.Conv3d(Told.channels, 1 + keypoints, 1)
    network.occlusion = nn.Conv2d(Told.channels * SIZE[0], 1, 1)
    network.occlusion.bias = nn.Parameter(torch.zeros(1))
    network.mask.bias = nn.Parameter(nn.functional.one_hot(torch.tensor(proposal), 1 + keypoints) * 50.0)
    return network.eval()


@pytest.fixture
def keypoints() -> tuple[Tensor, Tensor]:
    """Driving and source, (2, 3, 3)."""
    pair = torch.rand(2, 2, 3, 3, generator=torch.Generator().manual_seed(1)) * 1.6 - 0.8
    return pair[0], pair[1]


@pytest.mark.parametrize("proposal", range(4))
def test_a_followed_keypoint_moves_everything_as_it_moves_itself(
    proposal: int, keypoints: tuple[Tensor, Tensor]
) -> None:
    driving, source = keypoints
    feature = torch.randn(2, 32, *SIZE)
    places, occlusion, mask = following(proposal, 3)(feature, driving, source)
    moves = torch.cat([torch.zeros(2, 1, 3), source - driving], 1)
    torch.testing.assert_close(places, volume_grid.identity(feature) + moves[:, proposal, None, None, None])
    torch.testing.assert_close(mask.sum(1), torch.ones(2, *SIZE))
    assert occlusion.shape == (2, 1, *SIZE[1:]) and torch.all(occlusion == 0.5)


def test_a_proposal_is_its_heat_map_then_its_moved_features(keypoints: tuple[Tensor, Tensor]) -> None:
    driving, source = keypoints
    network, feature = following(0, 3), torch.randn(2, 32, *SIZE)
    moves = torch.cat([torch.zeros(2, 1, 3), source - driving], 1)
    proposals = network.proposals(feature, driving, source, moves)
    assert proposals.shape == (2, 4 * 5, *SIZE)
    small = torch.relu(network.norm(network.compress(feature)))
    cells = volume_grid.identity(feature)
    for k in range(4):
        heat, moved = proposals[:, 5 * k], proposals[:, 5 * k + 1 : 5 * k + 5]
        torch.testing.assert_close(moved, volume_grid.read(small, cells + moves[:, k, None, None, None]))
        if k == 0:
            assert torch.all(heat == 0), "standing still has no heat map"
        else:
            bumps = (torch.exp(-50 * (cells - p[:, k - 1, None, None, None]).square().sum(-1)) for p in keypoints)
            torch.testing.assert_close(heat, next(bumps) - next(bumps))


def test_what_is_hidden_is_dimmed() -> None:
    torch.manual_seed(0)
    with torch.device("meta"):
        network = Warping(2)
    network.third = nn.Identity()  # type: ignore[assignment]
    network.fourth = nn.Identity()  # type: ignore[assignment]
    feature, occlusion = torch.randn(1, 32, *SIZE), torch.rand(1, 1, *SIZE[1:])
    places = volume_grid.identity(feature)[None] * 0.5
    moved = network.move(feature, places, occlusion)
    torch.testing.assert_close(moved, volume_grid.read(feature, places).flatten(1, 2) * occlusion)
