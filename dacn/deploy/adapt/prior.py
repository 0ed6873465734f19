"""How far a table's row follows the images that were seen: a prior that counts in images.

Letters: N images, G groups of them by predicted class, C channels.
"""

from torch import Tensor

STRENGTH = 16.0
"""Images that the row's start stands for where it cannot be estimated: BN-alpha's N (arXiv 2006.10963)."""
FEWEST = 10
"""Images from which on the strength is estimated."""
RANGE = (1.0, 256.0)
"""Within which an estimated strength stays."""
SHARES = (0.15, 0.5)
"""Of the variance between images' means, the part that lies between their classes: before the first norm layer, and
before the last. Measured on CIFAR-10 in six layers: 0.16, 0.14, 0.18, 0.19, 0.27, 0.50."""


def class_share(depth: float) -> float:
    """Return `SHARES` at a depth between the first norm layer, 0, and the last, 1: late layers know classes.

    >>> class_share(0.0), class_share(1.0)
    (0.15, 0.5)
    """
    first, last = SHARES
    return first + (last - first) * depth**3


def group_weights(counts: Tensor, groups: int, between: float) -> tuple[Tensor, float]:
    """Return how much the mean of each group counts in the mean of all, and how many independent images that is worth.

    Images of one class are alike: of the variance between images, a part b lies between classes. The best weight of a
    group is then ``n / (1 + b (n - 1))``, and the mean's variance, in units of one image's, is
    ``b (sum w^2 - 1 / G) + (1 - b) sum w^2 / n``: a thousand images of one class tell little of the domain, and as many
    of each class tell as much as drawn at random.

    Args:
        counts: images seen of each group.
        groups: how many there are, seen or not.
        between: b, see `class_share`.

    Shape: counts ``(G,)``; returns ``(G,)``, which sums to one.

    >>> import torch
    >>> group_weights(torch.tensor([1000.0, 0.0]), 2, 0.5)[1]
    3.992...
    >>> group_weights(torch.tensor([50.0, 50.0]), 2, 0.5)[1]
    100.0
    """
    total = float(counts.sum())
    weights = counts / (between * counts + (1 - between))
    weights = weights / weights.sum()
    of_classes = between * (float(weights.square().sum()) - 1 / groups)
    of_images = (1 - between) * float((weights.square() / counts.clamp_min(1)).sum())
    return weights, 1 / max(1 / total, of_classes + of_images)


def strength_of(spread: float, apart: float, images: int) -> float:
    """Return how many images the start is worth: the spread between images over that between domains.

    Empirical Bayes, as James and Stein shrink: where the new domain is far from the start in units of how much single
    images differ, few images outweigh the start; where they differ by no more than chance, many are needed.

    Args:
        spread, apart: see `dacn.deploy.adapt.distances.spread_and_shift`.
        images: that both were taken from; of fewer than `FEWEST` nothing is estimated.

    >>> strength_of(0.2, 0.1, 100)
    2.0
    >>> strength_of(0.2, 0.1, 3)
    16.0
    """
    if images < FEWEST:
        return STRENGTH
    low, high = RANGE
    return min(max(spread / apart, low), high) if apart > 0 else high
