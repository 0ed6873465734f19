"""Sums over many positions and exponentials of them, kept out of half precision."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def without_autocast(x: Tensor) -> AbstractContextManager[object]:
    """Return the context in which matrix products of statistics stay as precise as their inputs.

    Autocast would take the batch means of a training in bf16 with 8 bits.
    """
    if torch.amp.is_autocast_available(x.device.type) and torch.is_autocast_enabled(x.device.type):  # none on meta
        return torch.autocast(x.device.type, enabled=False)
    return nullcontext()
