"""A method at work on a network: it predicts batches, and learns from each without a label."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dacn.models.classifier import Classifier

State = dict[str, Tensor]


class Adapter:
    """What all methods are to those that hand them batches.

    Args:
        model: the network, which the method changes in place.
        row: the context of the new images in the network's tables; where it has none, the number means nothing.

    Attributes:
        shared: whether the method changes weights that other contexts use too. The network that it leaves is one for
            the new images alone.
        facts: what a user may be told of how the method went.
    """

    shared = False

    def __init__(self, model: Classifier, row: int) -> None:
        self.model, self.row = model.eval(), row
        self.facts: dict[str, Any] = {}

    def step(self, x: Tensor) -> Tensor:
        """Return the scores of a batch, and learn from it; each method says in which order.

        Shape: x ``(B, 3, H, W)`` on the network's input scale; returns ``(B, K)`` without gradient.
        """
        raise NotImplementedError

    @torch.no_grad()
    def scores(self, x: Tensor) -> Tensor:
        """Return the scores of a batch under the new context, in evaluation; nothing is learned. Shape: as `step`."""
        scores: Tensor = self.model(x, self.rows(x))
        return scores

    def rows(self, x: Tensor) -> Tensor:
        """Return the new context for every image: ``(B,)`` int64."""
        return torch.full((len(x),), self.row, device=x.device)

    def reset(self) -> None:
        """Go back to where the method started."""
        raise NotImplementedError


def snapshot(model: nn.Module) -> State:
    """Return a copy of all weights and buffers."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


@torch.no_grad()
def restore(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Bring back what `snapshot` kept."""
    for name, value in model.state_dict().items():
        value.copy_(state[name])
