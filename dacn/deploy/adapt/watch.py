"""Label-free signs that adaptation goes wrong, and when to stop."""

from typing import NamedTuple

import torch
from torch import Tensor

FEWEST_CLASSES = 0.5
"""Of the effective number of classes that the frozen network gives the same images: fewer is a collapse."""
FEWEST_IMAGES = 50
"""Below which class counts say nothing."""


class Signs(NamedTuple):
    """What predictions look like without a label."""

    entropy: float  # mean of the predictions, in nats
    confidence: float  # mean probability of the predicted class
    classes: float  # effective number of predicted classes: exp of the entropy of their counts
    agreement: float  # share of images to which the frozen network gives the same class


def signs_of(probabilities: Tensor, frozen: Tensor) -> Signs:
    """Return the signs of predictions. Shape: both ``(N, K)``, the frozen network's of the same images.

    >>> signs_of(torch.eye(4), torch.eye(4))
    Signs(entropy=0.0, confidence=1.0, classes=4.0, agreement=1.0)
    """
    labels, before = probabilities.argmax(1), frozen.argmax(1)
    entropy = float(torch.special.entr(probabilities).sum(1).mean())
    agreement = float((labels == before).float().mean())
    return Signs(entropy, float(probabilities.amax(1).mean()), effective_classes(labels), agreement)


def effective_classes(labels: Tensor) -> float:
    """Return the exponential of the entropy of class counts: K where all are as frequent. Shape: ``(N,)`` int64.

    >>> effective_classes(torch.tensor([0, 0, 0, 0]))
    1.0
    """
    shares = torch.bincount(labels).double() / len(labels)
    return float(torch.special.entr(shares).sum().exp())


def collapse(probabilities: Tensor, frozen: Tensor) -> str | None:
    """Return in words why these predictions are a collapse; None where they are not.

    Predictions that are not finite always are. Otherwise the classes in use are counted: a method that minimizes
    entropy fails by giving every image the same few. The images may truly be of few classes, so that the frozen
    network's predictions of the same images are the measure.

    Shape: both ``(N, K)``.
    """
    if not bool(probabilities.isfinite().all()):
        return "predictions are no longer finite"
    if len(probabilities) < FEWEST_IMAGES:
        return None
    now, then = effective_classes(probabilities.argmax(1)), effective_classes(frozen.argmax(1))
    if now < FEWEST_CLASSES * then:
        return f"{now:.1f} classes in use where the frozen network used {then:.1f}"
    return None
