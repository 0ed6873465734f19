"""Forward passes in training mode that leave no trace in the running statistics."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from dacn.nn import without_refits


@contextmanager
def keeping_statistics(module: nn.Module) -> Iterator[None]:
    """Within this context, have training forwards of ``module`` leave its buffers as they are, to the bit.

    BatchNorm is told not to track what it sees, which costs nothing. Every other layer with buffers, such as those with
    statistics for each context, works on copies, and the originals come back afterwards, whatever happened: gradients
    may still be taken through them. A compiled network compiles once more for this, not at every step.

    >>> import torch
    >>> layer = nn.BatchNorm1d(1)
    >>> with keeping_statistics(layer):
    ...     layer(torch.tensor([[1.0], [3.0]])).flatten()
    tensor([-1.0000,  1.0000], grad_fn=<ViewBackward0>)
    >>> layer.running_mean
    tensor([0.])
    """
    layers = list(module.modules())
    tracking = [layer for layer in layers if isinstance(layer, _BatchNorm) and layer.track_running_stats]
    others = [layer for layer in layers if layer._buffers and not isinstance(layer, _BatchNorm)]
    originals = [dict(layer._buffers) for layer in others]
    for layer, buffers in zip(others, originals, strict=True):
        layer._buffers.update({name: None if buffer is None else buffer.clone() for name, buffer in buffers.items()})
    for layer in tracking:
        layer.track_running_stats = False
    try:
        with without_refits(module):  # the copies are thrown away
            yield
    finally:
        for layer in tracking:
            layer.track_running_stats = True
        for layer, buffers in zip(others, originals, strict=True):
            layer._buffers.update(buffers)


def call_keeping_statistics(module: nn.Module, *inputs: Any) -> Any:
    """Return ``module(*inputs)``, after which its buffers are as they were."""
    with keeping_statistics(module):
        return module(*inputs)
