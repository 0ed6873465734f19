"""A forward pass in training mode that leaves no trace in the running statistics."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def kept_statistics(model: nn.Module) -> Iterator[None]:
    """Put every buffer of ``model`` back as it was when the block ends.

    >>> layer = nn.BatchNorm1d(1)
    >>> with kept_statistics(layer):
    ...     _ = layer(torch.tensor([[1.0], [3.0]]))
    >>> layer.running_mean
    tensor([0.])
    """
    before = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)
