"""How sure and how diverse predictions are. Letters: N rows, K classes."""

import torch
from torch import Tensor


def mutual_information(probabilities: Tensor) -> Tensor:
    """Return ``H(mean p) - mean H(p)`` in nats: high when predictions are sure and spread over the classes.

    Needs no labels, so it may choose a checkpoint.

    Shape: probabilities ``(N, K)``; returns ``()``.

    Reference: Musgrave et al. 2022, arXiv 2208.07360 (the IM validator).

    >>> import math
    >>> round(mutual_information(torch.eye(2)).item() / math.log(2), 4)
    1.0
    """
    return _entropy(probabilities.mean(dim=0)) - _entropy(probabilities).mean()


def _entropy(probabilities: Tensor) -> Tensor:
    entropy: Tensor = torch.special.entr(probabilities).sum(dim=-1)
    return entropy
