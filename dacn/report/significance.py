"""Tests whether the difference between two rows is larger than the variation between seeds."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import ttest_rel

NOTE = (
    "Against the first row: mean difference of target selected over the seeds that both have, two-sided paired t-test "
    "(* p < 0.05, ** p < 0.01), not corrected for the number of rows; rows measured on other test images are not "
    "compared. With fewer than five pairs it misses most real differences and leans on the differences being normally "
    "distributed: read it as a hint."
)


@dataclass(frozen=True)
class Comparison:
    """A row against another.

    Args:
        difference: mean over the pairs, in points.
        pairs: seeds that both have.
        p: of the two-sided paired t-test; None where it cannot be told (one pair, or the same difference in each).
    """

    difference: float
    pairs: int
    p: float | None

    @property
    def mark(self) -> str:
        """Return ``**`` below 0.01, ``*`` below 0.05, else nothing."""
        return "" if self.p is None or self.p >= 0.05 else "**" if self.p < 0.01 else "*"


def compare_paired(values: Mapping[int, float], base: Mapping[int, float]) -> Comparison | None:
    """Return how ``values`` compare with ``base``, seed by seed; None without a common seed.

    Args:
        values: accuracy by seed.
        base: the same of the row to compare with.

    >>> compare_paired({0: 90.0, 1: 92.0}, {1: 91.0, 2: 50.0})
    Comparison(difference=1.0, pairs=1, p=None)
    """
    seeds = sorted(values.keys() & base.keys())
    if not seeds:
        return None
    a, b = (np.array([row[seed] for seed in seeds]) for row in (values, base))
    differences = a - b
    # Equal differences leave no spread to judge them by; accuracies are shares of test images, so equal to rounding.
    spread = len(seeds) > 1 and np.ptp(differences) > 1e-9
    return Comparison(float(differences.mean()), len(seeds), float(ttest_rel(a, b).pvalue) if spread else None)
