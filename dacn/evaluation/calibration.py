"""Calibration: whether a network's confidence equals its accuracy."""

from typing import NamedTuple

import torch
from torch import Tensor

BINS = 15


class Reliability(NamedTuple):
    """Predictions by their confidence, in ``BINS`` bins of equal width."""

    images: Tensor  # (BINS,) how many are in each bin
    confidence: Tensor  # (BINS,) mean confidence of the predictions, NaN in an empty bin
    accuracy: Tensor  # (BINS,) share of them that is right, NaN in an empty bin

    @property
    def error(self) -> float:
        """The expected calibration error, 0 to 1: the mean of ``|accuracy - confidence|`` over the predictions."""
        gap = (self.accuracy - self.confidence).abs().nan_to_num()
        return float((self.images * gap).sum() / self.images.sum())


def reliability(probabilities: Tensor, labels: Tensor) -> Reliability:
    """Sort predictions into bins of confidence, bin i holding those in ``(i / BINS, (i + 1) / BINS]``.

    Args:
        probabilities: class probabilities.
        labels: true classes.

    Shape: probabilities ``(N, K)``, labels ``(N,)``.

    Reference: Guo et al. 2017, arXiv 1706.04599, equations 2 and 3.
    """
    confidence, predicted = probabilities.double().cpu().max(dim=1)  # (N,) each
    right = (predicted == labels.cpu()).double()
    bins = (confidence * BINS).ceil().long().clamp(1, BINS) - 1
    count = torch.bincount(bins, minlength=BINS).double()
    means = (torch.bincount(bins, values, minlength=BINS) / count for values in (confidence, right))
    return Reliability(count, *means)
