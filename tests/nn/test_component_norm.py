"""What holds of every layer that normalizes by the components of a mixture."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dacn.nn import LatentContextNorm, LearnedMixtureNorm, MixtureNorm, fold_context, open_renorm, takes_context
from dacn.nn.component_norm import ComponentNorm

C, K = 2, 2
LAYERS = [MixtureNorm, LatentContextNorm, LearnedMixtureNorm]
layers = pytest.mark.parametrize("layer_class", LAYERS)
modes = pytest.mark.parametrize("training", [True, False])


def two_groups(seed: int) -> Tensor:
    """Rows (B, C, positions) of which every other one is of another mean and spread."""
    x = torch.randn(12, C, 16, generator=torch.Generator().manual_seed(seed))
    at = (torch.arange(12) % 2)[:, None, None] * torch.tensor([1.0, -1.0])[:, None]
    return x * (1 + 0.5 * at.abs()) + 6 * at


def after_a_batch(layer_class: Any, **options: Any) -> ComponentNorm:
    """A layer whose mixture has started."""
    layer: ComponentNorm = layer_class(C, components=K, **options)
    layer(two_groups(0))
    return layer


@layers
@modes
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_in_half_precision_out(layer_class: Any, training: bool, dtype: torch.dtype) -> None:
    layer = after_a_batch(layer_class).train(training)
    x = two_groups(1).to(dtype).requires_grad_()
    twin = copy.deepcopy(layer)
    with torch.autocast("cpu", torch.bfloat16):  # which must not reach the sums inside
        y = layer(x)
    assert y.dtype == dtype
    torch.testing.assert_close(y.float(), twin(x.detach().float()), atol=0.02, rtol=0.01)
    y.float().square().sum().backward()
    assert torch.isfinite(x.grad).all()
    for key, value in layer.state_dict().items():
        torch.testing.assert_close(value, twin.state_dict()[key], msg=key)


STARTS: dict[str, Callable[[], ComponentNorm]] = {
    "mixture": lambda: after_a_batch(MixtureNorm),
    "mixture that is fitted again": lambda: after_a_batch(MixtureNorm, refit_every=2),
    "latent": lambda: after_a_batch(LatentContextNorm),
    "latent before its first batch": lambda: LatentContextNorm(C, K),
    "learned": lambda: after_a_batch(LearnedMixtureNorm),
    "learned before its first batch": lambda: LearnedMixtureNorm(C, K),
}


@modes
@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compiled_equals_eager(backend: str, start: str, training: bool) -> None:
    torch.compiler.reset()
    eager = STARTS[start]()
    open_renorm(eager, 0.25)
    eager.train(training)
    twin = copy.deepcopy(eager)
    compiled = torch.compile(twin, fullgraph=True, backend=backend)
    for seed in (1, 2, 3):
        x = two_groups(seed).requires_grad_()
        a, b = eager(x), compiled(x)
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
        gradients = [
            torch.autograd.grad(y.pow(3).sum(), (x, *layer.parameters())) for y, layer in ((a, eager), (b, twin))
        ]
        for grad_a, grad_b in zip(*gradients, strict=True):
            torch.testing.assert_close(grad_a, grad_b, atol=1e-3, rtol=1e-3)
    for key, value in eager.state_dict().items():
        torch.testing.assert_close(value, twin.state_dict()[key], atol=1e-4, rtol=1e-4, msg=key)


@layers
@modes
def test_tokens_are_maps_with_the_channels_moved(layer_class: Any, training: bool) -> None:
    layer = after_a_batch(layer_class).train(training)
    tokens = layer_class(C, components=K, channels_last=True).train(training)
    tokens.load_state_dict(layer.state_dict())
    for seed in (1, 2):
        x = two_groups(seed)
        torch.testing.assert_close(tokens(x.movedim(1, -1)).movedim(-1, 1), layer(x))


@layers
def test_evaluation_depends_on_nothing_in_the_batch(layer_class: Any) -> None:
    layer, x = after_a_batch(layer_class).eval(), two_groups(5)
    before, together = copy.deepcopy(layer.state_dict()), layer(x)
    for i in range(len(x)):
        torch.testing.assert_close(layer(x[i : i + 1])[0], together[i])
    assert all(torch.equal(value, before[key]) for key, value in layer.state_dict().items())


@layers
def test_without_affine_gamma_is_one_and_beta_zero(layer_class: Any) -> None:
    plain, affine, x = layer_class(C, affine=False), layer_class(C), two_groups(0)
    assert not {"weight", "bias"} & set(plain.state_dict())
    assert torch.equal(plain(x), affine(x))


@layers
@modes
def test_shapes_can_be_asked_for_without_values(layer_class: Any, training: bool) -> None:
    x = torch.empty(6, C, 4, 3, device="meta")
    assert layer_class(C).to("meta").train(training)(x).shape == x.shape


@layers
def test_it_takes_no_context_and_cannot_be_folded(layer_class: Any) -> None:
    assert not takes_context(layer_class(C))
    model = nn.Sequential(nn.Conv2d(3, C, 1), layer_class(C))
    name = layer_class.__name__
    with pytest.raises(ValueError, match=rf"cannot fold '1' \({name}\): no fixed affine map belongs to a context"):
        fold_context(model, 0)


@layers
def test_sizes_below_one_are_refused_and_sizes_are_told(layer_class: Any) -> None:
    with pytest.raises(ValueError, match="num_features and components must be at least 1, got 0 and 2"):
        layer_class(0, components=2)
    with pytest.raises(ValueError, match="num_features and components must be at least 1, got 2 and 0"):
        layer_class(2, components=0)
    assert repr(layer_class(3, components=2)) == f"{layer_class.__name__}(3, components=2, eps=1e-05, affine=True)"
