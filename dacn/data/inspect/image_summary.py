"""A domain's images in figures: statistics of their channels, small pooled versions, digests of their bytes."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from dacn.data.read.images import Images, batches

SIDE = 16
"""Pixels of both sides of a pooled image."""
MOST = 20_000
"""How many pooled images are kept of a larger domain, evenly spaced."""
_BATCH = 256


@dataclass(frozen=True)
class ImageSummary:
    """What one pass over the images shows.

    Args:
        digests: of the bytes of each image; equal for equal images.
        rows: of the pooled images, ``(n,)``: all of them, or `MOST`.
        pooled: uint8 ``(n, 3, SIDE, SIDE)``, each pixel the mean of a block.
        mean, std: of each channel over all pixels, 0 to 255.
        grey: share of the images whose channels are equal.
    """

    digests: list[bytes]
    rows: NDArray[np.int64]
    pooled: NDArray[np.uint8]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    grey: float


def summarize_images(images: Images) -> ImageSummary:
    """Look at every image once.

    >>> summarize_images(torch.full((2, 3, 16, 16), 7, dtype=torch.uint8)).mean
    (7.0, 7.0, 7.0)
    """
    digests: list[bytes] = []
    pooled = []
    kept = np.unique(np.linspace(0, len(images) - 1, min(len(images), MOST)).astype(np.int64))
    total, squares = torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    grey = 0
    for rows in batches(images, _BATCH):
        values = rows.cpu().float()  # (n, 3, H, W)
        own = torch.from_numpy(kept[(kept >= len(digests)) & (kept < len(digests) + len(rows))] - len(digests))
        pooled.append(F.adaptive_avg_pool2d(values[own], SIDE).round().byte().numpy())
        digests += [blake2b(image.numpy().tobytes(), digest_size=16).digest() for image in rows.cpu()]
        total += values.mean((2, 3)).sum(0).double()
        squares += values.square().mean((2, 3)).sum(0).double()
        grey += int((rows == rows[:, :1]).flatten(1).all(1).sum())
    mean = total / len(images)
    std = (squares / len(images) - mean.square()).clamp(min=0).sqrt()
    return ImageSummary(digests, kept, np.concatenate(pooled), _floats(mean), _floats(std), grey / len(images))


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(round(float(value), 2) for value in values)
