"""The formulas of the methods, as pure functions. Letters: B source rows, T target rows, K classes."""

import math

import torch
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


def pseudo_label_loss(logits: Tensor, labels: Tensor, keep: Tensor) -> Tensor:
    """Return the cross-entropy of the kept rows to their pseudo-labels, as a mean over ALL rows.

    Shape: logits ``(T, K)``, labels ``(T,)`` int64, keep ``(T,)`` bool; returns ``()``.

    Reference: FixMatch, arXiv 2001.07685, equation 4; AdaMatch, arXiv 2106.04732, section 3.3.
    """
    return (F.cross_entropy(logits, labels, reduction="none") * keep).mean()


def warm_up(progress: float) -> float:
    """Return the target loss's weight: half a cosine from 0 to 1 over the first half of training, then 1.

    Args:
        progress: share of the actual number of steps that is done, 0 to 1.

    Reference: AdaMatch, arXiv 2106.04732, section 3.4.

    >>> [round(warm_up(t), 2) for t in (0, 0.25, 0.5, 1)]
    [0.0, 0.5, 1.0, 1.0]
    """
    return 0.5 - 0.5 * math.cos(math.pi * min(1.0, 2 * progress))


def mutual_information(probabilities: Tensor) -> Tensor:
    """Return ``H(mean p) - mean H(p)`` in nats: high when predictions are sure and spread over the classes.

    Needs no labels, so it may choose a checkpoint.

    Shape: probabilities ``(N, K)``; returns ``()``.

    Reference: Musgrave et al. 2022, arXiv 2208.07360 (the IM validator).

    >>> round(mutual_information(torch.eye(2)).item() / math.log(2), 4)
    1.0
    """
    return _entropy(probabilities.mean(dim=0)) - _entropy(probabilities).mean()


def _entropy(probabilities: Tensor) -> Tensor:
    entropy: Tensor = torch.special.entr(probabilities).sum(dim=-1)
    return entropy
