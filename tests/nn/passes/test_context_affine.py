"""The affine map of each context's rows: order of the rows, memory layout, and what it refuses."""

import pytest
import torch

from dacn.nn import functional as F


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5], [3, 0, 4, 1, 5, 2], [5, 4, 3, 2, 1, 0]])
def test_order_of_the_rows_does_not_matter(order: list[int]) -> None:
    torch.manual_seed(0)
    x, context = torch.randn(6, 2, 3, 3), torch.tensor([0, 0, 0, 1, 1, 2])
    mean, var, weight, bias = torch.randn(3, 2), torch.rand(3, 2), torch.randn(3, 2), torch.randn(3, 2)

    y = F.context_affine(x, context, mean, var, weight, bias, 1e-5)

    torch.testing.assert_close(F.context_affine(x[order], context[order], mean, var, weight, bias, 1e-5), y[order])
    for a, b in zip(F.context_moments(x, context, 3), F.context_moments(x[order], context[order], 3), strict=True):
        torch.testing.assert_close(a, b)


def test_gradient_returns_to_the_rows_it_came_from() -> None:
    torch.manual_seed(0)
    x = torch.randn(5, 2, requires_grad=True)
    context = torch.tensor([1, 0, 1, 0, 1])
    weight = torch.tensor([[1.0, 1.0], [10.0, 10.0]])
    y = F.context_affine(x, context, torch.zeros(2, 2), torch.ones(2, 2), weight, torch.zeros(2, 2), 0.0)

    (gradient,) = torch.autograd.grad(y[2].sum(), x)

    expected = torch.zeros(5, 2)
    expected[2] = 10.0
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("context", [[0, 0, 1, 1], [1, 0, 1, 0]])
def test_channels_last_memory_stays_so(context: list[int]) -> None:
    x = torch.randn(4, 8, 3, 3).to(memory_format=torch.channels_last)
    ones, zeros = torch.ones(2, 8), torch.zeros(2, 8)
    y = F.context_affine(x, torch.tensor(context), zeros, ones, ones, zeros, 1e-5)
    assert y.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("context", "bad"), [([0, 1, 2], 2), ([0, -1, 1], -1), ([7, 0, 7], 7)])
def test_context_out_of_range_names_it_and_the_range(context: list[int], bad: int) -> None:
    with pytest.raises(ValueError, match=f"context {bad} is outside 0 to 1, the contexts that the layer was built for"):
        F.context_moments(torch.zeros(3, 2), torch.tensor(context), 2)
