"""One part of a pair in figures."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dacn.data.classes.classes import class_names
from dacn.data.domain import Domain
from dacn.data.inspect.image_summary import ImageSummary
from dacn.data.read.passed_over import PassedOver
from dacn.errors import DataError


@dataclass(frozen=True)
class PartReport:
    """What one part of a pair holds.

    Args:
        name: the domain's.
        images: how many.
        labels: what becomes of them, in words.
        classes: images of each class, by name; None without labels.
        original_sizes: smallest, median and largest ``(width, height)`` of the files; None where they are no files.
        size: ``(width, height)`` as training sees them.
        mean, std: of red, green and blue, 0 to 255.
        grey: share of the images that are grey.
        repeated: images that stand in this part before, byte for byte.
        in_memory: held there, or decoded while training.
        passed_over: files beside the images that are not read, by cause, suffix and folder.
    """

    name: str
    images: int
    labels: str
    classes: dict[str, int] | None
    original_sizes: tuple[tuple[int, int], ...] | None
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    grey: float
    repeated: int
    in_memory: bool
    passed_over: tuple[PassedOver, ...]


def describe(
    key: str, part: Domain, summary: ImageSummary, sizes: list[tuple[int, int]] | None, *, oracle: bool
) -> PartReport:
    """Describe a part.

    Args:
        key: its name in the recipe.
        part: with its labels, if it has any.
        summary: of its images.
        sizes: the original ones of some of its files.
        oracle: whether the target's labels are trained on.
    """
    sizes = sorted(sizes or [], key=lambda size: size[0] * size[1])
    return PartReport(
        name=part.name,
        images=len(part),
        labels=_use_of_labels(key, part, oracle),
        classes=_counts(part),
        original_sizes=(sizes[0], sizes[len(sizes) // 2], sizes[-1]) if sizes else None,
        size=(part.images.shape[3], part.images.shape[2]),
        mean=summary.mean,
        std=summary.std,
        grey=round(summary.grey, 4),
        repeated=len(summary.digests) - len({*summary.digests}),
        in_memory=isinstance(part.images, Tensor),
        passed_over=part.passed_over,
    )


def _counts(part: Domain) -> dict[str, int] | None:
    if part.labels is None:
        return None
    try:
        names = class_names(part)
    except DataError:  # labels beyond the names: train says so
        return None
    counts = torch.bincount(part.labels.cpu(), minlength=len(names)).tolist()
    return dict(zip(names, counts, strict=True))


def _use_of_labels(key: str, part: Domain, oracle: bool) -> str:
    if part.labels is None:
        return "none"
    if key.endswith("_test") or "_test[" in key:
        return "only to report"
    if key == "target":
        return "trained on: oracle" if oracle else "dropped"
    return "some trained on" if key == "dataset" else "trained on"
