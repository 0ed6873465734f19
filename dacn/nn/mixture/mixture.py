"""The mathematics of Mixture Normalization, as pure functions.

Letters: N samples (all positions of all rows), C channels, K components. On a CPU in eager mode the same formulas run
chunk by chunk (`dacn.nn.mixture.mixture_chunks`).
"""

from typing import NamedTuple

import torch
from torch import Tensor

LEAST_WEIGHT = 1e-3  # of a component: its root is divided by, and one at zero would never get a sample again


class Mixture(NamedTuple):
    """A mixture of K diagonal Gaussians."""

    mean: Tensor  # (K, C)
    var: Tensor  # (K, C)
    weight: Tensor  # (K,), sums to 1


def normalize(x: Tensor, mixture: Mixture, gamma: Tensor, beta: Tensor, eps: float) -> Tensor:
    """Return ``sum_k tau_k(x) / sqrt(lambda_k) * (x - m_k) / sqrt(v_k + eps) * gamma + beta``.

    ``tau_k(x)`` is the probability of component k given the sample, with ``lambda, m, v`` the mixture's.

    Shape: x ``(N, C)``, gamma and beta ``(C,)``; returns ``(N, C)``.

    Reference: arXiv 1806.02892.
    """
    centre = mixture.weight @ mixture.mean  # (C,)
    x, mixture = x - centre, mixture._replace(mean=mixture.mean - centre)
    tau = posterior(x, x * x, mixture, eps)
    scale, shift = affine_tables(mixture, mixture.weight, gamma, eps)
    return torch.addcmul(torch.addmm(beta, tau.T, shift), x, tau.T @ scale)


def normalize_batch(x: Tensor, mixture: Mixture, gamma: Tensor, beta: Tensor, eps: float) -> tuple[Tensor, Mixture]:
    """Return the same with ``m, v`` the batch's own moments under each component, and those moments, detached.

    The samples are weighted by ``tau_k / sum tau_k``. The gradient flows through moments and posteriors alike. The
    mixture itself is constant.

    Shape: x ``(N, C)``, gamma and beta ``(C,)``; returns ``(N, C)`` and the batch's mixture.
    """
    # Sums of squares lose digits far from zero, so everything is taken around the batch's mean. It is a constant that
    # cancels, and needs no gradient.
    centre = x.detach().mean(0)  # (C,)
    x = x - centre
    square = x * x
    tau = posterior(x, square, mixture._replace(mean=mixture.mean - centre), eps)  # (K, N)
    count = tau.sum(1)  # (K,)
    share = tau / count.clamp_min(1e-12)[:, None]  # (K, N), a row sums to one
    mean = share @ x  # (K, C)
    batch = Mixture(mean, (share @ square - mean * mean).clamp_min(0), count / len(x))
    scale, shift = affine_tables(batch, mixture.weight, gamma, eps)
    y = torch.addcmul(torch.addmm(beta, tau.T, shift), x, tau.T @ scale)
    return y, Mixture(mean.detach() + centre, batch.var.detach(), batch.weight.detach())


def posterior(x: Tensor, square: Tensor, mixture: Mixture, eps: float) -> Tensor:
    """Return the probability of each component given each sample: ``(K, N)``; ``square`` is ``x * x``."""
    precision, linear, constant = log_density(mixture, eps)
    logits = torch.addmm(constant[:, None], linear, x.T) - 0.5 * precision @ square.T
    return torch.softmax(logits, dim=0)


def log_density(mixture: Mixture, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return p, q ``(K, C)`` and c ``(K,)``: a sample's log-density is ``sum(-x^2 p / 2 + x q) + c``."""
    precision = 1 / (mixture.var + eps)
    linear = mixture.mean * precision
    return precision, linear, mixture.weight.log() - 0.5 * (mixture.mean * linear - precision.log()).sum(1)


def affine_tables(moments: Mixture, weight: Tensor, gamma: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Return a and b ``(K, C)``: the output is ``sum_k tau_k (x a_k + b_k) + beta``."""
    scale = gamma * torch.rsqrt(moments.var + eps) * weight.clamp_min(LEAST_WEIGHT).rsqrt()[:, None]
    return scale, -moments.mean * scale


def follow(mixture: Mixture, batch: Mixture, samples: int, momentum: float) -> Mixture:
    """Return the mixture after a batch of ``samples``, moved as BatchNorm moves its running statistics.

    A component moves by ``momentum`` times its weight in the batch over its weight in the mixture: where it has few
    samples its moments say little. With one component this is BatchNorm's rule, with its unbiased variance.
    """
    weight = mixture.weight.lerp(batch.weight, momentum)  # (K,)
    step = (momentum * batch.weight / weight.clamp_min(1e-12)).clamp_max(1)[:, None]
    count = (samples * batch.weight)[:, None]
    unbiased = batch.var * (count / (count - 1).clamp_min(1)).clamp_min(1)
    return Mixture(mixture.mean.lerp(batch.mean, step), mixture.var.lerp(unbiased, step), floored(weight))


def floored(weight: Tensor) -> Tensor:
    """Return weights ``(K,)`` that sum to 1 with no component below the least; one at zero is not in use yet."""
    weight = torch.where(weight > 0, weight.clamp_min(LEAST_WEIGHT), weight)
    return weight / weight.sum()
