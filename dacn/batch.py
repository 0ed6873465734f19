"""What one training step sees."""

from typing import NamedTuple

from torch import Tensor

SOURCE, TARGET = 0, 1
"""Context of the labelled and of the unlabelled domain when the domain is the context."""


class Views(NamedTuple):
    """Two augmentations of the same images; row i of both shows image i."""

    weak: Tensor  # (B, 3, H, W) float, (pixel - 127.5) / 128
    strong: Tensor  # (B, 3, H, W)


class Batch(NamedTuple):
    """One step's images from both domains; the two sizes B and T may differ."""

    source: Views  # (B, 3, H, W) each
    labels: Tensor  # (B,) int64
    source_context: Tensor  # (B,) int64
    target: Views  # (T, 3, H, W) each; there are no target labels
    target_context: Tensor  # (T,) int64


def micro_batches(batch: Batch, count: int) -> list[Batch]:
    """Return ``count`` equal parts of a batch, row i in part ``i % count``, so that each has rows of every context.

    Shape: B and T divisible by ``count``; T may be 0.
    """

    def views(views: Views, part: int) -> Views:
        return Views(*(view[part::count] for view in views))

    if count == 1:
        return [batch]
    return [
        Batch(
            views(batch.source, part),
            batch.labels[part::count],
            batch.source_context[part::count],
            views(batch.target, part),
            batch.target_context[part::count],
        )
        for part in range(count)
    ]
