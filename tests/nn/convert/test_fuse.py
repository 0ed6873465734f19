"""A norm taken into its neighbour's weights, against the two layers one after the other."""

import pytest
import torch
from torch import nn

from dacn.nn.convert.fuse import into_layer_after, into_layer_before, scale_and_shift

C = 6


def trained(kind: type[nn.Module] = nn.BatchNorm2d, affine: bool = True) -> nn.Module:
    norm = kind(C, eps=1e-2, affine=affine).eval()
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.1, 3)
    if affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    return norm


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("affine", [True, False])
def test_scale_and_shift(affine: bool) -> None:
    norm, x = trained(affine=affine), torch.randn(2, C, 3, 3)
    scale, shift = scale_and_shift(norm)
    torch.testing.assert_close(x * scale[:, None, None] + shift[:, None, None], norm(x))


CONVOLUTIONS = [
    (nn.BatchNorm2d, nn.Conv2d(C, 4, 3), (2, C, 7, 7)),
    (nn.BatchNorm2d, nn.Conv2d(C, 4, 3, bias=False, stride=2, dilation=2), (2, C, 7, 7)),
    (nn.BatchNorm2d, nn.Conv2d(C, 4, (1, 3), groups=2, padding="valid"), (2, C, 7, 7)),
    (nn.BatchNorm2d, nn.Conv2d(C, C, 3, groups=C, bias=False), (2, C, 7, 7)),
    (nn.BatchNorm1d, nn.Conv1d(C, 4, 3, groups=2), (2, C, 7)),
    (nn.BatchNorm3d, nn.Conv3d(C, 4, 2), (2, C, 3, 3, 3)),
]


@pytest.mark.parametrize(("kind", "conv", "shape"), CONVOLUTIONS, ids=lambda value: str(value)[:40])
@torch.no_grad()
def test_convolution_without_padding_takes_the_norm_before_it(
    kind: type[nn.Module], conv: nn.Module, shape: tuple[int, ...]
) -> None:
    norm, x = trained(kind), torch.randn(shape)
    before = [parameter.clone() for parameter in conv.parameters()]
    fused = into_layer_after(conv, norm, channels_last=False)
    torch.testing.assert_close(fused(x), conv(norm(x)), atol=1e-5, rtol=1e-5)
    assert all(torch.equal(a, b) for a, b in zip(before, conv.parameters(), strict=True))


@torch.no_grad()
def test_linear_layer_takes_the_norm_before_it_over_its_own_dimension() -> None:
    norm, linear, x = trained(nn.BatchNorm1d), nn.Linear(C, 4, bias=False), torch.randn(2, 5, C)
    fused = into_layer_after(linear, norm, channels_last=True)
    torch.testing.assert_close(fused(x), linear(norm(x.transpose(1, 2)).transpose(1, 2)), atol=1e-5, rtol=1e-5)
    assert into_layer_after(linear, norm, channels_last=False) is None


@pytest.mark.parametrize(
    "layer",
    [nn.Conv2d(C, 4, 3, padding=1), nn.Conv2d(C, 4, 3, padding="same"), nn.ConvTranspose2d(C, 4, 3), nn.ReLU()],
)
def test_layer_that_would_change_the_outcome_is_left_alone(layer: nn.Module) -> None:
    assert into_layer_after(layer.eval(), trained(), channels_last=False) is None


@torch.no_grad()
def test_layer_takes_the_norm_behind_it() -> None:
    conv, x = nn.Conv2d(3, C, 3, padding=1).eval(), torch.randn(2, 3, 5, 5)
    norm = trained()
    torch.testing.assert_close(into_layer_before(conv, norm, False)(x), norm(conv(x)), atol=1e-5, rtol=1e-5)
    assert into_layer_before(conv, norm, True) is None  # its channels do not come last
    linear, rows = nn.Linear(3, C).eval(), torch.randn(4, 3)
    norm = trained(nn.BatchNorm1d)
    torch.testing.assert_close(into_layer_before(linear, norm, False)(rows), norm(linear(rows)), atol=1e-5, rtol=1e-5)
    assert into_layer_before(nn.Linear(3, 2).eval(), norm, False) is None
