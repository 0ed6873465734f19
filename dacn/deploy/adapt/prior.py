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
SHARE = 0.5
"""Of the variance between images, the part that lies between their classes, as far as nobody has told."""


def group_weights(counts: Tensor, groups: int) -> tuple[Tensor, float]:
    """Return how much the mean of each group counts in the mean of all, and how many independent images that is worth.

    Images of one class are alike: of the variance between images, `SHARE` lies between classes. The best weight of a
    group is then ``n / (1 + SHARE (n - 1))``, and the mean's variance, in units of one image's, is
    ``SHARE (sum w^2 - 1 / G) + (1 - SHARE) sum w^2 / n``: a thousand images of one class tell little of the domain,
    and as many of each class tell as much as drawn at random.

    Args:
        counts: images seen of each group.
        groups: how many there are, seen or not.

    Shape: counts ``(G,)``; returns ``(G,)``, which sums to one.

    >>> group_weights(torch.tensor([1000.0, 0.0]), 2)[1]
    3.992...
    >>> group_weights(torch.tensor([50.0, 50.0]), 2)[1]
    100.0
    """
    total = float(counts.sum())
    weights = counts / (SHARE * counts + (1 - SHARE))
    weights = weights / weights.sum()
    between = SHARE * (float(weights.square().sum()) - 1 / groups)
    within = (1 - SHARE) * float((weights.square() / counts.clamp_min(1)).sum())
    return weights, 1 / max(1 / total, between + within)


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
