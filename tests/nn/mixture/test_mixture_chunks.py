"""Chunks against the plain formulas: output, moments and gradients."""

import pytest
import torch
from torch import Tensor

from dacn.nn import MixtureNorm
from dacn.nn.mixture import mixture, mixture_chunks
from dacn.nn.mixture.mixture import Mixture

N, C, EPS = 50, 3, 1e-3


def arguments(components: int, dtype: torch.dtype) -> tuple[Tensor, Mixture, Tensor, Tensor]:
    """Samples far from zero, a mixture around them, gamma with a zero, beta."""
    torch.manual_seed(0)
    x = 20 + 2 * torch.randn(N, C, dtype=dtype)
    tables = (20 + torch.randn(components, C, dtype=dtype), torch.rand(components, C, dtype=dtype) + 0.3)
    gamma = torch.tensor([1.5, 0.0, -0.5], dtype=dtype)
    return x, Mixture(*tables, torch.rand(components, dtype=dtype).softmax(0)), gamma, torch.randn(C, dtype=dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
@pytest.mark.parametrize("chunk", [1, 7 * C, 2**17])
@pytest.mark.parametrize("components", [1, 3])
def test_chunks_are_the_plain_formulas(
    components: int, chunk: int, dtype: torch.dtype, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixture_chunks, "CHUNK", chunk)
    x, gaussians, gamma, beta = arguments(components, dtype)
    upstream = torch.randn(N, C, dtype=dtype)
    outcomes = []
    for module in (mixture_chunks, mixture):
        leaves = [t.clone().requires_grad_() for t in (x, gamma, beta)]
        y, batch = module.normalize_batch(leaves[0], gaussians, leaves[1], leaves[2], EPS)
        outcomes.append([y, *batch, *torch.autograd.grad(y, leaves, upstream)])
        assert not any(moment.requires_grad for moment in batch)
    for a, b in zip(*outcomes, strict=True):
        torch.testing.assert_close(a, b, atol=tolerance, rtol=tolerance)
    with torch.no_grad():
        a, b = (m.normalize(x, gaussians, gamma, beta, EPS) for m in (mixture_chunks, mixture))
    torch.testing.assert_close(a, b, atol=tolerance, rtol=tolerance)


def test_gradient_may_arrive_as_an_expanded_scalar() -> None:
    x, gaussians, gamma, beta = arguments(3, torch.float64)
    gradients = []
    for module in (mixture_chunks, mixture):
        leaf = x.clone().requires_grad_()
        module.normalize_batch(leaf, gaussians, gamma, beta, EPS)[0].sum().backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients, atol=1e-9, rtol=0)


def test_layer_is_the_same_without_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    batches = [torch.randn(8, C, 6, 6) + 2 * torch.arange(8)[:, None, None, None] for _ in range(4)]
    results = []
    for fast in (True, False):
        monkeypatch.setattr(mixture_chunks, "fast", lambda x, fast=fast: fast)
        layer = MixtureNorm(C, components=2, refit_every=2)
        outputs = [layer(x) for x in batches]
        with torch.no_grad():
            results.append([*outputs, layer.eval()(batches[0]), *layer.state_dict().values()])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
