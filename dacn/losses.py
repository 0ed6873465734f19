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


def confident(probabilities: Tensor, threshold: float | Tensor) -> tuple[Tensor, Tensor]:
    """Return the most probable class of each row, and whether its probability reaches ``threshold``.

    Shape: probabilities ``(T, K)``, threshold a number or ``()``; returns int64 ``(T,)`` and bool ``(T,)``.

    Reference: FixMatch, arXiv 2001.07685, equation 4.

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


def warm_up(progress: float | Tensor, end: float = 1.0) -> Tensor:
    """Return the target loss's weight: half a cosine from 0 to 1 over the first half of training, then one to ``end``.

    Args:
        progress: share of the actual number of steps that is done, 0 to 1.
        end: the weight at the end; at 1 it stays where it is in the middle.

    Shape: progress a number or ``()``; returns ``()`` float64 on its device.

    Reference: AdaMatch, arXiv 2106.04732, section 3.4; ``end`` as in the authors' code.

    >>> [round(warm_up(t).item(), 2) for t in (0, 0.25, 0.5, 1)]
    [0.0, 0.5, 1.0, 1.0]
    >>> [round(warm_up(t, end=0.2).item(), 2) for t in (0.25, 0.5, 0.75, 1)]
    [0.5, 1.0, 0.6, 0.2]
    """
    halves = 2 * _float64(progress)  # of training
    first = 0.5 - 0.5 * torch.cos(math.pi * halves.clamp(max=1))
    second = 0.5 - 0.5 * torch.cos(math.pi * (halves - 1).clamp(min=0))
    return first + (end - 1) * second


def reversal_strength(progress: float | Tensor, alpha: float = 10.0) -> Tensor:
    """Return lambda, which rises from 0 towards 1: ``2 / (1 + exp(-alpha * progress)) - 1``.

    Args:
        progress: share of the actual number of steps that is done, 0 to 1.
        alpha: how fast it rises.

    Shape: progress a number or ``()``; returns ``()`` float64 on its device.

    Reference: DANN, arXiv 1505.07818, section 5.2.

    >>> [round(reversal_strength(t).item(), 2) for t in (0, 0.1, 0.5, 1)]
    [0.0, 0.46, 0.99, 1.0]
    """
    return 2 / (1 + torch.exp(-alpha * _float64(progress))) - 1


def _float64(progress: float | Tensor) -> Tensor:
    """Return the share of training done as a scalar of double precision, in which the formulas are exact."""
    return torch.as_tensor(progress, dtype=torch.float64)


def domain_loss(source_logits: Tensor, target_logits: Tensor, of_source: Tensor | None = None) -> Tensor:
    """Return the binary cross-entropy of "this row is of the target", each domain's mean weighing one half.

    Args:
        source_logits, target_logits: what the discriminator says.
        of_source: which rows of the former count; None: all.

    Shape: source_logits ``(B,)``, target_logits ``(T,)``, of_source ``(B,)`` bool; returns ``()``.

    Reference: DANN, arXiv 1505.07818, equation 9.

    >>> round(domain_loss(torch.zeros(2), torch.zeros(6)).item() / math.log(2), 4)
    1.0
    """
    zeros, ones = torch.zeros_like(source_logits), torch.ones_like(target_logits)
    source = F.binary_cross_entropy_with_logits(source_logits, zeros, reduction="none")  # (B,)
    return 0.5 * (_mean(source, of_source) + F.binary_cross_entropy_with_logits(target_logits, ones))


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


def _mean(values: Tensor, rows: Tensor | None) -> Tensor:
    """Return the mean over some rows; to pick them would make the host wait for a GPU."""
    return values.mean() if rows is None else (values * rows).sum() / rows.sum()


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
