"""Normalization by context on a CPU: few passes over whole activations, and tables, (K, C) at a time, between them.

On small activations most of the time goes into the calls themselves: what depends on the contexts alone is worked out
once for equal batches (`_passes`), and tables are handled whole.
"""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from dacn.nn import processes
from dacn.nn.passes import compiled
from dacn.nn.passes.compiled import Compiled
from dacn.nn.passes.passes import Passes
from dacn.nn.passes.runs import Runs

Correction = tuple[Tensor, Tensor]


def serves(x: Tensor) -> bool:
    """Whether this serves x: rows in real memory on a CPU, which a tracer lacks, all of them this process's."""
    served = x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64) and x.numel() > 0
    return served and processes.count() == 1 and not torch.compiler.is_compiling()


def moments(x: Tensor, context: Tensor, num_contexts: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return count ``(K,)``, mean and biased variance ``(K, C)`` of each context's rows, detached."""
    passes = _passes_for(x, context, num_contexts)
    mean, var = passes.moments(passes.arrange(x.detach()))
    if passes.absent is not None:
        var = var + passes.absent
    return passes.count.clone(), mean, var


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
    passes = _passes_for(x, context, len(mean))
    y: Tensor = _ContextAffine.apply(x, mean, var, weight, bias, correction, passes, eps, batch_statistics)
    return y


def _passes_for(x: Tensor, context: Tensor, num_contexts: int) -> Passes:
    return _passes(tuple(context.tolist()), num_contexts, x.numel() // (len(x) * x.shape[1]), x.dtype, compiled.there())


@lru_cache(maxsize=256)  # by value: a function of its arguments and no state of any batch
def _passes(contexts: tuple[int, ...], num_contexts: int, positions: int, dtype: torch.dtype, in_c: bool) -> Passes:
    kind = Compiled if in_c and dtype == torch.float32 else Runs
    return kind(contexts, num_contexts, positions, dtype)


class _ContextAffine(torch.autograd.Function):
    """The affine map of each context's rows, and its gradient: one pass for the sums, one that writes."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        mean: Tensor,
        var: Tensor,
        weight: Tensor,
        bias: Tensor,
        correction: Correction | None,
        passes: Passes,
        eps: float,
        batch_statistics: bool,
    ) -> Tensor:
        x = passes.arrange(x)
        inv_std = torch.rsqrt(var + eps)  # (K, C)
        gain, offset = weight, bias  # (K, C) or (C,)
        if correction is not None:
            r, d = correction
            gain, offset = r * weight, torch.addcmul(bias, d, weight)
        scale = gain * inv_std
        y = passes.affine(x, scale, torch.addcmul(offset, mean, scale, value=-1))
        ctx.save_for_backward(x, mean, inv_std, scale)
        ctx.passes, ctx.correction, ctx.batch_statistics = passes, correction, batch_statistics
        ctx.shared = weight.ndim == 1, bias.ndim == 1
        return passes.restore(y)

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, inv_std, scale = ctx.saved_tensors
        passes: Passes = ctx.passes
        dy = passes.arrange(grad_y, like=x)
        product, total = passes.sums(dy, x, mean, inv_std)
        grad_mean = grad_var = None
        if ctx.batch_statistics:
            # BatchNorm: dx = scale * (dy - E[dy] - x_hat * E[dy * x_hat]), arranged as scale * dy + b * x + c.
            part = scale * passes.minus_per_sample
            b = part * inv_std * product
            grad_x = passes.combine(dy, x, scale, b, torch.addcmul(part * total, b, mean, value=-1))
        else:
            grad_x = passes.affine(dy, scale, torch.zeros_like(scale))
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
        return passes.restore(grad_x), grad_mean, grad_var, grad_weight, grad_bias, None, None, None, None
