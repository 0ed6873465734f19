"""What one training step sees."""

from typing import NamedTuple

import torch
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


def tensors_of(batch: Batch) -> list[Tensor]:
    """Return the seven tensors of a batch, in order."""
    return [*batch.source, batch.labels, batch.source_context, *batch.target, batch.target_context]


def copy_of(batch: Batch) -> Batch:
    """Return a batch of as many images in memory of its own."""
    weak, strong, labels, context, target_weak, target_strong, target_context = map(torch.clone, tensors_of(batch))
    return Batch(Views(weak, strong), labels, context, Views(target_weak, target_strong), target_context)


def micro_batches(batch: Batch, count: int) -> list[Batch]:
    """Return ``count`` equal parts of a batch, row i in part ``i % count``, so that each has rows of every context.

    Shape: B and T divisible by ``count``; T may be 0.
    """
    if count == 1:
        return [batch]
    return [_rows(batch, slice(part, None, count), slice(part, None, count)) for part in range(count)]


def consecutive_batches(batch: Batch, count: int) -> list[Batch]:
    """Return ``count`` equal parts of a batch, each of rows that follow each other.

    Shape: B and T divisible by ``count``; T may be 0.
    """
    sources, targets = len(batch.labels) // count, len(batch.target_context) // count
    return [
        _rows(
            batch,
            slice(part * sources, (part + 1) * sources),
            slice(part * targets, (part + 1) * targets),
        )
        for part in range(count)
    ]


def _rows(batch: Batch, source: slice, target: slice) -> Batch:
    return Batch(
        Views(*(view[source] for view in batch.source)),
        batch.labels[source],
        batch.source_context[source],
        Views(*(view[target] for view in batch.target)),
        batch.target_context[target],
    )
