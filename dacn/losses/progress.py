"""What follows from the share of training that is done."""

import math

import torch
from torch import Tensor


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
