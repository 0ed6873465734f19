"""How far apart two domains are, measured before anything is trained."""

import numpy as np
from numpy.typing import NDArray

from dacn.data.inspect.image_summary import SIDE, ImageSummary

MOST = 2000
"""How many images of each domain the proxy A-distance is taken over."""
_FOLDS = 5


def proxy_a_distance(first: ImageSummary, second: ImageSummary, seed: int = 0) -> float | None:
    """Return ``2 (1 - 2 err)`` of a linear classifier that is to tell the two domains apart.

    0: it cannot, 2: it always can. The classifier is ridge regression on each channel's standardised 8x8 pooled pixels,
    its error that of five-fold cross-validation on as many images of each domain.

    Args:
        first, second: the domains.
        seed: of the images and the folds.

    Returns:
        the distance, at least 0; None where a domain has fewer images than there are folds.

    Reference: Ben-David et al. 2007, Analysis of representations for domain adaptation.
    """
    from sklearn.linear_model import RidgeClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    random = np.random.default_rng(seed)
    count = min(len(first.pooled), len(second.pooled), MOST)
    if count < _FOLDS:
        return None
    chosen = [random.permutation(len(domain.pooled))[:count] for domain in (first, second)]
    pooled = np.concatenate([first.pooled[chosen[0]], second.pooled[chosen[1]]])  # (n, 3, SIDE, SIDE)
    pixels = pooled.reshape(2 * count, 3, SIDE // 2, 2, SIDE // 2, 2).mean((3, 5)).reshape(2 * count, -1)
    domain = np.repeat([0, 1], count)
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    right = cross_val_score(make_pipeline(StandardScaler(), RidgeClassifier()), pixels, domain, cv=folds).mean()
    return max(0.0, float(2 * (1 - 2 * (1 - right))))


def label_distance(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    """Return half the summed differences of two domains' class shares: 0 for equal shares, 1 for no class in common.

    >>> label_distance(np.array([10, 10]), np.array([30, 10]))
    0.25

    Shape: images of each class ``(K,)``.
    """
    return float(0.5 * np.abs(first / first.sum() - second / second.sum()).sum())
