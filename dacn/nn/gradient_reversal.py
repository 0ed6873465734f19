"""Gradient reversal: what lies behind it learns against what lies before it."""

from typing import Any

import torch
from torch import Tensor


def reverse_gradient(x: Tensor, strength: float | Tensor) -> Tensor:
    """Return ``x`` unchanged; the gradient comes back multiplied by ``-strength``.

    Args:
        x: any activations.
        strength: lambda, at least 0; where a compiled function sees it change, a tensor saves compiling again.

    Shape: x any shape, strength a number or ``()``; returns the shape of x.

    Reference: Ganin et al. 2016, arXiv 1505.07818, section 4.2.

    >>> x = torch.tensor([3.0], requires_grad=True)
    >>> (5 * reverse_gradient(x, 0.5)).backward()
    >>> x.grad
    tensor([-2.5000])
    """
    reversed_: Tensor = _ReverseGradient.apply(x, strength)
    return reversed_


class _ReverseGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float | Tensor) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * grad_y, None
