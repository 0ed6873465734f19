"""Normalization by context on a CPU: torch's batch-norm kernels, one call for each run of rows of equal context.

A batch is laid out domain after domain, so its contexts form a few long runs and a run of rows is a view. Rows whose
contexts alternate are sorted first. All sums over rows and positions are made by the kernels that BatchNorm uses.

On small activations most of the time goes into the calls themselves: what depends on the contexts alone is worked out
once for equal batches (`_plan`), and tables are handled whole, (K, C) at a time. Cutting runs into pieces that fit a
core's cache was tried and cost more in calls than it saved; so did torch.compile of a layer at WRN's sizes.
"""

from functools import lru_cache
from itertools import groupby
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dacn.nn import processes

Correction = tuple[Tensor, Tensor]
MOST_RUNS = 4  # runs a context, on average, before sorting the rows is the cheaper way


class Plan(NamedTuple):
    """Where the contexts of a batch lie; it serves every such batch, so nobody may write to its tensors."""

    order: Tensor | None  # (B,) sorts the rows by context; None: they lie well as they are
    sizes: list[int]  # rows of each run, R of them
    which: Tensor | None  # (R,) context of each run; None: they are 0 to K - 1
    member: Tensor  # (K, R) one where a run is of a context
    share: Tensor  # (K, R) which part of its context's rows a run holds
    count: Tensor  # type: ignore[assignment]  # (K,) rows; hides tuple.count
    minus_per_sample: Tensor  # (K, 1) minus one over the rows times positions; 0 where there are none
    absent: Tensor | None  # (K, 1) one where a context has no rows; None: all have some

    def rows_of(self, ndim: int, *tables: Tensor) -> list[tuple[Tensor, ...]]:
        """Return, for each table ``(K, C)``, the row that each run uses, shaped to broadcast with ``ndim``."""
        ones = (1,) * (ndim - 2)
        used = tables if self.which is None else [table[self.which] for table in tables]
        return [table.view(*table.shape, *ones).unbind() for table in used]


def fast(x: Tensor) -> bool:
    """Whether these kernels serve x: rows in real memory on a CPU, which a tracer lacks, all of them this process's."""
    served = x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64) and x.numel() > 0
    return served and processes.count() == 1 and not torch.compiler.is_compiling()


