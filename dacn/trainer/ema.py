"""The averaged network that every evaluation uses."""

from itertools import chain

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class MovingAverage(AveragedModel):
    """The exponential moving average of a network's weights and running statistics, updated after each step.

    It starts from the network, and the decay of update n is ``min(decay, (1 + n) / (10 + n))``: a short run does not
    drag its random start along, and after ``10 / (1 - decay)`` steps the two are the same. Counters and flags are
    copied.

    Args:
        model: the trained network.
        decay: 0 to 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model, use_buffers=True)
        self.decay = decay

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Follow ``model``; torch's own way, which detaches and groups every tensor, takes twice as long."""
        updates = int(self.n_averaged)  # on the CPU, wherever the network is
        share = min(self.decay, (1 + updates) / (10 + updates)) if updates else 0.0
        kinds: dict[bool, tuple[list[Tensor], list[Tensor]]] = {True: ([], []), False: ([], [])}
        for average, current in zip(_tensors(self.module), _tensors(model), strict=True):
            averages, currents = kinds[share > 0 and average.is_floating_point()]
            averages.append(average)
            currents.append(current)
        if kinds[True][0]:
            torch._foreach_lerp_(*kinds[True], 1 - share)
        if kinds[False][0]:
            torch._foreach_copy_(*kinds[False])
        self.n_averaged += 1


def _tensors(model: nn.Module) -> chain[Tensor]:
    return chain(model.parameters(), model.buffers())
