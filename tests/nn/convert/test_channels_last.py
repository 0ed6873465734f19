"""Layers over the last dimension, against the same layer over the first after an explicit permutation."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

from dacn.nn import AdaptiveContextNorm, ContextBatchNorm, MixtureNorm, fold_context, takes_context
from dacn.nn.convert.channels_last import ChannelsLast, make_over_last, over_last

C = 6
CONTEXT = torch.tensor([0, 1, 1, 0])


@pytest.mark.parametrize("layer", [nn.BatchNorm2d(C), nn.InstanceNorm2d(C, affine=True), nn.GroupNorm(2, C)])
@pytest.mark.parametrize("shape", [(4, 5, C), (4, 3, 5, C)])
def test_layer_of_maps_sees_the_channels(layer: nn.Module, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    moved = over_last(layer)
    assert not takes_context(moved)
    maps = x.reshape(4, -1, 1, C).permute(0, 3, 1, 2)  # (B, C, L, 1)
    expected = layer(maps).permute(0, 2, 3, 1).reshape(shape)
    torch.testing.assert_close(moved(x), expected)


def test_statistics_are_taken_over_all_tokens_of_all_images() -> None:
    x = 3 + 2 * torch.randn(8, 50, C, generator=torch.Generator().manual_seed(0))
    y = over_last(nn.BatchNorm2d(C))(x)
    torch.testing.assert_close(y.mean((0, 1)), torch.zeros(C), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.std((0, 1), correction=0), torch.ones(C), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "make", [partial(AdaptiveContextNorm, num_contexts=2), partial(ContextBatchNorm, num_contexts=2), MixtureNorm]
)
def test_layer_of_this_package_does_it_by_itself(make: Callable[..., nn.Module]) -> None:
    layer = make(C)
    assert over_last(layer) is layer
    assert layer.channels_last
    assert make_over_last(make, C).channels_last


def test_function_is_asked_for_channels_last_where_it_knows_the_word() -> None:
    def norm(channels: int, channels_last: bool = False) -> nn.Module:
        return nn.LayerNorm(channels) if channels_last else nn.GroupNorm(1, channels)

    assert isinstance(make_over_last(norm, C), nn.LayerNorm)
    assert isinstance(make_over_last(nn.BatchNorm2d, C), ChannelsLast)
    assert isinstance(make_over_last(nn.LayerNorm, C), nn.LayerNorm)


@pytest.mark.parametrize("layer", [nn.LayerNorm(C), nn.RMSNorm(C), nn.Identity()])
def test_layer_that_is_over_the_last_dimension_stays(layer: nn.Module) -> None:
    assert over_last(layer) is layer


class Scale(nn.Module):
    """A layer of maps that takes the context and is no ContextNorm."""

    takes_context = True

    def forward(self, x: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        assert x.shape[1] == C
        return x * (1 + context)[:, None, None, None]


def test_context_is_handed_through() -> None:
    moved = over_last(Scale())
    assert takes_context(moved)
    x = torch.randn(4, 5, C)
    torch.testing.assert_close(moved(x, CONTEXT), x * torch.tensor([1.0, 2, 2, 1])[:, None, None])


def test_folded_network_is_plain() -> None:
    model = nn.Sequential(ChannelsLast(nn.BatchNorm2d(C)), nn.Linear(C, 2)).train()
    x = torch.randn(4, 5, C)
    model(x)
    net = fold_context(model, 0)
    torch.testing.assert_close(net(x), model.eval()(x))
    assert {type(module).__module__.split(".")[0] for module in net.modules()} == {"torch"}
