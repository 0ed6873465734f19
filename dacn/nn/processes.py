"""What the processes that train one network together know of each other; with one process, all of it is trivial.

Every process holds an equal share of each batch: of the whole batch, row i belongs to process ``i % count()``.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def count() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return which of them this is, from 0; the first one writes files and prints."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def is_first() -> bool:
    """Whether this is the process that writes files and prints."""
    return rank() == 0


def own(rows: Tensor, dim: int = 0) -> Tensor:
    """Return this process's share of the whole batch's rows.

    >>> own(torch.arange(4))
    tensor([0, 1, 2, 3])
    """
    if count() == 1:
        return rows
    share = torch.arange(rows.shape[dim], device=rows.device)[rank() :: count()]  # may be none, of few rows
    return rows.index_select(dim, share)


def total(x: Tensor) -> Tensor:
    """Return the sum of ``x`` over the processes; the gradient of every process's loss comes back to each of them.

    Shape: any; returns the shape of x.
    """
    if count() == 1:
        return x
    summed: Tensor = _Total.apply(x)
    return summed


def mean(x: Tensor) -> Tensor:
    """Return the mean of ``x`` over the processes, which is that over the whole batch where x is one over a share."""
    return total(x) / count() if count() > 1 else x


def any_of(flag: int) -> int:
    """Return the greatest of the processes' numbers, so that all of them do what one is asked to."""
    if count() == 1:
        return flag
    number = torch.tensor(flag)
    dist.all_reduce(number, op=dist.ReduceOp.MAX)
    return int(number)


def copy_from_first(x: Tensor) -> None:
    """Overwrite ``x`` by the first process's."""
    if count() > 1:
        dist.broadcast(x, src=0)


def gather(x: Tensor) -> Tensor:
    """Return every process's ``x``, of one shape, along a new first dimension. On the CPU."""
    if count() == 1:
        return x[None]
    parts = [torch.empty_like(x) for _ in range(count())]
    dist.all_gather(parts, x)
    return torch.stack(parts)


def uniform(*shape: int, dim: int, like: Tensor) -> Tensor:
    """Return draws from U(0, 1) for this process's rows, as one process would have drawn them for the whole batch.

    Args:
        shape: of this process's share.
        dim: the dimension of rows.
        like: gives device and dtype.
    """
    whole = list(shape)
    whole[dim] *= count()
    return own(torch.rand(whole, device=like.device, dtype=like.dtype), dim)


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _summed(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _summed(grad)


def _summed(x: Tensor) -> Tensor:
    x = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(x)
    return x
