"""How much each class counts where the target may lack some of them. K classes."""

from torch import Tensor


def class_weights(p_target: Tensor, share: float | Tensor = 1.0) -> Tensor:
    """Return the weight of each class: by how frequent the target's predictions are, as a share of the most frequent.

    A class with half of the most frequent one's share or more weighs 1, so that the classes that are there are treated
    alike however skewed they are; below, twice its share of the most frequent one's. PADA has that share itself.

    Args:
        p_target: the running mean of the target's predictions.
        share: how far to go from weights of 1 (0) to these (1).

    Shape: p_target ``(K,)``, share a number or ``()``; returns ``(K,)``.

    Reference: PADA, arXiv 1808.04205, equation 4, after which it departs.

    >>> import torch
    >>> class_weights(torch.tensor([0.4, 0.4, 0.15, 0.05]))
    tensor([1.0000, 1.0000, 0.7500, 0.2500])
    """
    weights = (2 * p_target / p_target.max()).clamp(max=1)
    return 1 - share * (1 - weights)
