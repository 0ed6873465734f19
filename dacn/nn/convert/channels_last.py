"""Layers made for maps ``(B, C, H, W)``, over activations whose channels come last."""

from collections.abc import Callable
from inspect import signature

from torch import Tensor, nn

from dacn.nn.context import takes_context


def make_over_last(norm: Callable[..., nn.Module], num_features: int) -> nn.Module:
    """Return the layer that ``norm`` makes for activations whose channels come last.

    Args:
        norm: makes a layer for a number of channels; it is asked for ``channels_last=True`` where it knows that word.
        num_features: channels C.

    Shape: the result takes and returns ``(B, ..., C)``.
    """
    if "channels_last" in signature(norm).parameters:
        return norm(num_features, channels_last=True)
    return over_last(norm(num_features))


def over_last(layer: nn.Module) -> nn.Module:
    """Return a norm layer, made for maps, for activations whose channels come last, such as tokens ``(B, L, C)``.

    Args:
        layer: any norm of 4-dimensional activations, or torch's LayerNorm and RMSNorm, which are over the last
            dimension already.

    Shape: the result takes and returns ``(B, ..., C)``.

    >>> import torch
    >>> over_last(nn.BatchNorm2d(8))(torch.rand(2, 5, 8)).shape
    torch.Size([2, 5, 8])
    """
    if hasattr(layer, "channels_last"):  # a layer of this package, which does it by itself
        layer.channels_last = True  # type: ignore[assignment]
        return layer
    return layer if type(layer) in (nn.Identity, nn.LayerNorm, nn.RMSNorm) else ChannelsLast(layer)


class ChannelsLast(nn.Module):
    """Hands ``(B, ..., C)`` to a layer of maps as ``(B, C, L, 1)``, whose memory it need not move.

    Args:
        layer: takes maps; where it takes a context, so does this.

    Shape: x ``(B, ..., C)``, context ``(B,)``; returns the shape of x.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.takes_context = takes_context(layer)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the layer's output, channels last again."""
        maps: Tensor = x.flatten(1, -2).transpose(1, 2).unsqueeze(-1)  # (B, C, L, 1)
        maps = self.layer(maps, context) if self.takes_context else self.layer(maps)
        return maps.squeeze(-1).transpose(1, 2).reshape(x.shape)
