"""Layers, inputs and defaults of any floating types: the output is that of a plain computation in double precision."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from dacn.nn import (
    AdaptiveContextNorm,
    AdaptiveContextNormBase,
    ContextBatchNorm,
    LatentContextNorm,
    MixtureNorm,
    open_renorm,
    takes_context,
)

TYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
K, C = 3, 5
CONTEXT = torch.tensor([1, 0, 1, 2, 0, 1, 2])
LAYERS: dict[str, Callable[[], nn.Module]] = {
    "acn_task": partial(AdaptiveContextNorm, C, K, fit="task"),
    "acn_likelihood": partial(AdaptiveContextNorm, C, K, fit="likelihood"),
    "acn_base": partial(AdaptiveContextNormBase, C, K),
    "cn": partial(ContextBatchNorm, C, K),
    "cn_own": partial(ContextBatchNorm, C, K, affine="own"),
    "mn": partial(MixtureNorm, C, components=2),
    "acn_latent": partial(LatentContextNorm, C, components=2),
}
OF_CONTEXTS = [name for name in LAYERS if name not in ("mn", "acn_latent")]


@contextmanager
def default_type(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def rows(dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(len(CONTEXT), C, 4, 3, generator=generator, dtype=torch.float64)
    return (x * (1 + 0.5 * CONTEXT)[:, None, None, None] + CONTEXT[:, None, None, None] - 0.5).to(dtype)


def layer_of(name: str, dtype: torch.dtype) -> nn.Module:
    """A layer after two batches of float32, moved to a type."""
    torch.manual_seed(1)
    layer = LAYERS[name]().float()
    open_renorm(layer, 0.25)
    for parameter in (layer.weight, layer.bias):
        nn.init.uniform_(parameter, 0.5, 2.0)
    for _ in range(2):
        call(layer, rows(torch.float32))
    return layer.to(dtype)


def call(layer: nn.Module, x: Tensor, context: Tensor | None = CONTEXT) -> Tensor:
    y: Tensor = layer(x, context) if takes_context(layer) else layer(x)
    return y


def plain(layer: nn.Module, x: Tensor) -> Tensor:
    """What a layer with contexts gives, row by row in double precision, from its parameters as they stand."""
    mean, var = (table.double() for table in layer.tables())
    weight, bias = (t.double().expand(K, C) for t in (layer.weight, layer.bias))
    out = []
    for row, k in zip(x, CONTEXT.tolist(), strict=True):
        m, v, r, d = mean[k], var[k], 1.0, 0.0
        if layer.training and not isinstance(layer, AdaptiveContextNormBase) and getattr(layer, "fit", "") != "task":
            mine = x[k == CONTEXT].movedim(1, 0).flatten(1)  # (C, rows and positions)
            m, v = mine.mean(1), mine.var(1, correction=0)
            if isinstance(layer, AdaptiveContextNorm):
                rho, delta, std = layer.rho.item(), layer.delta.item(), (var[k] + layer.eps).sqrt()
                r = ((v.detach() + layer.eps).sqrt() / std).clamp(1 / rho, rho)
                d = ((m.detach() - mean[k]) / std).clamp(-delta, delta)
        y = (row - m[:, None, None]) / (v + layer.eps).sqrt()[:, None, None]
        gain, offset = r * weight[k], d * weight[k] + bias[k]
        out.append(y * gain[:, None, None] + offset[:, None, None])
    return torch.stack(out)


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("name", OF_CONTEXTS)
def test_layers_with_contexts(name: str, training: bool) -> None:
    for default, of_layer, of_x in product(TYPES, TYPES, TYPES):
        with default_type(default):
            compare_with_plain(name, of_layer, of_x, training)


def compare_with_plain(name: str, of_layer: torch.dtype, of_x: torch.dtype, training: bool) -> None:
    layer = layer_of(name, of_layer).train(training)
    x = rows(of_x).requires_grad_()
    upstream = torch.randn(x.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64).to(of_x)
    parameters = [*layer.parameters()]

    expected = plain(layer, x.double())
    wanted = torch.autograd.grad(expected, [x, *parameters], upstream.double(), allow_unused=True)
    y = call(layer, x)
    got = torch.autograd.grad(y, [x, *parameters], upstream)

    assert y.dtype == of_x
    torch.testing.assert_close(y.double(), expected, rtol=tolerance(of_x), atol=tolerance(of_x))
    for leaf, a, b in zip([x, *parameters], got, wanted, strict=True):
        assert a.dtype == leaf.dtype
        loose = 10 * max(tolerance(of_x), tolerance(of_layer))
        torch.testing.assert_close(a.double(), b.double(), rtol=loose, atol=loose)
    assert all(bool(value.isfinite().all()) for value in layer.state_dict().values())


def tolerance(dtype: torch.dtype) -> float:
    return {torch.float64: 1e-5, torch.float32: 2e-5, torch.bfloat16: 2e-2, torch.float16: 2e-3}[dtype]


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("name", LAYERS)
def test_unknown_context_and_layers_without(name: str, training: bool) -> None:
    if training and name in OF_CONTEXTS:
        pytest.skip("training needs the context")
    for default, of_layer, of_x in product(TYPES, TYPES, TYPES):
        with default_type(default):
            compare_with_double(name, of_layer, of_x, training)


def compare_with_double(name: str, of_layer: torch.dtype, of_x: torch.dtype, training: bool) -> None:
    """Against the same layer and rows, both moved to double precision after rounding."""
    layer = layer_of(name, of_layer).train(training)
    exact, x = layer_of(name, of_layer).double().train(training), rows(of_x)
    leaf, twin = x.clone().requires_grad_(), x.double().requires_grad_()

    y, expected = call(layer, leaf, None), call(exact, twin, None)
    y.float().square().sum().backward()
    expected.square().sum().backward()

    assert y.dtype == of_x
    loose = 5 * max(tolerance(of_x), tolerance(of_layer))
    torch.testing.assert_close(y.double(), expected, rtol=loose, atol=loose)
    torch.testing.assert_close(leaf.grad.double(), twin.grad, rtol=10 * loose, atol=10 * loose)
