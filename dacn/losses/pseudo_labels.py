"""Learning from the network's own predictions. Letters: B source rows, T target rows, K classes."""

import torch.nn.functional as F
from torch import Tensor


def interpolate_logits(joint: Tensor, alone: Tensor, uniform: Tensor) -> Tensor:
    """Return a random point between two logits of the same images, each element on its own.

    Args:
        joint: logits computed with both domains in the batch.
        alone: logits computed with the source alone.
        uniform: draws from U(0, 1).

    Shape: all ``(B, K)``; returns ``(B, K)``.

    Reference: AdaMatch, arXiv 2106.04732, section 3.1.
    """
    return joint + uniform * (alone - joint)


def align_distribution(probabilities: Tensor, p_source: Tensor, p_target: Tensor) -> Tensor:
    """Return target predictions rescaled, class by class, towards the source's class marginal.

    ``q ~ p * (1e-6 + p_source) / (1e-6 + p_target)``, each row normalized to sum to one. Detached.

    Shape: probabilities ``(T, K)``, both marginals ``(K,)``; returns ``(T, K)``.

    Reference: AdaMatch, arXiv 2106.04732, section 3.2.

    >>> import torch
    >>> align_distribution(torch.tensor([[0.5, 0.5]]), torch.tensor([0.5, 0.5]), torch.tensor([0.8, 0.2]))
    tensor([[0.2000, 0.8000]])
    """
    ratio = (1e-6 + p_source) / (1e-6 + p_target)  # (K,)
    q = (probabilities * ratio).detach()
    return q / q.sum(dim=1, keepdim=True)


def relative_threshold(source_probabilities: Tensor, threshold: float) -> Tensor:
    """Return ``threshold`` times the mean confidence on the weak source views, a detached scalar.

    Shape: source_probabilities ``(B, K)``; returns ``()``.

    Reference: AdaMatch, arXiv 2106.04732, section 3.3.
    """
    return threshold * source_probabilities.detach().amax(dim=1).mean()


def confident(probabilities: Tensor, threshold: float | Tensor) -> tuple[Tensor, Tensor]:
    """Return the most probable class of each row, and whether its probability reaches ``threshold``.

    Shape: probabilities ``(T, K)``, threshold a number or ``()``; returns int64 ``(T,)`` and bool ``(T,)``.

    Reference: FixMatch, arXiv 2001.07685, equation 4.

    >>> import torch
    >>> confident(torch.tensor([[0.9, 0.1], [0.4, 0.6]]), 0.8)
    (tensor([0, 1]), tensor([ True, False]))
    """
    confidence, labels = probabilities.max(dim=1)
    return labels, confidence >= threshold


def pseudo_label_loss(logits: Tensor, labels: Tensor, keep: Tensor) -> Tensor:
    """Return the cross-entropy of the kept rows to their pseudo-labels, as a mean over ALL rows.

    Shape: logits ``(T, K)``, labels ``(T,)`` int64, keep ``(T,)`` bool; returns ``()``.

    Reference: FixMatch, arXiv 2001.07685, equation 4; AdaMatch, arXiv 2106.04732, section 3.3.
    """
    return (F.cross_entropy(logits, labels, reduction="none") * keep).mean()
