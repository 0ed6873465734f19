"""What a student learns from the average of its own weights. T target rows, K classes."""

import torch
from torch import Tensor


def consistency(student: Tensor, teacher: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Return the squared difference of two predictions, where the teacher is sure, and where that is.

    The mean over classes, and over ALL rows.

    Shape: student and teacher probabilities ``(T, K)``; returns ``()`` and bool ``(T,)``.

    Reference: Self-ensembling, arXiv 1706.05208, section 3.2.

    >>> consistency(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), 0.9)
    (tensor(1.), tensor([True]))
    """
    keep = teacher.detach().amax(dim=1) > threshold
    return ((student - teacher.detach()).square().mean(dim=1) * keep).mean(), keep


def class_balance(probabilities: Tensor) -> Tensor:
    """Return the binary cross-entropy of the batch's mean prediction to the uniform one, summed over classes.

    Shape: probabilities ``(T, K)``; returns ``()``.

    Reference: Self-ensembling, arXiv 1706.05208, section 3.4.
    """
    mean = probabilities.mean(dim=0)  # (K,)
    mean = mean.to(torch.promote_types(mean.dtype, torch.float32)).clamp(1e-6, 1 - 1e-6)
    uniform = 1 / len(mean)
    return -(uniform * mean.log() + (1 - uniform) * (1 - mean).log()).sum()
