"""What unlabelled target images tell of a run: whether there are signs that it worked, and signs that it did not.

None of them proves anything: a network may be sure, balanced and consistent, and wrong. Together they find the failures
that are common: predictions that collapse into few classes, and a target that was never learned from.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

FEW = 0.6
"""Share of the source's effective number of classes below which predictions have collapsed."""
SAME = 2.0
"""Percent of predictions that adaptation changes at least, where it does anything."""
UNUSED = 0.01
"""Share of target images that become pseudo-labels at least, where anything is learned from them."""
FELL = 0.05
"""Share of a score's best value by which it may fall before it is told."""
GRADES = ((0.7, "good"), (0.4, "middling"))
"""From which share of the way from worst to best a sign is called what; below, it is bad."""


@dataclass(frozen=True)
class Sign:
    """One label-free number, on a scale from its worst to its best.

    Args:
        name: what it is.
        value: what was measured.
        worst, best: the ends of its scale.
    """

    name: str
    value: float
    worst: float
    best: float

    @property
    def share(self) -> float:
        """How far the value is from worst to best, 0 to 1."""
        return min(1.0, max(0.0, (self.value - self.worst) / (self.best - self.worst)))

    @property
    def grade(self) -> str:
        """``good``, ``middling`` or ``bad``, by a rule of thumb."""
        return next((word for least, word in GRADES if self.share >= least), "bad")


@dataclass(frozen=True)
class TargetReport:
    """What the selected network makes of unlabelled target images.

    Args:
        images: how many were looked at.
        predicted: percent of them in each class, by name.
        labelled: percent of the source's labels in each class, by name.
        signs: label-free numbers.
        unchanged_since: step of the first evaluation; None where it was late, or the selected network is that one.
        unchanged: percent of the predictions that are the same as then.
        kept: share of these images that would be given a pseudo-label; None where the method gives none.
        warnings: what went wrong, in words.
    """

    images: int
    predicted: dict[str, float]
    labelled: dict[str, float]
    signs: list[Sign]
    unchanged_since: int | None
    unchanged: float | None
    kept: float | None
    warnings: list[str]

    def to_json(self) -> dict[str, Any]:
        """Return the content of summary.json's ``unlabelled``."""
        tree = asdict(self)
        tree.pop("warnings")  # they stand among the run's
        tree["signs"] = {sign.name: {**asdict(sign), "grade": sign.grade} for sign in self.signs}
        return tree


def class_shares(labels: Tensor, classes: int) -> Tensor:
    """Return the share of each class: labels ``(N,)`` to ``(K,)``, which sums to 1."""
    return torch.bincount(labels.cpu(), minlength=classes).double() / len(labels)


def effective_classes(shares: Tensor) -> float:
    """Return how many equally frequent classes are as diverse as these shares ``(K,)``: exp of their entropy.

    >>> effective_classes(torch.tensor([0.5, 0.5, 0.0]))
    2.0
    """
    return round(float(torch.special.entr(shares.double()).sum().exp()), 4)


def signs_of(probabilities: Tensor, views_agree: float | None, scores: dict[str, float]) -> list[Sign]:
    """Return the label-free numbers that have a scale.

    Args:
        probabilities: of target images.
        views_agree: percent of images of which a weak and a strong view are given the same class.
        scores: of the validators, by name.

    Shape: probabilities ``(N, K)``.
    """
    classes = probabilities.shape[1]
    signs = [Sign("confidence_percent", 100 * float(probabilities.amax(1).mean()), 100 / classes, 100.0)]
    if views_agree is not None:
        signs.append(Sign("views_agree_percent", views_agree, 100 / classes, 100.0))
    ends = {
        "mutual_information": (0.0, math.log(classes)),
        "batch_nuclear_norm": (min(len(probabilities), classes) ** -0.5, 1.0),
    }
    signs += [Sign(name, scores[name], *ends[name]) for name in ends if name in scores]
    return [sign for sign in signs if math.isfinite(sign.value)]


def collapse(predicted: Tensor, labelled: Tensor, classes: tuple[str, ...]) -> str | None:
    """Return a warning where predictions ``(K,)`` fall into far fewer classes than the source's labels ``(K,)``."""
    found, there = effective_classes(predicted), effective_classes(labelled)
    if found >= FEW * there:
        return None
    most = int(predicted.argmax())
    used = int((predicted > 0).sum())
    return (
        f"the predictions collapse into few classes: {100 * float(predicted[most]):.0f} % of the target images are "
        f"{classes[most]!r}, and {used} of {len(classes)} classes are predicted at all. A smaller optimizer.lr, norm "
        "cn or acn, or a higher algorithm.threshold may help; dacn doctor looks for causes"
    )


def fallen(name: str, last: float, best: float, step: int, *, selected: bool) -> str | None:
    """Return a warning where a label-free score ended clearly below its best, which it had at ``step``."""
    if not (math.isfinite(last) and math.isfinite(best)) or best - last <= FELL * max(abs(best), 0.1):
        return None
    taken = "that checkpoint is the selected one" if selected else "the last checkpoint is the selected one"
    return f"the label-free score {name} fell from {best:.3g} at step {step:,} to {last:.3g} at the end; {taken}"


def without_effect(kept: float | None, unchanged: float | None, since: int | None) -> str | None:
    """Return a warning where training on the source alone would have given about the same network."""
    if kept is not None and kept < UNUSED:
        return (
            f"only {100 * kept:.1f} % of the target images are given a pseudo-label: little is learned from it, "
            "and algorithm source_only would do as well; lower algorithm.threshold, or train longer"
        )
    if unchanged is not None and since is not None and 100 - unchanged < SAME:
        return (
            f"adaptation changed {100 - unchanged:.1f} % of the target's predictions since step {since:,}, when the "
            "target hardly counted yet: algorithm source_only may do as well; compare with "
            "--vary algorithm=source_only,... by the label-free scores"
        )
    return None
