"""What the distances and signs of an adaptation mean, in words."""

import math
from collections.abc import Mapping
from typing import Any

NEAR = 0.003
"""Nats a channel below which images are of a known context. Clean CIFAR-10 test images lie 0.002 from their network's
tables, those of fifteen corruptions of severity 5 from 0.005 (JPEG) to 0.59 (contrast)."""
FAR = 1.0
"""Nats a channel above which nobody has seen statistics alone do. Below it they may fail too: see docs/adapt.md."""
FEWEST = 30
"""Images below which distances are mostly chance."""


def describe(facts: Mapping[str, Any]) -> str:
    """Return whether the adaptation was needed and whether it will do, as far as that shows without a label.

    Args:
        facts: what was measured: ``distances`` from known contexts, ``start``, ``images``.
    """
    distance = facts["distances"].get(facts["start"], math.nan)
    if math.isnan(distance):
        return "How far the images are from known contexts does not show: the network keeps no statistics of them."
    if facts["images"] < FEWEST:
        return f"{facts['images']} images are too few to tell by their distance whether this was needed or will do."
    if distance < NEAR:
        return (
            f"So near the context {facts['start']} that nothing was needed: --context {facts['start']} serves these "
            "images as well."
        )
    if distance > FAR:
        return (
            "So far from every known context that statistics alone will hardly do, however sure the network looks: "
            "label some of these images and test, or train with them as the target."
        )
    return "Needed, and within what statistics have been seen to mend."
