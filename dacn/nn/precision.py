"""Sums over many positions and exponentials of them, kept out of half precision."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

KINDS = ("cpu", "cuda", "xpu", "mps", "hpu", "mtia", "xla")
# Asked once, since torch's compiler cannot trace the question; the meta device has no autocast.
HAVE_AUTOCAST = tuple(kind for kind in KINDS if torch.amp.is_autocast_available(kind))


def without_autocast(x: Tensor) -> AbstractContextManager[object]:
    """Return the context in which matrix products of statistics stay as precise as their inputs.

    Autocast would take the batch means of a training in bf16 with 8 bits.
    """
    kind = x.device.type
    if kind in HAVE_AUTOCAST and torch.is_autocast_enabled(kind):
        return torch.autocast(kind, enabled=False)
    return nullcontext()


def at_least_float32(*tensors: Tensor) -> torch.dtype:
    """Return the type to compute in: the most precise of the tensors', and never half precision.

    >>> at_least_float32(torch.zeros(1, dtype=torch.bfloat16), torch.zeros(1, dtype=torch.float16))
    torch.float32
    """
    dtype = torch.float32
    for each in {tensor.dtype for tensor in tensors}:
        if each is not dtype:
            dtype = torch.promote_types(dtype, each)
    return dtype


def cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the tensor in a type, itself where it has it already.

    `Tensor.to` does so too, but where the output of an autograd function is what it was given, torch 2.11 compiles a
    backward pass that sees zeros.
    """
    return tensor if tensor.dtype == dtype else tensor.to(dtype)


def in_dtype(dtype: torch.dtype, *tensors: Tensor) -> list[Tensor]:
    """Return the tensors in one type."""
    return [cast(tensor, dtype) for tensor in tensors]
