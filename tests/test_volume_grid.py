import pytest

torch = pytest.importorskip("torch", reason="the networks need PyTorch: pip install visavis[train]")

from torch import Tensor  # noqa: E402

from networks import volume_grid  # noqa: E402

DEPTH, HEIGHT, WIDTH = 3, 4, 5


@pytest.fixture
def volume() -> Tensor:
    return torch.randn(2, 3, DEPTH, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))


def read_slowly(volume: Tensor, place: Tensor) -> Tensor:
    """One place of one volume (C, D, H, W), by the definition: linear between cells' centres, nothing outside."""
    sizes = torch.tensor([WIDTH, HEIGHT, DEPTH])
    x, y, z = ((place + 1) * sizes / 2 - 0.5).tolist()
    total = torch.zeros(len(volume))
    for k in range(DEPTH):
        for j in range(HEIGHT):
            for i in range(WIDTH):
                share = max(0.0, 1 - abs(x - i)) * max(0.0, 1 - abs(y - j)) * max(0.0, 1 - abs(z - k))
                total += share * volume[:, k, j, i]
    return total


def test_corners_are_at_one_and_the_last_axis_is_x_y_z(volume: Tensor) -> None:
    cells = volume_grid.identity(volume)
    assert cells.shape == (DEPTH, HEIGHT, WIDTH, 3)
    assert cells[0, 0, 0].tolist() == [-1, -1, -1] and cells[-1, -1, -1].tolist() == [1, 1, 1]
    assert cells[0, 0, 1].tolist() == pytest.approx([-0.5, -1, -1])
    assert cells[1, 0, 0].tolist() == pytest.approx([-1, -1, 0])


def test_reading_is_linear_takes_edges_for_one_and_finds_nothing_outside(volume: Tensor) -> None:
    places = torch.rand(2, 2, 2, 3, 3, generator=torch.Generator().manual_seed(1)) * 3 - 1.5
    read = volume_grid.read(volume, places)
    for b, k, j, i in [(0, 0, 0, 0), (0, 1, 1, 2), (1, 0, 1, 1), (1, 1, 0, 2)]:
        torch.testing.assert_close(read[b, :, k, j, i], read_slowly(volume[b], places[b, k, j, i]))
    at_cells = volume_grid.read(volume, volume_grid.identity(volume).expand(2, -1, -1, -1, -1))
    assert (at_cells - volume).abs().max() > 0.1, "reading at the cells' own coordinates is no identity"


def test_places_stay_exact_when_features_are_halved(volume: Tensor) -> None:
    places = volume_grid.identity(volume).expand(2, -1, -1, -1, -1) + 1e-4
    halved = volume_grid.read(volume.half(), places)
    assert halved.dtype == torch.float16
    torch.testing.assert_close(halved.float(), volume_grid.read(volume, places), atol=2e-3, rtol=2e-3)


def test_bumps_stand_at_their_points(volume: Tensor) -> None:
    points = torch.tensor([[[-0.5, 1.0, 0.1]], [[0.3, -0.2, 1.2]]])
    bumps = volume_grid.gaussians(points, volume, 0.01)
    squared = (volume_grid.identity(volume) - points[:, :, None, None, None]).square().sum(-1)
    torch.testing.assert_close(bumps, torch.exp(-0.5 * squared / 0.01))


def test_the_expectation_is_the_mean_place(volume: Tensor) -> None:
    heat = volume.flatten(2).softmax(2).unflatten(2, (DEPTH, HEIGHT, WIDTH))
    mean = (heat[..., None] * volume_grid.identity(volume)).sum((2, 3, 4))
    torch.testing.assert_close(volume_grid.expectation(heat), mean)
