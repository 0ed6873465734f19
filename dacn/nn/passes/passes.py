"""What normalization by context does to whole activations: four passes, which three classes make.

`NativePasses` has them written in C (`dacn/nn/passes/passes.c`), for float32 on a CPU. `RunPasses` makes them of
torch's batch-norm kernels, on a CPU where that file was not compiled when dacn was installed and in double precision.
`PlainPasses` is plain torch: what a GPU runs, what torch.compile traces and fuses, and what takes any mixture of types.
Which one is taken: `dacn.nn.passes.choose`.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class Passes(ABC):
    """The passes over the rows of one batch of contexts; equal batches may share it, so nobody writes to its tensors.

    Args:
        context: the context of each row.
        count: rows of each context, in all processes; its type is that of all tables.
        positions: of each row, 1 where there are none.
        all_occur: every context is known to have rows, which saves a call.

    Shape: context ``(B,)``, count ``(K,)``; x, dy ``(B, C, ...)`` as `arrange` returned them, all tables ``(K, C)``.
    """

    def __init__(self, context: Tensor, count: Tensor, positions: int, all_occur: bool = False) -> None:
        self.context, self.count, self.positions, self.all_occur = context, count, positions, all_occur
        self._minus_per_sample: Tensor | None = None

    def minus_per_sample(self) -> Tensor:
        """Return minus one over each context's rows times positions, 0 where there are none: ``(K, 1)``."""
        if self._minus_per_sample is None:
            count = self.count[:, None]
            self._minus_per_sample = torch.where(count > 0, -1 / (count * self.positions), 0.0)
        return self._minus_per_sample

    def tensors(self) -> tuple[Tensor, ...]:
        """Return what `with_tensors` makes equal passes of; none where they are used as they are."""
        return ()

    def with_tensors(self, *tensors: Tensor) -> "Passes":
        """Return passes made of these tensors.

        What an autograd function needs in its backward pass it is given and saves: torch's compiler, checkpointing and
        hooks on saved tensors do not look into objects.
        """
        return self

    @abstractmethod
    def arrange(self, x: Tensor, like: Tensor | None = None) -> Tensor:
        """Return the rows in an order and layout that the passes take; in those of ``like``, which was arranged."""

    @abstractmethod
    def restore(self, y: Tensor) -> Tensor:
        """Return the rows in the order in which `arrange` got them."""

    @abstractmethod
    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and biased variance of each context's rows in all processes; 0 and 0 of none."""

    @abstractmethod
    def affine(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """Return ``x * scale[c] + shift[c]``."""

    @abstractmethod
    def sums(self, dy: Tensor, x: Tensor, mean: Tensor, inv_std: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sums of ``dy * (x - mean[c]) * inv_std[c]`` and of ``dy`` over each context's positions here."""

    @abstractmethod
    def combine(self, dy: Tensor, x: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """Return ``dy * a[c] + x * b[c] + c[c]``."""

    def over_processes(self, table: Tensor) -> Tensor:
        """Return the sum of a table over the processes; the table itself, where there is one."""
        return table
