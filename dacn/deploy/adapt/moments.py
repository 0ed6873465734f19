"""What the images of a batch look like to a network's norm layers, and how far that is from a context's tables.

Letters: B images, C channels, K contexts.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from dacn.nn import ContextBatchNorm

See = Callable[[str, ContextBatchNorm, Tensor], None]
"""Told the name of a layer, the layer, and its input ``(B, C, ...)`` before it is normalized."""


@contextmanager
def watched(layers: Mapping[str, ContextBatchNorm], see: See) -> Iterator[None]:
    """Within this context, have ``see`` look at what reaches each of the layers, in the order of the network."""

    def hook(name: str) -> Callable[[nn.Module, Any], None]:
        def look(layer: nn.Module, inputs: Any) -> None:
            assert isinstance(layer, ContextBatchNorm)
            x = inputs[0].detach()
            see(name, layer, x.movedim(-1, 1) if layer.channels_last else x)

        return look

    handles = [layer.register_forward_pre_hook(hook(name)) for name, layer in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def image_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return each image's mean of x and of its square over positions. Shape: x ``(B, C, ...)``; returns ``(B, C)``.

    >>> import torch
    >>> first, second = image_moments(torch.tensor([[[1.0, 3.0]]]))
    >>> first.item(), second.item()
    (2.0, 5.0)
    """
    flat = x.float().reshape(*x.shape[:2], -1)  # (B, C, P)
    return flat.mean(2), flat.square().mean(2)


def divergence(mean: Tensor, var: Tensor, mean0: Tensor, var0: Tensor, eps: float) -> Tensor:
    """Return the Kullback-Leibler divergence of Gaussians ``(mean, var)`` from ``(mean0, var0)``, mean over channels.

    It is what the likelihood of images lacks under a context's Gaussians to that under their own, in nats a channel:
    ``((var + (mean - mean0)^2) / var0 - 1 - log(var / var0)) / 2``. It has no unit, so that layers can be averaged.

    Shape: ``(..., C)`` each, which broadcast; returns ``(...)``.

    >>> import torch
    >>> same, far = torch.zeros(1), torch.ones(1)
    >>> divergence(far, far, same, far, eps=0.0)
    tensor(0.5000)
    """
    var, var0 = var.clamp_min(0) + eps, var0 + eps
    return 0.5 * ((var + (mean - mean0).square()) / var0 - 1 - (var / var0).log()).mean(-1)
