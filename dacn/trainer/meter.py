"""Means of what is logged, kept on the device until they are read."""

import torch
from torch import Tensor

from dacn.nn import processes


class Meter:
    """Keeps scalars and vectors without waiting for the device; `read` returns their means and starts anew.

    Means are over the steps since the last reading and over the processes, all of which have to read.
    """

    def __init__(self) -> None:
        self._values: list[dict[str, Tensor]] = []  # of each step; to add them up at once is one call instead of many

    def add(self, values: dict[str, Tensor]) -> None:
        """Take one step's values, whose tensors nobody may write into before they are read."""
        self._values.append({name: value.detach() for name, value in values.items()})

    def read(self) -> tuple[int, dict[str, float | list[float]]]:
        """Return how many steps were added since the last reading, and each value's mean: a list for a vector."""
        steps, self._values = self._values, []
        if not steps:
            return 0, {}
        sums = {name: torch.stack([values[name] for values in steps]).float().sum(0) for name in steps[0]}
        means = torch.cat([(total / len(steps)).flatten().cpu() for total in sums.values()])
        parts = torch.split(processes.mean(means), [total.numel() for total in sums.values()])  # one message for all
        return len(steps), {
            name: part.reshape(total.shape).tolist() for (name, total), part in zip(sums.items(), parts, strict=True)
        }


def first_non_finite(values: dict[str, Tensor]) -> str | None:
    """Return the name of the first value that holds NaN or infinity, or None."""
    together = torch.cat([value.detach().flatten() for value in values.values()])
    if bool(torch.isfinite(together).all()):  # one look at all of them, for it is taken at every step
        return None
    return next(name for name, value in values.items() if not bool(torch.isfinite(value).all()))
