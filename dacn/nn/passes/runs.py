"""The passes by torch's batch-norm kernels, one call for each run of rows of equal context.

A batch is laid out domain after domain, so its contexts form a few long runs and a run of rows is a view. Rows whose
contexts alternate are sorted first. All sums over rows and positions are made by the kernels that BatchNorm uses.

Cutting runs into pieces that fit a core's cache was tried and cost more in calls than it saved; so did torch.compile of
a layer at WRN's sizes.
"""

from collections.abc import Iterable
from itertools import groupby

import torch
from torch import Tensor

from dacn.nn.passes.passes import Passes

MOST_RUNS = 4  # runs a context, on average, before sorting the rows is the cheaper way


class RunPasses(Passes):
    """The passes in float32 and float64, whatever the layout."""

    def __init__(self, context: Tensor, count: Tensor, positions: int, all_occur: bool = False) -> None:
        super().__init__(context, count, positions, all_occur)
        contexts, num_contexts, dtype = context.tolist(), len(count), count.dtype
        runs = _runs(contexts)
        self._order = self._back = None
        if len(runs) > MOST_RUNS * num_contexts:
            self._order = context.argsort(stable=True)
            self._back = self._order.argsort()
            runs = _runs(sorted(contexts))
        self._sizes = [size for _, size in runs]
        which = torch.tensor([k for k, _ in runs])  # (R,) context of each run
        self._which = None if which.tolist() == list(range(num_contexts)) else which
        self._member = (which == torch.arange(num_contexts)[:, None]).to(dtype)  # (K, R)
        self._share = self._member * torch.tensor(self._sizes, dtype=dtype) / count.clamp_min(1)[:, None]

    def arrange(self, x: Tensor, like: Tensor | None = None) -> Tensor:
        """Return the rows sorted by context where there are too many runs."""
        return x if self._order is None else x[self._order]

    def restore(self, y: Tensor) -> Tensor:
        """Return sorted rows in their own order."""
        return y if self._back is None else y[self._back]

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and biased variance of each context's rows."""
        stats = [torch.batch_norm_update_stats(run, None, None, 0.0) for run in self._split(x)]
        stacked = torch.stack([mean for mean, _ in stats] + [var for _, var in stats])
        mean, var = stacked.view(2, len(stats), x.shape[1]).unbind()  # (R, C) each
        if self._which is None:
            return mean, var
        # The variance of all is the mean of the runs' variances and of their means' squared distances.
        centre = self._share @ mean  # (K, C)
        return centre, self._share @ (var + (mean - centre[self._which]).square_())

    def affine(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """Return ``x * scale[c] + shift[c]``."""
        y = torch.empty_like(x)
        runs = zip(self._split(x), self._split(y), *self._rows_of(x.ndim, scale, shift), strict=True)
        for run, out, by, plus in runs:
            torch.addcmul(plus, run, by, out=out)
        return y

    def sums(self, dy: Tensor, x: Tensor, mean: Tensor, inv_std: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sums of ``dy * (x - mean[c]) * inv_std[c]`` and of ``dy``."""
        products, totals = [], []
        for dy_run, run, m, i in zip(self._split(dy), self._split(x), *self._rows_of(2, mean, inv_std), strict=True):
            _, product, total = torch.ops.aten.native_batch_norm_backward.default(
                dy_run, run, m, m, m, m, i, True, 0.0, [False, True, True]
            )
            products.append(product)
            totals.append(total)
        stacked = torch.stack(products + totals).view(2, len(products), -1)  # (2, R, C)
        product, total = (stacked if self._which is None else self._member @ stacked).unbind()
        return product, total

    def combine(self, dy: Tensor, x: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """Return ``dy * a[c] + x * b[c] + c[c]``; batch norm's own kernel cannot write into part of a tensor."""
        dx = torch.empty_like(x)
        runs = zip(*(self._split(t) for t in (dy, x, dx)), *self._rows_of(x.ndim, a, b, c), strict=True)
        for dy_run, run, out, by, times, plus in runs:
            torch.addcmul(plus, dy_run, by, out=out).addcmul_(run, times)
        return dx

    def _split(self, x: Tensor) -> tuple[Tensor, ...]:
        return x.split_with_sizes(self._sizes)

    def _rows_of(self, ndim: int, *tables: Tensor) -> list[tuple[Tensor, ...]]:
        """Return, for each table ``(K, C)``, the row that each run uses, shaped to broadcast with ``ndim``."""
        ones = (1,) * (ndim - 2)
        used = tables if self._which is None else [table[self._which] for table in tables]
        return [table.view(*table.shape, *ones).unbind() for table in used]


def _runs(contexts: Iterable[int]) -> list[tuple[int, int]]:
    return [(k, sum(1 for _ in rows)) for k, rows in groupby(contexts)]
