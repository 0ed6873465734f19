"""What normalization by context does to whole activations on a CPU: four passes, which two classes make.

`Compiled` has them written in C (`dacn/nn/passes/passes.c`), `Runs` makes them of torch's batch-norm kernels, where
that file was not compiled when dacn was installed and in double precision.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor


class Passes(ABC):
    """The passes over the rows of one batch of contexts; equal batches share it, so nobody may write to its tensors.

    Args:
        contexts: the context of each row.
        num_contexts: contexts K.
        positions: of each row, 1 where there are none.
        dtype: of the activations.

    Shape: x, dy ``(B, C, ...)`` as `arrange` returned them, all tables ``(K, C)``.

    Raises:
        ValueError: a context that is not 0 to K - 1.
    """

    count: Tensor  # (K,) rows
    minus_per_sample: Tensor  # (K, 1) minus one over the rows times positions; 0 where there are none
    absent: Tensor | None  # (K, 1) one where a context has no rows; None: all have some

    def __init__(self, contexts: Sequence[int], num_contexts: int, positions: int, dtype: torch.dtype) -> None:
        for k in contexts:
            if not 0 <= k < num_contexts:
                raise ValueError(
                    f"context {k} is outside 0 to {num_contexts - 1}, the contexts that the layer was built for"
                )
        self.context = torch.tensor(contexts)  # (B,)
        self.num_contexts, self.positions = num_contexts, positions
        self.count = torch.bincount(self.context, minlength=num_contexts).to(dtype)
        present = self.count[:, None] > 0
        self.minus_per_sample = torch.where(present, -1 / (self.count[:, None] * positions), 0.0)
        self.absent = None if present.all() else (~present).to(dtype)

    @abstractmethod
    def arrange(self, x: Tensor, like: Tensor | None = None) -> Tensor:
        """Return the rows in an order and layout that the passes take; in those of ``like``, which was arranged."""

    @abstractmethod
    def restore(self, y: Tensor) -> Tensor:
        """Return the rows in the order in which `arrange` got them."""

    @abstractmethod
    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and biased variance of each context's rows; 0 and 0 of none."""

    @abstractmethod
    def affine(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """Return ``x * scale[c] + shift[c]``."""

    @abstractmethod
    def sums(self, dy: Tensor, x: Tensor, mean: Tensor, inv_std: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sums of ``dy * (x - mean[c]) * inv_std[c]`` and of ``dy`` over each context's positions."""

    @abstractmethod
    def combine(self, dy: Tensor, x: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """Return ``dy * a[c] + x * b[c] + c[c]``."""
