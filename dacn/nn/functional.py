"""The mathematics of normalization by context, as pure functions.

Letters: B rows, C channels, K contexts; ``x`` is ``(B, C, ...)`` and row i belongs to ``context[i]``.

One formulation for all devices: few passes over whole activations, and tables ``(K, C)`` between them. Who makes the
passes differs (`dacn.nn.passes.choose`). Whatever the types of activations, layer and default are, sums are made in the
most precise of them, at least in float32, and the output has the type of x.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from dacn.nn import processes
from dacn.nn.passes.choose import passes_for
from dacn.nn.passes.context_affine import ContextAffine
from dacn.nn.precision import at_least_float32, in_dtype


class Moments(NamedTuple):
    """Batch statistics of each context; those of a context without rows are mean 0 and variance 1."""

    count: Tensor  # type: ignore[assignment]  # (K,) rows of the batch; hides tuple.count
    mean: Tensor  # (K, C)
    var: Tensor  # (K, C), biased as in BatchNorm


def context_moments(x: Tensor, context: Tensor, num_contexts: int) -> Moments:
    """Return mean and biased variance of each context's rows, over rows, positions and processes, without gradient.

    Shape: x ``(B, C, ...)``, context ``(B,)``; returns ``(K,)``, ``(K, C)`` and ``(K, C)``.
    """
    passes = passes_for(x, context, num_contexts, at_least_float32(x))
    mean, var = passes.moments(passes.arrange(x.detach()))
    if not passes.all_occur:
        var = var + (passes.count == 0).to(var.dtype)[:, None]
    return Moments(passes.count.clone(), mean, var)


def context_count(context: Tensor, num_contexts: int) -> Tensor:
    """Return how many rows each context has, in all processes. Shape: context ``(B,)``; returns ``(K,)`` float32."""
    if context.is_cpu and not torch.compiler.is_compiling():
        return processes.total(torch.bincount(context, minlength=num_contexts).float())
    contexts = torch.arange(num_contexts, device=context.device)
    return processes.total((context[:, None] == contexts).sum(0).float())


def context_affine(
    x: Tensor,
    context: Tensor,
    mean: Tensor,
    var: Tensor,
    weight: Tensor,
    bias: Tensor,
    eps: float,
    *,
    batch_statistics: bool = False,
    correction: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Return ``(x - mean[c]) / sqrt(var[c] + eps) * weight[c] + bias[c]`` with c each row's context.

    Args:
        x: activations.
        context: the context of each row, 0 to K - 1.
        mean, var: one row a context.
        weight, bias: one row a context, or one for all.
        eps: added to the variance.
        batch_statistics: mean and var are `context_moments` of this very x, and the gradient flows through them as
            it does in BatchNorm, in all processes. Otherwise they are parameters with gradients of their own.
        correction: r and d of `renorm_correction`: before weight and bias, the rows are multiplied by r and moved by d.

    Shape: x ``(B, C, ...)``, context ``(B,)``, tables ``(K, C)``, weight and bias also ``(C,)``; returns as x.
    """
    dtype = at_least_float32(x, mean, var, weight, bias)
    mean, var, weight, bias = in_dtype(dtype, mean, var, weight, bias)
    r, d = (None, None) if correction is None else in_dtype(dtype, *correction)
    passes = passes_for(x, context, len(mean), dtype, batch_statistics=batch_statistics)
    y: Tensor = ContextAffine.apply(x, mean, var, weight, bias, r, d, passes, eps, batch_statistics, *passes.tensors())
    return y


def context_posterior(x: Tensor, mean: Tensor, var: Tensor, log_prior: Tensor) -> Tensor:
    """Return the probability of each context given the whole sample.

    The log-likelihood under a context's diagonal Gaussian is averaged over channels and positions, then the context's
    log-prior is added: one sample has one context, however many positions it has.

    Shape: x ``(B, C, ...)``, mean and var ``(K, C)``, log_prior ``(K,)``; returns ``(B, K)``.
    """
    dtype = at_least_float32(x, mean, var)
    x, mean, var, log_prior = in_dtype(dtype, x, mean, var, log_prior)
    first = _over_positions(x)  # (B, C), E[x]
    second = _over_positions(x * x)  # (B, C), E[x^2]
    precision = 1 / var  # (K, C)
    # E[(x - m)^2] / v = E[x^2] / v - 2 E[x] m / v + m^2 / v, summed over channels as three matrix products.
    distance = second @ precision.T - 2 * first @ (mean * precision).T + (mean * mean * precision).sum(1)
    log_likelihood = -0.5 * (distance + var.log().sum(1)) / x.shape[1]  # (B, K)
    return torch.softmax(log_likelihood + log_prior, dim=1)