def moments(x: Tensor, context: Tensor, num_contexts: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return count ``(K,)``, mean and biased variance ``(K, C)`` of each context's rows, detached."""
    plan = _plan_for(x, context, num_contexts)
    runs = _sorted(x.detach(), plan).split_with_sizes(plan.sizes)
    stats = [torch.batch_norm_update_stats(run, None, None, 0.0) for run in runs]
    stacked = torch.stack([mean for mean, _ in stats] + [var for _, var in stats])
    mean, var = stacked.view(2, len(stats), x.shape[1]).unbind()  # (R, C) each
    if plan.which is not None:
        # The variance of all is the mean of the runs' variances and of their means' squared distances.
        centre = plan.share @ mean  # (K, C)
        mean, var = centre, plan.share @ (var + (mean - centre[plan.which]).square_())
    if plan.absent is not None:
        var = var + plan.absent
    return plan.count.clone(), mean, var


def affine(
    x: Tensor,
    context: Tensor,
    mean: Tensor,
    var: Tensor,
    weight: Tensor,
    bias: Tensor,
    eps: float,
    batch_statistics: bool,
    correction: Correction | None = None,
) -> Tensor:
    """Return ``(x - mean[c]) / sqrt(var[c] + eps) * weight[c] + bias[c]``; see `functional.context_affine`."""
    plan = _plan_for(x, context, len(mean))
    y: Tensor = _RunAffine.apply(_sorted(x, plan), mean, var, weight, bias, correction, plan, eps, batch_statistics)
    return y if plan.order is None else y[plan.order.argsort()]


def _plan_for(x: Tensor, context: Tensor, num_contexts: int) -> Plan:
    positions = x.numel() // (len(x) * x.shape[1])
    return _plan(tuple(context.tolist()), num_contexts, positions, x.dtype)


def _sorted(x: Tensor, plan: Plan) -> Tensor:
    return x if plan.order is None else x[plan.order]


@lru_cache(maxsize=256)  # by value: a function of its arguments and no state of any batch
def _plan(contexts: tuple[int, ...], num_contexts: int, positions: int, dtype: torch.dtype) -> Plan:
    order = None
    runs = _runs(contexts)
    if len(runs) > MOST_RUNS * num_contexts:
        order = torch.tensor(sorted(range(len(contexts)), key=contexts.__getitem__))
        runs = _runs(sorted(contexts))
    for k, _ in runs:
        if not 0 <= k < num_contexts:
            raise ValueError(
                f"context {k} is outside 0 to {num_contexts - 1}, the contexts that the layer was built for"
            )
    which = torch.tensor([k for k, _ in runs])  # (R,)
    sizes = torch.tensor([size for _, size in runs], dtype=dtype)
    member = (which == torch.arange(num_contexts)[:, None]).to(dtype)  # (K, R)
    count = member @ sizes  # (K,)
    present = count[:, None] > 0  # (K, 1)
    return Plan(
        order=order,
        sizes=[size for _, size in runs],
        which=None if which.tolist() == list(range(num_contexts)) else which,
        member=member,
        share=member * sizes / count.clamp_min(1)[:, None],
        count=count,
        minus_per_sample=torch.where(present, -1 / (count[:, None] * positions), 0.0),
        absent=None if present.all() else (~present).to(dtype),
    )


def _runs(contexts: Any) -> list[tuple[int, int]]:
    return [(k, sum(1 for _ in rows)) for k, rows in groupby(contexts)]


class _RunAffine(torch.autograd.Function):
    """The affine map of each run, and its gradient: one pass of batch norm's kernel for the sums, then multiply-adds.

    Batch norm's own backward kernel would do both, but it cannot write into part of a tensor: it would cost a copy.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        mean: Tensor,
        var: Tensor,
        weight: Tensor,
        bias: Tensor,
        correction: Correction | None,
        plan: Plan,
        eps: float,
        batch_statistics: bool,
    ) -> Tensor:
        y = torch.empty_like(x)
        inv_std = torch.rsqrt(var + eps)  # (K, C)
        gain, offset = weight, bias  # (K, C) or (C,)
        if correction is not None:
            r, d = correction
            gain, offset = r * weight, torch.addcmul(bias, d, weight)
        scale = gain * inv_std
        shift = torch.addcmul(offset, mean, scale, value=-1)
        runs = zip(x.split_with_sizes(plan.sizes), y.split_with_sizes(plan.sizes), strict=True)
        for (run, out), by, plus in zip(runs, *plan.rows_of(x.ndim, scale, shift), strict=True):
            torch.addcmul(plus, run, by, out=out)
        ctx.save_for_backward(x, mean, inv_std, scale)
        ctx.plan, ctx.correction, ctx.batch_statistics = plan, correction, batch_statistics
        ctx.shared = weight.ndim == 1, bias.ndim == 1
        return y

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, inv_std, scale = ctx.saved_tensors
        plan: Plan = ctx.plan
        grad_x = torch.empty_like(x)
        runs = list(zip(*(t.split_with_sizes(plan.sizes) for t in (grad_y, x, grad_x)), strict=True))
        product, total = _sums(plan, runs, mean, inv_std)
        grad_mean = grad_var = None
        if ctx.batch_statistics:
            # BatchNorm: dx = scale * (dy - E[dy] - x_hat * E[dy * x_hat]), arranged as scale * dy + b * x + c.
            part = scale * plan.minus_per_sample
            b = part * inv_std * product
            c = torch.addcmul(part * total, b, mean, value=-1)
            for (dy, run, out), by, times, plus in zip(runs, *plan.rows_of(x.ndim, scale, b, c), strict=True):
                torch.addcmul(plus, dy, by, out=out).addcmul_(run, times)
        else:
            for (dy, _, out), by in zip(runs, *plan.rows_of(x.ndim, scale), strict=True):
                torch.mul(dy, by, out=out)
            # y = (x - mean) * scale + shift, so both gradients follow from the two sums.
            grad_mean = -scale * total
            grad_var = -0.5 * scale * inv_std * product
        grad_weight = product
        if ctx.correction is not None:
            r, d = ctx.correction
            grad_weight = torch.addcmul(r * product, d, total)
        weight_is_shared, bias_is_shared = ctx.shared
        grad_weight = grad_weight.sum(0) if weight_is_shared else grad_weight
        grad_bias = total.sum(0) if bias_is_shared else total
        return grad_x, grad_mean, grad_var, grad_weight, grad_bias, None, None, None, None


def _sums(plan: Plan, runs: list[tuple[Tensor, ...]], mean: Tensor, inv_std: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sums of ``dy * x_hat`` and of ``dy`` over each context's rows and positions, ``(K, C)`` both."""
    products, totals = [], []
    for (dy, x, _), m, i in zip(runs, *plan.rows_of(2, mean, inv_std), strict=True):
        _, product, total = torch.ops.aten.native_batch_norm_backward.default(
            dy, x, m, m, m, m, i, True, 0.0, [False, True, True]
        )
        products.append(product)
        totals.append(total)
    stacked = torch.stack(products + totals).view(2, len(runs), -1)  # (2, R, C)
    product, total = (stacked if plan.which is None else plan.member @ stacked).unbind()
    return product, total
