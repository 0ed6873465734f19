"""Which of the three ways a batch goes: C, torch's CPU kernels, or plain torch."""

from functools import lru_cache

import torch
from torch import Tensor, nn

from dacn.nn import processes
from dacn.nn.passes import native
from dacn.nn.passes.native import NativePasses
from dacn.nn.passes.passes import Passes
from dacn.nn.passes.plain import plain_passes
from dacn.nn.passes.runs import RunPasses


def passes_for(
    x: Tensor, context: Tensor, num_contexts: int, dtype: torch.dtype, *, batch_statistics: bool = True
) -> Passes:
    """Return the passes over x, whose tables are of ``dtype``: that of x, or a more precise one.

    Without ``batch_statistics`` nothing is asked of other processes, as in evaluation, which one process may do alone.

    Shape: x ``(B, C, ...)``, context ``(B,)``.

    Raises:
        ValueError: on a CPU in eager mode, a context that is not 0 to K - 1.
    """
    positions = positions_of(x)
    if x.dtype == dtype and supports(x):
        return _remembered(tuple(context.tolist()), num_contexts, positions, dtype, native.available())
    return plain_passes(context, num_contexts, positions, dtype, batch_statistics=batch_statistics)


def positions_of(x: Tensor) -> int:
    """Return how many positions a row has, 1 where there are only channels. Shape: x ``(B, C, ...)``."""
    positions = 1
    for size in x.shape[2:]:
        positions *= size
    return positions


def supports(x: Tensor) -> bool:
    """Whether the CPU's kernels take x: rows in real memory, all of them this process's, that nobody traces.

    C works behind torch's back: whatever records, transforms or pretends operations would not see it.
    """
    if torch.compiler.is_compiling() or not x.is_cpu or x.dtype not in (torch.float32, torch.float64):
        return False
    plain = type(x) in (Tensor, nn.Parameter) and x.layout is torch.strided and x.numel() > 0
    traced = torch._C._is_tracing() or torch._C._len_torch_dispatch_stack() > 0
    return plain and not traced and processes.count() == 1


@lru_cache(maxsize=256)  # by value: a function of its arguments and no state of any batch
def _remembered(contexts: tuple[int, ...], num_contexts: int, positions: int, dtype: torch.dtype, in_c: bool) -> Passes:
    for k in contexts:
        if not 0 <= k < num_contexts:
            raise ValueError(
                f"context {k} is outside 0 to {num_contexts - 1}, the contexts that the layer was built for"
            )
    context = torch.tensor(contexts, device="cpu")  # (B,)
    count = torch.bincount(context, minlength=num_contexts)  # (K,)
    kind = NativePasses if in_c and dtype == torch.float32 else RunPasses
    return kind(context, count.to(dtype), positions, all_occur=bool(count.all()))
