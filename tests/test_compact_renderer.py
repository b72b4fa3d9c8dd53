import torch
from torch import nn

from networks.compact_renderer import twice, twice_beside


def test_a_convolution_over_doubled_pixels_is_as_if_they_had_been_doubled() -> None:
    torch.manual_seed(0)
    coarse, fine, convolution = torch.randn(2, 5, 6, 4), torch.randn(2, 3, 12, 8), nn.Conv2d(8, 7, 3, padding=1)
    with torch.no_grad():
        expected = convolution(torch.cat([twice(coarse), fine], 1))
        torch.testing.assert_close(twice_beside(coarse, fine, convolution), expected, rtol=0, atol=1e-5)


def test_it_learns_as_if_they_had_been_doubled() -> None:
    torch.manual_seed(0)
    coarse, fine, convolution = torch.randn(2, 5, 6, 4), torch.randn(2, 3, 12, 8), nn.Conv2d(8, 7, 3, padding=1)
    gradients = []
    for result in (convolution(torch.cat([twice(coarse), fine], 1)), twice_beside(coarse, fine, convolution)):
        convolution.zero_grad()
        result.square().sum().backward()
        assert convolution.weight.grad is not None
        gradients.append(convolution.weight.grad.clone())
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-3)
