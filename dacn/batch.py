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
