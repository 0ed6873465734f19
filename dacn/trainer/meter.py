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
        """Take one step's values; what they are written over by later does no harm."""
        self._values.append({name: value.detach().clone() for name, value in values.items()})

    def read(self) -> tuple[int, dict[str, float | list[float]]]:
        """Return how many steps were added since the last reading, and each value's mean: a list for a vector.

        The mean is over the steps that had the value.
        """
        steps, self._values = self._values, []
        names = dict.fromkeys(name for values in steps for name in values)
        means = [torch.stack([values[name] for values in steps if name in values]).float().mean(0) for name in names]
        if not means:
            return len(steps), {}
        flat = processes.mean(torch.cat([mean.flatten().cpu() for mean in means]))  # one message for all
        parts = flat.split_with_sizes([mean.numel() for mean in means])
        return len(steps), {
            name: part.reshape(mean.shape).tolist() for name, mean, part in zip(names, means, parts, strict=True)
        }


def first_non_finite(values: dict[str, Tensor]) -> str | None:
    """Return the name of the first value that holds NaN or infinity, or None."""
    return next((name for name, value in values.items() if not bool(value.isfinite().all())), None)
