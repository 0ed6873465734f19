"""How far the contexts' Gaussians lie from each other, and how far each has moved since it began."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn

from dacn.nn import ContextNorm


def gaussian_distance(mean_a: Tensor, var_a: Tensor, mean_b: Tensor, var_b: Tensor) -> Tensor:
    """Return how many standard deviations apart two diagonal Gaussians are, as a root mean square over channels.

    For each channel the 2-Wasserstein distance, ``(mean_a - mean_b)^2 + (std_a - std_b)^2``, is divided by the mean of
    the two variances, so that layers of any scale compare.

    Shape: all ``(C,)``; returns ``()``.

    >>> gaussian_distance(*torch.tensor([[0.0], [1.0], [3.0], [1.0]]))
    tensor(3.)
    """
    squared = (mean_a - mean_b) ** 2 + (var_a.sqrt() - var_b.sqrt()) ** 2
    return (squared / (0.5 * (var_a + var_b)).clamp_min(1e-12)).mean().sqrt()


class ContextDrift:
    """Remembers the Gaussians that each layer's contexts began with, and measures from there.

    Args:
        contexts: names of the contexts.
    """

    def __init__(self, contexts: Sequence[str]) -> None:
        self.contexts = contexts
        self.first: dict[str, Tensor] | None = None  # (2, K, C) of each layer: means and variances

    def begin(self, model: nn.Module) -> None:
        """Remember the Gaussians of ``model``, unless some are remembered already."""
        if self.first is None:
            self.first = {name: torch.stack(tables) for name, tables in _tables(model).items()}

    def measure(self, model: nn.Module) -> dict[str, float]:
        """Return distances by layer, and their mean over layers.

        ``contexts/apart/LAYER`` is the distance between the contexts, a mean over pairs;
        ``contexts/moved/CONTEXT/LAYER`` is that of one context from where it began.
        """
        values: dict[str, dict[str, float]] = defaultdict(dict)
        for layer, (mean, var) in _tables(model).items():
            pairs = list(combinations(range(len(mean)), 2))
            if pairs:
                apart = [gaussian_distance(mean[a], var[a], mean[b], var[b]) for a, b in pairs]
                values["contexts/apart"][layer] = float(torch.stack(apart).mean())
            first = (self.first or {}).get(layer)
            if first is not None and len(mean) == len(self.contexts):
                first_mean, first_var = first.to(mean.device)  # a checkpoint's are on the CPU
                for k, context in enumerate(self.contexts):
                    moved = gaussian_distance(mean[k], var[k], first_mean[k], first_var[k])
                    values[f"contexts/moved/{context}"][layer] = float(moved)
        means = {f"{name}/mean": sum(layers.values()) / len(layers) for name, layers in values.items()}
        return means | {f"{name}/{layer}": value for name, layers in values.items() for layer, value in layers.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return what is remembered."""
        return dict(self.first or {})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Remember what ``state`` holds."""
        self.first = dict(state) or None


@torch.no_grad()
def _tables(model: nn.Module) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the mean and variance of each context of each layer, ``(K, C)`` each, by the layer's name."""
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, ContextNorm)}
    found = {}
    for name, layer in layers.items():
        mean, var = layer.tables()
        found[name] = mean.detach().clone(), var.detach().clone()
    return found
