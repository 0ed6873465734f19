"""Batch Renormalization's limits, which open as training goes on."""

from collections.abc import Iterable

import torch
from torch import nn

from dacn.nn import functional as F
from dacn.nn.adaptive_context_norm import AdaptiveContextNorm
from dacn.nn.latent_context_norm import LatentContextNorm


def renorm_layers(model: nn.Module) -> list[AdaptiveContextNorm | LatentContextNorm]:
    """Return every layer in ``model`` whose Gaussians are fitted by likelihood."""
    return [
        layer
        for layer in model.modules()
        if isinstance(layer, LatentContextNorm)
        or (isinstance(layer, AdaptiveContextNorm) and layer.fit == "likelihood")
    ]


@torch.no_grad()
def open_renorm(model: nn.Module | Iterable[AdaptiveContextNorm | LatentContextNorm], progress: float) -> None:
    """Open the limits of every layer in ``model`` whose Gaussians are fitted by likelihood as training goes on.

    At first the training output is that of batch statistics (rho 1, delta 0), which bears a Gaussian that is still far
    off. Between the two shares of training that a layer calls its opening, the limits go to rho 3 and delta 5, where
    training sees what evaluation does.

    Layers that were never told open by themselves, between the two numbers of training forwards that they call their
    ``opening_steps``. Once told, a layer leaves it to the caller for good.

    Args:
        model: any module, or its `renorm_layers`, which saves looking for them at every step.
        progress: share of training done, 0 to 1.
    """
    for layer in renorm_layers(model) if isinstance(model, nn.Module) else model:
        start, end = layer.opening
        opened = min(max((progress - start) / (end - start), 0.0), 1.0)
        if opened != layer.opened or not layer.told:  # most of the time nothing moves
            layer.opened, layer.told = opened, True
            rho, delta = F.renorm_limits(opened)
            layer.rho.fill_(rho)
            layer.delta.fill_(delta)
            # A copy that is loaded into a loop of one's own goes on from here.
            first, last = layer.opening_steps
            layer.steps.fill_(round(first + opened * (last - first)) if opened else 0)
