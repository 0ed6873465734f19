"""Means of what is logged, kept on the device until they are read."""

import torch
from torch import Tensor

from dacn.nn import processes


class Meter:
    """Adds up scalars and vectors without waiting for the device; `read` returns their means and starts anew.

    Means are over the steps since the last reading and over the processes, all of which have to read.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._count = 0

    def add(self, values: dict[str, Tensor]) -> None:
        """Add one step's values."""
        for name, value in values.items():
            value = value.detach().float()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._count += 1

    def read(self) -> tuple[int, dict[str, float | list[float]]]:
        """Return how many steps were added since the last reading, and each value's mean: a list for a vector."""
        steps, sums = self._count, self._sums
        self._sums, self._count = {}, 0
        means = torch.cat([(total / steps).flatten().cpu() for total in sums.values()]) if sums else torch.empty(0)
        parts = torch.split(processes.mean(means), [total.numel() for total in sums.values()])  # one message for all
        return steps, {
            name: part.reshape(total.shape).tolist() for (name, total), part in zip(sums.items(), parts, strict=True)
        }


def first_non_finite(values: dict[str, Tensor]) -> str | None:
    """Return the name of the first value that holds NaN or infinity, or None."""
    together = torch.cat([value.detach().flatten() for value in values.values()])
    if bool(torch.isfinite(together).all()):  # one look at all of them, for it is taken at every step
        return None
    return next(name for name, value in values.items() if not bool(torch.isfinite(value).all()))
