"""Mixture Normalization on a CPU: the formulas of `dacn.nn.mixture.mixture`, chunk by chunk.

A chunk's temporaries stay in the processor's cache, and the gradient is written out, so that nothing of the size of x
is made besides the output and the gradient.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from dacn.nn.mixture import mixture as M

CHUNK = 2**17  # numbers: half a MiB in single precision


def fast(x: Tensor) -> bool:
    """Whether chunks serve x: in eager mode on a CPU."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def normalize(x: Tensor, mixture: M.Mixture, gamma: Tensor, beta: Tensor, eps: float) -> Tensor:
    """Return what `mixture.normalize` does; for evaluation, without a gradient."""
    y = torch.empty_like(x)
    for rows in _chunks(x):
        y[rows] = M.normalize(x[rows], mixture, gamma, beta, eps)
    return y


def normalize_batch(x: Tensor, mixture: M.Mixture, gamma: Tensor, beta: Tensor, eps: float) -> tuple[Tensor, M.Mixture]:
    """Return what `mixture.normalize_batch` does."""
    y, mean, var, weight = _NormalizeBatch.apply(x, *mixture, gamma, beta, eps)
    return y, M.Mixture(mean, var, weight)


def _chunks(x: Tensor) -> Iterator[slice]:
    step = max(1, CHUNK // x.shape[1])
    return (slice(start, start + step) for start in range(0, len(x), step))


class _NormalizeBatch(torch.autograd.Function):
    """Two passes over the samples forward, for the moments and the output, and two backward, for sums and gradient."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, mean: Tensor, var: Tensor, weight: Tensor, gamma: Tensor, beta: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        centre = x.mean(0)  # (C,)
        precision, linear, constant = M.log_density(M.Mixture(mean - centre, var, weight), eps)
        tau = x.new_empty(len(weight), len(x))  # (K, N)
        first, second = torch.zeros_like(mean), torch.zeros_like(mean)  # (K, C), sums of tau * z and tau * z^2
        for rows in _chunks(x):
            z = x[rows] - centre
            square = z * z
            logits = torch.addmm(constant[:, None], linear, z.T).addmm_(precision, square.T, alpha=-0.5)
            tau[:, rows] = t = torch.softmax(logits, dim=0)
            first.addmm_(t, z)
            second.addmm_(t, square)
        count = tau.sum(1)  # (K,)
        first /= count.clamp_min(1e-12)[:, None]
        second /= count.clamp_min(1e-12)[:, None]
        batch = M.Mixture(first, (second - first * first).clamp_min(0), weight)
        scale, shift = M.affine_tables(batch, weight, gamma, eps)
        y = torch.empty_like(x)
        for rows in _chunks(x):
            t = tau[:, rows].T
            torch.addmm(beta, t, shift, out=y[rows]).addcmul_(x[rows] - centre, t @ scale)
        ctx.save_for_backward(x, tau, centre, precision, linear, count, first, second, weight, gamma)
        ctx.eps = eps
        moments = (first + centre, batch.var, count / len(x))
        ctx.mark_non_differentiable(*moments)
        return y, *moments

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_y: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, tau, centre, precision, linear, count, first, second, weight, gamma = ctx.saved_tensors
        var = second - first * first  # (K, C)
        batch = M.Mixture(first, var.clamp_min(0), weight)
        scale, shift = M.affine_tables(batch, weight, gamma, ctx.eps)

        # y = sum_k tau_k (z a_k + b_k) + beta: the sums that the gradients of a and b are, and tau's own gradient.
        grad_scale, grad_shift = torch.zeros_like(scale), torch.zeros_like(scale)  # (K, C)
        grad_tau = torch.empty_like(tau)  # (K, N)
        for rows in _chunks(x):
            g, t = grad_y[rows], tau[:, rows]
            gz = g * (x[rows] - centre)
            grad_scale.addmm_(t, gz)
            grad_shift.addmm_(t, g)
            grad_tau[:, rows] = torch.addmm(shift @ g.T, scale, gz.T)

        # b = -mean * a and a = gamma / sqrt((var + eps) * lambda); mean = E[z], var = E[z^2] - mean^2 under tau.
        grad_scale -= first * grad_shift
        unit, _shift = M.affine_tables(batch, weight, torch.ones_like(gamma), ctx.eps)
        grad_gamma = (grad_scale * unit).sum(0)
        grad_second = torch.where(var > 0, -0.5 * grad_scale * scale / (batch.var + ctx.eps), 0.0)
        grad_first = -scale * grad_shift - 2 * first * grad_second
        per_sample = count.clamp_min(1e-12)[:, None]
        at_mean = (first * grad_first + second * grad_second).sum(1, keepdim=True)  # (K, 1)
        grad_first, grad_second, at_mean = grad_first / per_sample, grad_second / per_sample, at_mean / per_sample

        grad_x = torch.empty_like(x)
        for rows in _chunks(x):
            z, t = x[rows] - centre, tau[:, rows]
            dt = (grad_tau[:, rows] - at_mean).addmm_(grad_first, z.T).addmm_(grad_second, (z * z).T)
            both = torch.cat([t, t * (dt - (t * dt).sum(0))])  # (2K, n): posteriors, gradient of the log-densities
            out: Tensor = torch.mm(both.T, torch.cat([2 * grad_second, -precision]), out=grad_x[rows])
            out.mul_(z).addmm_(both.T, torch.cat([grad_first, linear])).addcmul_(grad_y[rows], t.T @ scale)
        return grad_x, None, None, None, grad_gamma, grad_y.sum(0), None
