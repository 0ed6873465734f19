"""The mathematics of Mixture Normalization, as pure functions.

Letters: N samples (all positions of all rows), C channels, K components.
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
    return _apply(x, posterior(x, x * x, mixture, eps), mixture, gamma, beta, eps)


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
    tau = posterior(x, square, mixture._replace(mean=mixture.mean - centre), eps)  # (N, K)
    total = tau.sum(0)  # (K,)
    share = (tau / total.clamp_min(1e-12)).T  # (K, N), a row sums to one
    mean = share @ x  # (K, C)
    batch = Mixture(mean, (share @ square - mean * mean).clamp_min(0), mixture.weight)
    y = _apply(x, tau, batch, gamma, beta, eps)
    return y, Mixture(mean.detach() + centre, batch.var.detach(), total.detach() / len(x))


def posterior(x: Tensor, square: Tensor, mixture: Mixture, eps: float) -> Tensor:
    """Return the probability of each component given each sample: ``(N, K)``; ``square`` is ``x * x``."""
    mean, var = mixture.mean, mixture.var + eps
    # (x - m)^2 / v = x^2 / v - 2 x m / v + m^2 / v, summed over channels as matrix products.
    distance = square @ (1 / var).T - 2 * x @ (mean / var).T + (mean * mean / var).sum(1)
    return torch.softmax(mixture.weight.log() - 0.5 * (distance + var.log().sum(1)), dim=1)


def _apply(x: Tensor, tau: Tensor, mixture: Mixture, gamma: Tensor, beta: Tensor, eps: float) -> Tensor:
    weight = tau * mixture.weight.clamp_min(LEAST_WEIGHT).rsqrt()  # (N, K)
    scale = gamma * torch.rsqrt(mixture.var + eps)  # (K, C)
    return torch.addcmul(torch.addmm(beta, weight, -mixture.mean * scale), x, weight @ scale)


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
