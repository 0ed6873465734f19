"""Means of what is logged, kept on the device until they are read."""

import torch
from torch import Tensor


class Meter:
    """Adds up scalars and vectors without waiting for the device; `read` returns their means and starts anew."""

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
        return steps, {name: (total / steps).tolist() for name, total in sums.items()}


def first_non_finite(values: dict[str, Tensor]) -> str | None:
    """Return the name of the first value that holds NaN or infinity, or None."""
    return next((name for name, value in values.items() if not bool(torch.isfinite(value).all())), None)
