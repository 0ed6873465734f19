"""The mathematics of latent contexts, as pure functions.

Letters: B rows, C channels, K components. A row's log-likelihood under a Gaussian is averaged over its channels and
positions, so all that matters of a row is its own mean and variance in each channel.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from dacn.nn.functional import Moments, expand
from dacn.nn.passes.choose import supports


class Rows(NamedTuple):
    """Each row's moments over its positions."""

    mean: Tensor  # (B, C)
    var: Tensor  # (B, C), biased; zero where there is one position


def row_moments(x: Tensor) -> Rows:
    """Return each row's own moments. Shape: x ``(B, C, ...)``."""
    if x.ndim == 2:
        return Rows(x, torch.zeros_like(x))
    if supports(x):
        return Rows(*_RowMoments.apply(x))
    var, mean = torch.var_mean(x.flatten(2), dim=2, correction=0)
    return Rows(mean, var)


class _RowMoments(torch.autograd.Function):
    """On a CPU batch norm's own kernel, row by row, is several times faster than a variance over positions."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, var = x.new_empty(x.shape[:2]), x.new_empty(x.shape[:2])  # (B, C)
        for i in range(len(x)):
            mean[i], var[i] = torch.batch_norm_update_stats(x[i : i + 1], None, None, 0.0)
        ctx.save_for_backward(x, mean)
        return mean, var

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_mean: Tensor, grad_var: Tensor) -> Tensor:
        x, mean = ctx.saved_tensors
        slope = 2 * grad_var / x[0, 0].numel()  # (B, C)
        offset = grad_mean / x[0, 0].numel() - slope * mean
        return torch.addcmul(expand(offset, x.ndim), x, expand(slope, x.ndim))


def log_likelihood(rows: Rows, mean: Tensor, var: Tensor) -> Tensor:
    """Return each row's log-likelihood under each Gaussian, averaged over channels and positions, up to a constant.

    Shape: mean and var ``(K, C)``; returns ``(B, K)``.
    """
    # E[(x - m)^2] = row variance + (row mean - m)^2. Around the Gaussians' mean few digits are lost.
    centre = mean.mean(0)  # (C,)
    a, mean = rows.mean - centre, mean - centre
    distance = (rows.var + a * a) @ (1 / var).T - 2 * (a @ (mean / var).T) + (mean * mean / var).sum(1)
    return -0.5 * (distance + var.log().sum(1)) / mean.shape[1]


def weighted_moments(rows: Rows, posterior: Tensor) -> Moments:
    """Return the moments of each component's rows, which count as much as their posterior says.

    Shape: posterior ``(B, K)``; returns count ``(K,)``, mean and biased variance ``(K, C)``.
    """
    count = posterior.sum(0)  # (K,)
    share = (posterior / count.clamp_min(1e-12)).T  # (K, B), a row sums to one
    centre = rows.mean.detach().mean(0)  # (C,), cancels
    a = rows.mean - centre
    mean = share @ a
    var = share @ (rows.var + a * a) - mean * mean
    return Moments(count, mean + centre, var.clamp_min(0))
