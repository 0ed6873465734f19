"""How far apart two domains' features are: covariances and kernel means. B source rows, T target rows, F features."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dacn.nn.precision import without_autocast

BANDWIDTHS = tuple(2.0**power for power in range(-3, 2))
"""Of the Gaussian kernels, as multiples of the mean squared distance: five octaves."""


def covariance_distance(source: Tensor, target: Tensor, of_source: Tensor | None = None) -> Tensor:
    """Return the squared Frobenius distance of the unbiased covariances, over ``4 F^2``.

    Args:
        source, target: features.
        of_source: which rows of the former count; None: all.

    Shape: source ``(B, F)``, target ``(T, F)``, of_source ``(B,)`` bool; returns ``()``.

    Reference: Deep CORAL, arXiv 1607.01719, equation 1.

    >>> x = torch.tensor([[0.0], [2.0]])
    >>> covariance_distance(x, 2 * x)  # variances 2 and 8
    tensor(9.)
    """
    with without_autocast(source):
        difference = _covariance(_wide(source), of_source) - _covariance(_wide(target))
        return difference.square().sum() / (4 * source.shape[1] ** 2)


def mean_discrepancy(
    source: Sequence[Tensor],
    target: Sequence[Tensor],
    of_source: Tensor | None = None,
    bandwidths: Sequence[Sequence[float]] = (BANDWIDTHS,),
) -> Tensor:
    """Return the squared maximum mean discrepancy of two domains, by the unbiased quadratic estimator.

    Each layer has a kernel, the sum of Gaussians ``exp(-d^2 / (2 b m))`` over its bandwidths b, with m the mean squared
    distance of all pairs of rows, detached. The kernel of several layers is the product of theirs.

    Args:
        source, target: each layer's activations of the same rows: features alone (DAN), or features and predictions
            (JAN).
        of_source: which source rows count; None: all.
        bandwidths: of each layer.

    Shape: source ``(B, F)`` each, target ``(T, F)`` each, of_source ``(B,)`` bool; returns ``()``. B and T at least 2.

    Reference: DAN, arXiv 1502.02791, equations 1 and 2; JAN, arXiv 1605.06636, equation 9.
    """
    with without_autocast(source[0]):
        count = len(source[0])
        rows = torch.cat([_weights(source[0], of_source), torch.ones_like(target[0][:, 0])])  # (B + T,)
        rows = _wide(rows)
        kernel = rows.new_ones(())
        for ours, theirs, widths in zip(source, target, bandwidths, strict=True):
            kernel = kernel * _gaussians(_wide(torch.cat([ours, theirs])), rows, widths)
        within, across, beyond = kernel[:count, :count], kernel[:count, count:], kernel[count:, count:]
        own, other = rows[:count], rows[count:]
        return _mean_of_pairs(within, own) + _mean_of_pairs(beyond, other) - 2 * (own @ across).mean() / own.sum()


def _mean_of_pairs(kernel: Tensor, rows: Tensor) -> Tensor:
    """Return the mean of ``kernel (N, N)`` over pairs of two different rows; ``rows (N,)`` says which count."""
    count = rows.sum()
    return (rows @ kernel @ rows - rows @ kernel.diagonal()) / (count * (count - 1))


def _gaussians(x: Tensor, rows: Tensor, bandwidths: Sequence[float]) -> Tensor:
    """Return the sum of Gaussian kernels of all pairs of ``x (N, F)``, ``(N, N)``."""
    x = x - x.mean(dim=0)  # distances stay, and the squares below cancel less
    squares = x.square().sum(dim=1)
    distance = (squares[:, None] + squares - 2 * x @ x.T).clamp_min(0)  # (N, N)
    mean = ((rows @ distance.detach() @ rows) / rows.sum().square()).clamp_min(torch.finfo(x.dtype).tiny)
    kernels = [torch.exp(-distance / (2 * bandwidth * mean)) for bandwidth in bandwidths]
    return torch.stack(kernels).sum(dim=0)


def _covariance(x: Tensor, rows: Tensor | None = None) -> Tensor:
    """Return the unbiased covariance ``(F, F)`` of the rows of ``x (N, F)`` that count."""
    weights = _weights(x, rows)[:, None]  # (N, 1)
    count = weights.sum()
    centred = x - (weights * x).sum(dim=0) / count
    return (weights * centred).T @ centred / (count - 1)


def _weights(x: Tensor, rows: Tensor | None) -> Tensor:
    """Return 1 for each row that counts and 0 for the others; to pick rows would make the host wait for a GPU."""
    return x.new_ones(len(x)) if rows is None else rows.to(x.dtype)


def _wide(x: Tensor) -> Tensor:
    """Return x in float32 at least."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
