"""A forward pass in training mode that leaves no trace in the running statistics."""

from typing import Any

from torch import nn
from torch.func import functional_call

from dacn.nn import without_refits


def call_keeping_statistics(module: nn.Module, *inputs: Any) -> Any:
    """Return ``module(*inputs)``, computed on copies of its buffers, so that its own stay as they are.

    >>> import torch
    >>> layer = nn.BatchNorm1d(1)
    >>> _ = call_keeping_statistics(layer, torch.tensor([[1.0], [3.0]]))
    >>> layer.running_mean
    tensor([0.])
    """
    copies = {name: buffer.clone() for name, buffer in module.named_buffers()}
    with without_refits(module):  # the copies are thrown away
        return functional_call(module, copies, inputs)
