"""A stream of several domains that come and go: which of its contexts each image is of is inferred from the image."""

from typing import Any

import torch
from torch import Tensor

from dacn.deploy.adapt.adapter import Adapter
from dacn.deploy.adapt.context import Context
from dacn.deploy.adapt.moments import divergence, image_moments, watched
from dacn.deploy.adapt.row import context_layers
from dacn.models.classifier import Classifier
from dacn.nn import ContextBatchNorm

FARTHER = 2.0
"""How many times farther than its images are on average an image must be from a context to be of another domain."""
SETTLED = 16
"""Images after which a context's average distance is trusted."""
MEMORY = 200
"""Images that the average goes back."""


@torch.no_grad()
def image_distances(model: Classifier, x: Tensor, context: int) -> Tensor:
    """Return how far each image is from a context: the divergence of its own Gaussians, mean over layers.

    Shape: x ``(B, 3, H, W)`` on the network's input scale; returns ``(B,)``.
    """
    found: list[Tensor] = []

    def look(name: str, layer: ContextBatchNorm, z: Tensor) -> None:
        first, second = image_moments(z)
        mean0, var0 = (table[context].float() for table in layer.tables())
        found.append(divergence(first, second - first.square(), mean0, var0, layer.eps))

    with watched(context_layers(model), look):
        model(x, torch.full((len(x),), context, device=x.device))
    return torch.stack(found).mean(0)


class Domains(Adapter):
    """Contexts for the domains of a stream; each image is of the nearest, and is learned from by that one alone.

    The first image opens the first context. An image that is `FARTHER` times as far from the nearest context as that
    one's images are on average opens another, while there are rows left. A domain that comes back finds the context
    that it had, since that is still the nearest.

    Args:
        model: the network; its rows from ``row`` on, as many as ``count``, stand where they start.
        row: the first of them.
        count: contexts at most.
        options: see `Context`.
    """

    def __init__(self, model: Classifier, row: int, *, count: int, **options: Any) -> None:
        super().__init__(model, row)
        self.contexts = [Context(model, row + k, **options) for k in range(count)]
        self.reset()

    def reset(self) -> None:
        """Close all contexts and put their rows where they started."""
        for context in self.contexts:
            context.reset()
        self.open = 1
        self.seen = [0] * len(self.contexts)
        self.average = [0.0] * len(self.contexts)  # distance of each context's images
        self.facts["opened"] = 1

    @torch.no_grad()
    def assign(self, x: Tensor) -> Tensor:
        """Return which of the contexts each image is of, ``(B,)`` int64; images that are far from all open one more."""
        table = torch.stack([image_distances(self.model, x, self.row + k) for k in range(self.open)])  # (open, B)
        distance, nearest = (found.tolist() for found in table.min(0))
        chosen, news = [], False
        for far, k in zip(distance, nearest, strict=True):
            if self.open < len(self.contexts) and self.seen[k] >= SETTLED and far > FARTHER * self.average[k]:
                chosen.append(self.open)
                news = True
                continue
            chosen.append(k)
            self.seen[k] += 1
            self.average[k] += (far - self.average[k]) / min(self.seen[k], MEMORY)
        if news:
            self.open += 1
            self.facts["opened"] = self.open
        return torch.tensor(chosen, device=x.device)

    def step(self, x: Tensor) -> Tensor:
        """Tell the images' contexts, then predict and learn from those of each by itself, as `Context` does."""
        chosen = self.assign(x)
        scores = x.new_zeros(len(x), self.model.head.out_features)
        for k in range(self.open):
            own = chosen == k
            if own.any():
                scores[own] = self.contexts[k].step(x[own])
        return scores
