import pytest
import torch
from torch import Tensor, nn

from dacn.nn import reverse_gradient

strengths = pytest.mark.parametrize(
    "strength", [0.0, 0.3, 2.0, torch.tensor(0.3), torch.tensor(2.0, dtype=torch.float64)], ids=str
)


def two_halves(seed: int) -> tuple[Tensor, nn.Module, nn.Module]:
    torch.manual_seed(seed)
    before, after = nn.Linear(4, 3), nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1))
    return torch.randn(6, 4), before, after


@strengths
@pytest.mark.parametrize("seed", [0, 1])
def test_only_what_lies_before_is_reversed(strength: float | Tensor, seed: int) -> None:
    x, before, after = two_halves(seed)
    features = before(x)
    plain, mirrored = after(features), after(reverse_gradient(features, strength))
    assert torch.equal(plain, mirrored)
    parameters = [features, *before.parameters(), *after.parameters()]
    down = torch.autograd.grad(plain.square().sum(), parameters, retain_graph=True)
    back = torch.autograd.grad(mirrored.square().sum(), parameters)
    for plain_gradient, gradient in zip(down[:3], back[:3], strict=True):
        torch.testing.assert_close(gradient, -float(strength) * plain_gradient)
    for plain_gradient, gradient in zip(down[3:], back[3:], strict=True):
        torch.testing.assert_close(gradient, plain_gradient)
        assert gradient.any()


def test_twice_is_the_product_and_a_second_derivative_is_reversed_again() -> None:
    x = torch.tensor([2.0], requires_grad=True)
    (slope,) = torch.autograd.grad(reverse_gradient(reverse_gradient(x, 3.0), 0.5).pow(3), x, create_graph=True)
    assert slope.item() == pytest.approx(1.5 * 3 * 2**2)
    # The slope, 1.5 * 3 y^2, holds y behind both layers: its own slope 1.5 * 6 y comes back through them, times 1.5.
    assert torch.autograd.grad(slope, x)[0].item() == pytest.approx(1.5 * 1.5 * 6 * 2)


def test_any_shape_type_and_memory_layout_stays() -> None:
    x = torch.randn(2, 3, 4, 4, dtype=torch.bfloat16).to(memory_format=torch.channels_last).requires_grad_()
    y = reverse_gradient(x, torch.tensor(0.5))
    y.backward(torch.ones_like(y))
    assert y.dtype == x.grad.dtype == torch.bfloat16
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert (x.grad == -0.5).all()


@pytest.mark.slow
@pytest.mark.parametrize("as_tensor", [False, True])
def test_compiled_equals_eager(as_tensor: bool) -> None:
    torch.compiler.reset()
    x, before, after = two_halves(0)

    def loss(strength: float | Tensor) -> Tensor:
        return after(reverse_gradient(before(x), strength)).square().sum()

    compiled = torch.compile(loss, fullgraph=True)
    parameters = [*before.parameters(), *after.parameters()]
    for number in (0.2, 0.7):
        strength = torch.tensor(number) if as_tensor else number
        expected, found = (torch.autograd.grad(each(strength), parameters) for each in (loss, compiled))
        for a, b in zip(expected, found, strict=True):
            torch.testing.assert_close(a, b)
