"""How the context travels: an explicit argument, handed to the children that take it."""

from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn


def takes_context(module: nn.Module) -> bool:
    """Whether ``module.forward`` is called as ``(x, context)``: it says so by ``takes_context = True``."""
    return bool(getattr(module, "takes_context", False))


def context_of_rows(context: Any, x: Tensor) -> Any:
    """Return the context as a tensor with one entry a row of ``x``; what is no such thing is left to `check_context`.

    Args:
        context: an integer, or a tensor with a single one, stands for every row; a list has one entry a row.
        x: gives the number of rows B and the device.

    Shape: returns ``(B,)``.

    >>> context_of_rows(1, torch.rand(3, 2))
    tensor([1, 1, 1])
    """
    if isinstance(context, list | tuple | Integral) and not isinstance(context, bool):
        context = torch.as_tensor(context, dtype=None if context else torch.int64, device=x.device)  # not so of []
    if isinstance(context, Tensor) and context.ndim == 0:
        context = context.repeat(x.shape[0])
    return context


def check_context(context: Tensor, rows: int, num_contexts: int) -> None:
    """Refuse a context that would be read wrongly.

    The values of each tensor are looked at once, by the first layer that it reaches. A GPU looks itself, since the host
    would have to wait for it, and stops with an assertion of its own. A compiled network does not look.

    Args:
        context: what should be the ``(B,)`` int64 context of each row.
        rows: B.
        num_contexts: K.

    Raises:
        ValueError: another shape or type, or a value outside 0 to K - 1.
    """
    if not isinstance(context, Tensor):
        raise ValueError(f"context must be a tensor of {rows} int64, or one integer for all, got {context!r}")
    if context.shape != (rows,):  # a shorter one might broadcast unnoticed
        raise ValueError(f"context must have shape ({rows},), one entry a row of x, got {tuple(context.shape)}")
    if context.dtype != torch.int64:  # booleans would select rows
        raise ValueError(f"context must be int64, the number of each row's context, got {context.dtype}")
    if torch.compiler.is_compiling() or not rows or context.is_meta:
        return
    state = None if context.is_inference() else (context._version, num_contexts)
    if state is not None and getattr(context, "_checked", None) == state:
        return
    expected = f"outside 0 to {num_contexts - 1}, the contexts that the layer was built for"
    if context.is_cuda:
        inside = ((context >= 0) & (context < num_contexts)).all()
        torch._assert_async(inside, f"context is {expected}")
    else:
        low, high = (int(end) for end in context.aminmax())
        if low < 0 or high >= num_contexts:
            raise ValueError(f"context {low if low < 0 else high} is {expected}")
    context._checked = state  # type: ignore[attr-defined]


class ContextSequential(nn.Sequential):
    """`torch.nn.Sequential` that hands the context to the children that take it.

    Args:
        x: the input of the first child.
        context: int64 context of each row; None at inference when it is unknown.

    Shape: context ``(B,)``.

    >>> import torch
    >>> from dacn.nn import AdaptiveContextNorm
    >>> net = ContextSequential(AdaptiveContextNorm(3, num_contexts=2), nn.Flatten())
    >>> net(torch.rand(4, 3, 8, 8), torch.tensor([0, 0, 1, 1])).shape
    torch.Size([4, 192])
    """

    takes_context = True

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the last child's output."""
        for module in self:
            x = module(x, context) if takes_context(module) else module(x)
        return x