def mixture_affine(
    x: Tensor, posterior: Tensor, mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor, eps: float
) -> Tensor:
    """Return ``sum_k posterior[:, k] * ((x - mean[k]) / sqrt(var[k] + eps) * weight[k] + bias[k])``.

    Shape: x ``(B, C, ...)``, posterior ``(B, K)``, tables ``(K, C)``; returns the shape of x.
    """
    dtype = at_least_float32(x, posterior, mean, var, weight, bias)
    posterior, mean, var, weight, bias = in_dtype(dtype, posterior, mean, var, weight, bias)
    scale = weight * torch.rsqrt(var + eps)  # (K, C)
    return (x * expand(posterior @ scale, x.ndim) + expand(posterior @ (bias - mean * scale), x.ndim)).to(x.dtype)


def renorm_correction(
    moments: Moments, mean: Tensor, var: Tensor, eps: float, rho: Tensor, delta: Tensor
) -> tuple[Tensor, Tensor]:
    """Return r and d that turn batch-normalized rows into rows normalized by the learned Gaussian.

    ``r = clamp(S / std, 1/rho, rho)`` and ``d = clamp((M - mean) / std, -delta, delta)``; neither carries a gradient.

    Shape: moments, mean and var ``(K, C)``, rho and delta scalars; returns two ``(K, C)``.

    Reference: Ioffe 2017, arXiv 1702.03275, algorithm 1.
    """
    dtype = at_least_float32(moments.mean, mean)
    mean, var, rho, delta = in_dtype(dtype, mean, var, rho, delta)
    inv_std = torch.rsqrt(var + eps)
    r = ((moments.var.detach() + eps).sqrt() * inv_std).clamp(1 / rho, rho)
    d = ((moments.mean.detach() - mean) * inv_std).clamp(-delta, delta)
    return r, d


def renorm_limits(opened: Any) -> tuple[Any, Any]:
    """Return rho and delta of `renorm_correction` for limits that are ``opened`` from 0 (closed) to 1, float or Tensor.

    Closed, the training output is that of batch statistics; open, that of the learned Gaussian within the factors 3
    and 5 that Ioffe 2017, section 4, ends at.
    """
    return 1 + 2 * opened, 5 * opened


@torch.no_grad()
def open_by_steps(steps: Tensor, opening_steps: tuple[int, int], rho: Tensor, delta: Tensor) -> None:
    """Set the limits ``rho`` and ``delta`` as open as they are after ``steps`` training forwards, and count one more.

    Up to the first of ``opening_steps`` the limits stay as they are, at the second they are open. Everything is a
    tensor: the host waits for nothing, and torch.compile has nothing to compile again. In double precision torch 2.11
    compiles no change of a scalar, and the limits of a compiled layer stay closed; later ones do.

    Shape: steps, rho and delta scalars.
    """
    start, end = opening_steps
    opened = ((snapshot(steps) - start) / (end - start)).clamp(0, 1)
    for limit, value in zip((rho, delta), renorm_limits(opened), strict=True):
        limit.copy_(torch.where(opened > 0, value.to(limit.dtype), limit))
    steps.add_(1)


def snapshot(table: Tensor) -> Tensor:
    """Return a copy, without gradient, of a table that is about to move.

    Under torch.compile a plain clone is not enough: the backward pass may compute it again, by then from the moved
    table. An operator of one's own is never computed again.
    """
    return _opaque_copy(table) if torch.compiler.is_compiling() else table.detach().clone()


def follow_where_occurring(table: Tensor, value: Tensor, count: Tensor, step: float | Tensor) -> None:
    """Move a table by ``step`` of the way to ``value``, in the rows of contexts that occur.

    Shape: table and value ``(K, C)``, count ``(K,)``, step a number or ``(K, 1)``.
    """
    weight: Any = step
    if (
        isinstance(step, Tensor) or not count.is_cpu or torch.compiler.is_compiling() or not all(count.tolist())
    ):  # else one number saves calls
        weight = ((count > 0)[:, None].to(table.dtype) * step).to(table.dtype)  # (K, 1)
    table.lerp_(value.to(table.dtype), weight)


@torch.library.custom_op("dacn::opaque_copy", mutates_args=())
def _opaque_copy(table: Tensor) -> Tensor:
    return table.clone()


_opaque_copy.register_fake(torch.empty_like)


def expand(rows: Tensor, ndim: int) -> Tensor:
    """Return ``(B, C)`` as ``(B, C, 1, ...)`` with ``ndim`` dimensions."""
    return rows.reshape(rows.shape + (1,) * (ndim - 2))


def _over_positions(x: Tensor) -> Tensor:
    return x if x.ndim == 2 else x.flatten(2).mean(2)  # (B, C)
