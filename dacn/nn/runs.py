"""Normalization by context on a CPU: torch's batch-norm kernels, one call for each run of rows of equal context.

A batch is laid out domain after domain, so its contexts form a few long runs and a run of rows is a view. Rows in any
other order are sorted first. The kernels that BatchNorm itself uses then do the arithmetic, forward and backward.
"""

from itertools import groupby
from typing import Any

import torch
from torch import Tensor

Run = tuple[int, int, int]  # context, first row, one past the last row


def fast(x: Tensor) -> bool:
    """Whether these kernels serve x: they need real memory on a CPU, which a tracer does not have."""
    return x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64) and not torch.compiler.is_compiling()


def moments(x: Tensor, context: Tensor, num_contexts: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return count ``(K,)``, mean and biased variance ``(K, C)`` of each context's rows, detached."""
    x, grouped, _ = _group(x.detach(), context, num_contexts)
    count = x.new_zeros(num_contexts)
    mean = x.new_zeros(num_contexts, x.shape[1])
    var = x.new_ones(num_contexts, x.shape[1])
    for k, start, stop in grouped:
        count[k] = stop - start
        mean[k], var[k] = torch.batch_norm_update_stats(x[start:stop], None, None, 0.0)
    return count, mean, var


def affine(
    x: Tensor,
    context: Tensor,
    mean: Tensor,
    var: Tensor,
    weight: Tensor,
    bias: Tensor,
    eps: float,
    batch_statistics: bool,
) -> Tensor:
    """Return ``(x - mean[c]) / sqrt(var[c] + eps) * weight[c] + bias[c]``; see `functional.context_affine`."""
    x, grouped, order = _group(x, context, len(mean))
    y: Tensor = _RunAffine.apply(x, mean, var, weight, bias, grouped, eps, batch_statistics)
    return y if order is None else y[order.argsort()]


def _group(x: Tensor, context: Tensor, num_contexts: int) -> tuple[Tensor, list[Run], Tensor | None]:
    """Return x with the rows of each context adjacent, its runs, and the order applied (None: it was so already)."""
    grouped = _runs(context)
    order = None
    if len({k for k, _, _ in grouped}) < len(grouped):
        order = context.argsort(stable=True)
        x, grouped = x[order], _runs(context[order])
    for k, _, _ in grouped:
        if not 0 <= k < num_contexts:
            raise ValueError(
                f"context {k} is outside 0 to {num_contexts - 1}, the contexts that the layer was built for"
            )
    return x, grouped, order


def _runs(context: Tensor) -> list[Run]:
    runs, start = [], 0
    for k, rows in groupby(context.tolist()):
        stop = start + sum(1 for _ in rows)
        runs.append((k, start, stop))
        start = stop
    return runs


class _RunAffine(torch.autograd.Function):
    """The affine map of each run by batch norm's evaluation kernel; the backward pass by its backward kernel."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        mean: Tensor,
        var: Tensor,
        weight: Tensor,
        bias: Tensor,
        grouped: list[Run],
        eps: float,
        batch_statistics: bool,
    ) -> Tensor:
        y = torch.empty_like(x)
        unused = x.new_empty(0)
        for k, start, stop in grouped:
            torch.ops.aten.native_batch_norm.out(
                x[start:stop], weight[k], bias[k], mean[k], var[k], False, 0.0, eps,
                out=y[start:stop], save_mean=unused, save_invstd=unused,
            )  # fmt: skip
        ctx.save_for_backward(x, mean, var, weight)
        ctx.grouped, ctx.eps, ctx.batch_statistics = grouped, eps, batch_statistics
        return y

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, var, weight = ctx.saved_tensors
        inv_std = torch.rsqrt(var + ctx.eps)  # (K, C)
        grad_x = torch.empty_like(x)
        grad_weight, grad_bias = torch.zeros_like(weight), torch.zeros_like(weight)
        for k, start, stop in ctx.grouped:
            torch.ops.aten.native_batch_norm_backward.out(
                grad_y[start:stop], x[start:stop], weight[k], mean[k], var[k], mean[k], inv_std[k],
                ctx.batch_statistics, ctx.eps, [True, True, True],
                out0=grad_x[start:stop], out1=grad_weight[k], out2=grad_bias[k],
            )  # fmt: skip
        if ctx.batch_statistics:
            return grad_x, None, None, grad_weight, grad_bias, None, None, None
        # y = (x - mean) * inv_std * weight + bias, so both gradients follow from the two sums the kernel made:
        # sum(dy) is grad_bias, sum(dy * (x - mean) * inv_std) is grad_weight.
        grad_mean = -weight * inv_std * grad_bias
        grad_var = -0.5 * weight * inv_std.square() * grad_weight
        return grad_x, grad_mean, grad_var, grad_weight, grad_bias, None, None, None
