"""Normalization by context on a CPU: torch's batch-norm kernels, one call for each run of rows of equal context.

A batch is laid out domain after domain, so its contexts form a few long runs and a run of rows is a view. Rows in any
other order are sorted first. All sums over rows and positions are made by the kernels that BatchNorm itself uses.
"""

from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from dacn.nn import processes

Run = tuple[int, int, int]  # context, first row, one past the last row


def fast(x: Tensor) -> bool:
    """Whether these kernels serve x: real memory on a CPU, which a tracer does not have, and one process's alone."""
    on_cpu = x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)
    return on_cpu and processes.count() == 1 and not torch.compiler.is_compiling()


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
        grouped: list[Run],
        eps: float,
        batch_statistics: bool,
    ) -> Tensor:
        y = torch.empty_like(x)
        inv_std = torch.rsqrt(var + eps)  # (K, C)
        scale = weight * inv_std
        shift = bias - mean * scale
        layout = _Layout(x)
        view, out = layout.view(x), layout.view(y)
        for k, start, stop in grouped:
            torch.addcmul(layout.row(shift[k]), view[start:stop], layout.row(scale[k]), out=out[start:stop])
        ctx.save_for_backward(x, mean, inv_std, weight)
        ctx.grouped, ctx.batch_statistics = grouped, batch_statistics
        return y

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, inv_std, weight = ctx.saved_tensors
        scale = weight * inv_std  # (K, C)
        grad_x = torch.empty_like(x)
        grad_weight, grad_bias = torch.zeros_like(weight), torch.zeros_like(weight)
        layout = _Layout(x)
        view, grad, out = layout.view(x), layout.view(grad_y), layout.view(grad_x)
        for k, start, stop in ctx.grouped:
            run = slice(start, stop)
            _, grad_weight[k], grad_bias[k] = torch.ops.aten.native_batch_norm_backward(
                grad_y[run], x[run], weight[k], mean[k], mean[k], mean[k], inv_std[k], True, 0.0, [False, True, True]
            )
            if not ctx.batch_statistics:
                torch.mul(grad[run], layout.row(scale[k]), out=out[run])
                continue
            # BatchNorm: dx = scale * (dy - E[dy] - x_hat * E[dy * x_hat]), arranged as a * dy + b * x + c.
            samples = x[run].numel() // x.shape[1]
            b = -scale[k] * inv_std[k] * grad_weight[k] / samples  # (C,)
            c = -scale[k] * grad_bias[k] / samples - b * mean[k]
            torch.addcmul(layout.row(c), grad[run], layout.row(scale[k]), out=out[run])
            out[run].addcmul_(view[run], layout.row(b))
        if ctx.batch_statistics:
            return grad_x, None, None, grad_weight, grad_bias, None, None, None
        # y = (x - mean) * inv_std * weight + bias, so both gradients follow from the two sums the kernel made:
        # sum(dy) is grad_bias, sum(dy * (x - mean) * inv_std) is grad_weight.
        grad_mean = -scale * grad_bias
        grad_var = -0.5 * scale * inv_std * grad_weight
        return grad_x, grad_mean, grad_var, grad_weight, grad_bias, None, None, None


class _Layout:
    """Sees tensors as x lies in memory: channels last where they lie innermost, so that a row broadcasts fast."""

    def __init__(self, x: Tensor) -> None:
        self.channels_innermost = x.movedim(1, -1).is_contiguous()
        self.ones = (1,) * (x.ndim - 2)

    def view(self, x: Tensor) -> Tensor:
        return x.movedim(1, -1) if self.channels_innermost else x

    def row(self, row: Tensor) -> Tensor:
        """Return ``row (C,)`` in the shape that broadcasts with a view."""
        return row if self.channels_innermost else row.reshape(-1, *self.ones)
