"""The passes in plain torch, for any device, any types and any number of processes.

Each reads whole activations once. Under torch.compile each becomes one or two kernels; nothing makes the host wait for
a GPU. A table's gradient comes from sums over each row's positions and one product with the rows' contexts, never from
the backward pass of an index, which a GPU makes by atomic additions.
"""

import torch
from torch import Tensor

from dacn.nn import processes
from dacn.nn.passes.passes import Passes
from dacn.nn.precision import cast


class PlainPasses(Passes):
    """The passes in plain torch; `plain_passes` makes them.

    Args:
        context, count, positions: see `Passes`.
        member: one where a row belongs to a context, else zero.

    Shape: member ``(B, K)``.
    """

    def __init__(self, context: Tensor, count: Tensor, positions: int, member: Tensor) -> None:
        super().__init__(context, count, positions)
        self._member = member

    def tensors(self) -> tuple[Tensor, ...]:
        """Return context, count and member."""
        return self.context, self.count, self._member

    def with_tensors(self, *tensors: Tensor) -> Passes:
        """Return passes made of these tensors."""
        context, count, member = tensors
        return PlainPasses(context, count, self.positions, member)

    def arrange(self, x: Tensor, like: Tensor | None = None) -> Tensor:
        """Return x."""
        return x

    def restore(self, y: Tensor) -> Tensor:
        """Return y."""
        return y

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and biased variance of each context's rows, from each row's own."""
        x = cast(x, self.count.dtype)
        row_var, row_mean = torch.var_mean(x, _positions(x), correction=0) if x.ndim > 2 else (torch.zeros_like(x), x)
        per_row = 1 / self.count.clamp_min(1)[:, None]  # (K, 1)
        mean = self.over_processes(self._by_context(row_mean) * per_row)  # (K, C)
        # The variance of all is the mean of the rows' variances and of their means' squared distances.
        distance = (row_mean - mean[self.context]).square()
        return mean, self.over_processes(self._by_context(row_var + distance) * per_row)

    def affine(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """Return ``x * scale[c] + shift[c]``."""
        return cast(torch.addcmul(self._of_rows(shift, x), x, self._of_rows(scale, x)), x.dtype)

    def sums(self, dy: Tensor, x: Tensor, mean: Tensor, inv_std: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sums of ``dy * (x - mean[c]) * inv_std[c]`` and of ``dy``."""
        dy = cast(dy, self.count.dtype)
        product = dy * (x - self._of_rows(mean, x))
        if x.ndim > 2:
            product, dy = product.sum(_positions(x)), dy.sum(_positions(x))
        return self._by_context(product) * inv_std, self._by_context(dy)

    def combine(self, dy: Tensor, x: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """Return ``dy * a[c] + x * b[c] + c[c]``."""
        constant = torch.addcmul(self._of_rows(c, x), x, self._of_rows(b, x))
        return cast(torch.addcmul(constant, dy, self._of_rows(a, x)), x.dtype)

    def over_processes(self, table: Tensor) -> Tensor:
        """Return the sum of a table over the processes."""
        return processes.total(table)

    def _by_context(self, rows: Tensor) -> Tensor:
        """Return the sum of each context's rows, ``(B, C)`` to ``(K, C)``.

        No matrix product: a GPU may be told to make those with ten bits.
        """
        return (self._member[:, :, None] * rows[:, None]).sum(0)

    def _of_rows(self, table: Tensor, x: Tensor) -> Tensor:
        """Return each row's line of a table, ``(B, C, 1, ...)``, to broadcast with x."""
        rows = table[self.context]
        return rows.reshape(rows.shape + (1,) * (x.ndim - 2))


def plain_passes(
    context: Tensor, num_contexts: int, positions: int, dtype: torch.dtype, *, batch_statistics: bool = True
) -> PlainPasses:
    """Return the passes over rows whose contexts these are.

    Args:
        context: the context of each row of this process, 0 to K - 1.
        num_contexts: contexts K.
        positions: of each row, 1 where there are none.
        dtype: of all tables and of what is added up; at least as precise as the rows, at least float32.
        batch_statistics: whether the rows of all processes are counted, for which each has to call this.

    Shape: context ``(B,)``.
    """
    member = (context[:, None] == torch.arange(num_contexts, device=context.device)).to(dtype)  # (B, K)
    count = member.sum(0)  # (K,)
    return PlainPasses(context, processes.total(count) if batch_statistics else count, positions, member)


def _positions(x: Tensor) -> tuple[int, ...]:
    return tuple(range(2, x.ndim))
