"""Learning against a discriminator, or a second head. Letters: B source rows, T target rows."""

import torch
import torch.nn.functional as F
from torch import Tensor


def domain_loss(
    source_logits: Tensor,
    target_logits: Tensor,
    of_source: Tensor | None = None,
    source_weights: Tensor | None = None,
    target_weights: Tensor | None = None,
) -> Tensor:
    """Return the binary cross-entropy of "this row is of the target", each domain's mean weighing one half.

    Args:
        source_logits, target_logits: what the discriminator says.
        of_source: which rows of the former count; None: all.
        source_weights, target_weights: how much each row counts within its domain; None: all the same.

    Shape: source_logits ``(B,)``, target_logits ``(T,)``, of_source ``(B,)`` bool, weights ``(B,)`` and ``(T,)``;
    returns ``()``.

    Reference: DANN, arXiv 1505.07818, equation 9; weights: CDAN, arXiv 1705.10667, equation 8.

    >>> import math
    >>> round(domain_loss(torch.zeros(2), torch.zeros(6)).item() / math.log(2), 4)
    1.0
    """
    zeros, ones = torch.zeros_like(source_logits), torch.ones_like(target_logits)
    source = F.binary_cross_entropy_with_logits(source_logits, zeros, reduction="none")  # (B,)
    target = F.binary_cross_entropy_with_logits(target_logits, ones, reduction="none")  # (T,)
    if source_weights is None:
        counting = of_source
    else:
        counting = source_weights if of_source is None else source_weights * of_source
    return 0.5 * (_mean(source, counting) + _mean(target, target_weights))


def discriminator_accuracy(source_logits: Tensor, target_logits: Tensor, of_source: Tensor | None = None) -> Tensor:
    """Return the percentage of rows on their domain's side of 0, each domain's share weighing one half.

    Whatever the two batch sizes are, telling nothing apart gives 50.

    Args:
        source_logits, target_logits, of_source: see `domain_loss`.

    Shape: source_logits ``(B,)``, target_logits ``(T,)``, of_source ``(B,)`` bool; returns ``()``.

    >>> discriminator_accuracy(torch.tensor([-2.0, 1.0]), torch.tensor([3.0]))
    tensor(75.)
    """
    return 50 * (_mean((source_logits <= 0).float(), of_source) + (target_logits > 0).float().mean())


def classifier_discrepancy(one: Tensor, other: Tensor) -> Tensor:
    """Return the mean absolute difference of two heads' predictions, over rows and classes.

    Shape: both probabilities ``(T, K)``; returns ``()``.

    Reference: MCD, arXiv 1712.02560, equation 1.

    >>> classifier_discrepancy(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]))
    tensor(1.)
    """
    return (one - other).abs().mean()


def _mean(values: Tensor, rows: Tensor | None) -> Tensor:
    """Return the mean over some rows, or their weighted mean; to pick rows would make the host wait for a GPU."""
    return values.mean() if rows is None else (values * rows).sum() / rows.sum()
