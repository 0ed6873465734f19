"""What the distances and signs of an adaptation mean, in words."""

import math
from collections.abc import Mapping
from typing import Any

NEAR = 0.03
"""Nats a channel below which images are of a known context, for all that its tables tell."""
SURE = 0.5
"""Mean confidence, from chance (0) to certainty (1), below which predictions are hardly better than guesses."""


def describe(facts: Mapping[str, Any], classes: int) -> str:
    """Return whether the adaptation was needed and whether it will do, as far as that shows without a label.

    Args:
        facts: what was measured: ``distances`` from known contexts, ``start``, signs ``before`` and ``after``.
        classes: K.
    """
    near = facts["distances"].get(facts["start"], math.inf)
    told = []
    if near < NEAR:
        told.append(
            f"The images are so near the context {facts['start']} ({near:.3f} nats a channel) that nothing is needed: "
            f"--context {facts['start']} serves them as well."
        )
    chance = 1 / classes
    sure = (facts["after"]["confidence"] - chance) / (1 - chance)
    if sure < SURE:
        told.append(
            f"The network is not sure of these images, whatever was adapted (mean confidence "
            f"{facts['after']['confidence']:.0%}): so far away, other statistics will not do; label some and train."
        )
    return " ".join(told) or "Needed, and as far as shows without labels it will do."
