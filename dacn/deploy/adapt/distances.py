"""How far new images are from each context that a network knows, and which one is nearest: no label is needed."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from dacn.deploy.adapt.moments import divergence, image_moments, watched
from dacn.deploy.adapt.row import context_layers
from dacn.models.classifier import Classifier
from dacn.nn import ContextBatchNorm


class Nearness(NamedTuple):
    """What images look like under one context."""

    distance: float  # of their Gaussians from the context's, nats a channel, mean over layers
    spread: float  # variance between the images' means, in units of the context's variance, mean over layers
    apart: float  # squared distance of the domain's means, beyond what chance gives, in the same units


@torch.no_grad()
def nearness(model: Classifier, batches: Sequence[Tensor], context: int) -> Nearness:
    """Return how far images are from a context, each layer's input compared with the layer's row.

    Args:
        model: the network.
        batches: images on its input scale.
        context: index of the row; the images are passed under it.

    Shape: batches ``(B, 3, H, W)`` each.
    """
    seen: dict[str, list[tuple[Tensor, Tensor]]] = {}

    def look(name: str, layer: ContextBatchNorm, z: Tensor) -> None:
        seen.setdefault(name, []).append(image_moments(z))

    layers = context_layers(model)
    with watched(layers, look):
        for x in batches:
            model(x, torch.full((len(x),), context, device=x.device))
    results = []
    for name, parts in seen.items():
        first, second = (torch.cat(column).double() for column in zip(*parts, strict=True))  # (N, C)
        mean0, var0 = (table[context].double() for table in layers[name].tables())  # (C,)
        mean = first.mean(0)
        distance = divergence(mean, second.mean(0) - mean.square(), mean0, var0, layers[name].eps)
        results.append((float(distance), *spread_and_shift(first, mean0, var0)))
    return Nearness(*(sum(column) / len(results) for column in zip(*results, strict=True)))


def spread_and_shift(means: Tensor, mean0: Tensor, var0: Tensor) -> tuple[float, float]:
    """Return the variance of one image's means about the domain's, and of the domain's about the row, a channel's.

    Both in units of the row's variance. The second is what the squared distance of the mean of N images has beyond that
    which chance gives it; it may be negative.

    Shape: means ``(N, C)`` of single images, mean0 and var0 ``(C,)``.
    """
    scaled = (means - mean0) / var0.clamp_min(1e-12).sqrt()  # (N, C)
    within = float(scaled.var(0).mean()) if len(means) > 1 else 0.0
    return within, float(scaled.mean(0).square().mean()) - within / len(means)
