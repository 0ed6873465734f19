"""The averaged network that every evaluation uses."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Slots = list[tuple[dict[str, Any], str]]


class MovingAverage(AveragedModel):
    """The exponential moving average of a network's weights and running statistics, updated after each step.

    It starts from the network, and the decay of update n is ``min(decay, (1 + n) / (10 + n))``: a short run does not
    drag its random start along, and after ``10 / (1 - decay)`` steps the two are the same. Counters and flags are
    copied.

    Departures: AdaMatch's authors start weights and statistics at zero and do not correct for it (``start="zero"``), so
    that after t steps ``decay^t`` of them is missing. FixMatch's start at the network without a rising decay, and keep
    the statistics out of the average (``statistics=False``).

    Args:
        model: the trained network.
        decay: 0 to 1.
        start: ``"model"``, or ``"zero"`` with the same decay from the first update on.
        statistics: average the floating-point buffers too, or copy them.
    """

    def __init__(self, model: nn.Module, decay: float, *, start: str = "model", statistics: bool = True) -> None:
        super().__init__(model, use_buffers=True)
        self.decay, self.start, self.statistics = decay, start, statistics
        # Where the tensors stand is looked up once: to find them takes several times as long as to average them.
        self._own = _slots(self.module, statistics)
        # In a tuple, or the network would become a part of its average.
        self._followed = (model, _slots(model, statistics))
        if start == "zero":
            with torch.no_grad():
                for tensors, name in self._own[0]:
                    tensors[name].zero_()

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Follow ``model``; torch's own way, which finds, detaches and groups every tensor, takes far longer.

        Tensors may be replaced between updates, modules and names may not.
        """
        self.follow(model, self.begin_update())

    def begin_update(self) -> float:
        """Count an update and return the pace that it is to have; a matter of the host alone."""
        updates = int(self.n_averaged)  # on the CPU, wherever the network is
        self.n_averaged.add_(1)  # `+=` would set an attribute of a module, which is slow
        return 1 - self._decay_of(updates)

    @torch.no_grad()
    def follow(self, model: nn.Module, pace: float | Tensor) -> None:
        """Go ``pace`` of the way to ``model``: a number from 0 to 1, or a tensor ``()`` that a captured step reads."""
        if self._followed[0] is not model:
            self._followed = (model, _slots(model, self.statistics))
        for own, theirs, follows in zip(self._own, self._followed[1], (True, False), strict=True):
            averages = [tensors[name] for tensors, name in own]
            currents = [tensors[name] for tensors, name in theirs]
            if not averages:
                continue
            if not follows:
                torch._foreach_copy_(averages, currents)
            elif isinstance(pace, Tensor):  # lerp would ask for its value
                ways = torch._foreach_sub(currents, averages)
                torch._foreach_mul_(ways, pace)
                torch._foreach_add_(averages, ways)
            elif pace == 1.0:  # exactly
                torch._foreach_copy_(averages, currents)
            else:
                torch._foreach_lerp_(averages, currents, pace)

    def _decay_of(self, update: int) -> float:
        """Return how much of the average stays in update 0, 1, ..."""
        if self.start == "zero":
            return self.decay
        return min(self.decay, (1 + update) / (10 + update)) if update else 0.0


def _slots(model: nn.Module, statistics: bool) -> tuple[Slots, Slots]:
    """Return the place of each weight and buffer, of shared ones the first: those that are averaged, and the others."""
    places: dict[Tensor, tuple[dict[str, Any], str]] = {}
    averaged: set[Tensor] = set()
    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is not None:
                    places.setdefault(tensor, (tensors, name))
                    constant = name in getattr(module, "constants", ())  # numbers that training leaves as they are
                    learned = isinstance(tensor, nn.Parameter) or (statistics and not constant)
                    if tensor.is_floating_point() and learned:
                        averaged.add(tensor)
    own, others = ([place for tensor, place in places.items() if (tensor in averaged) is a] for a in (True, False))
    return own, others
